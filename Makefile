# Every target sets itself up: a fresh clone needs nothing but Python 3.10 or later and make.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready

.PHONY: demo test test-fast lint benchmarks check-trainers clean

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable . --group dev
	touch $(READY)

demo: $(READY)  ## the main job, offline, on the built-in data and model
	$(BIN)/hf-rap demo

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test-fast: $(READY)  ## everything but the tests marked slow
	$(BIN)/pytest -q -m "not slow"

test: lint  ## what CI runs
	$(BIN)/pytest -q --durations=10

benchmarks: $(READY)  ## the figures of README and docs
	$(BIN)/python benchmarks/planted.py
	$(BIN)/python benchmarks/rollouts.py
	$(BIN)/python benchmarks/released.py
	$(BIN)/python benchmarks/attention.py
	$(BIN)/python benchmarks/ace.py
	$(BIN)/python benchmarks/runs.py

check-trainers: $(READY)  ## every export through the trainers' own loaders, each in an environment of its own (GBs)
	scripts/check_trainers.sh

clean:
	rm -rf .venv rap-demo
