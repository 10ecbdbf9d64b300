# Every target sets itself up: a fresh clone needs nothing but Python 3.10 or later and make.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready

.PHONY: demo demo-prm check-trl-prm test test-fast lint benchmarks check-trainers clean

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable . --group dev
	touch $(READY)

demo: $(READY)  ## the main job, offline, on the built-in data and model
	$(BIN)/hf-rap demo

demo-prm: $(READY)  ## process-reward data: annotate, score, select and export, offline
	$(BIN)/hf-rap demo-prm

check-trl-prm: demo-prm  ## two steps of TRL 1.13's process reward trainer, in an environment of its own
	$(PYTHON) -m venv .venv-trl-prm
	.venv-trl-prm/bin/pip install --quiet --constraint constraints.txt torch trl==1.13.0
	.venv-trl-prm/bin/python scripts/check_trl_prm.py rap-demo-prm/trl/train.parquet

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
	$(BIN)/python benchmarks/verify.py
	$(BIN)/python benchmarks/released.py
	$(BIN)/python benchmarks/attention.py
	$(BIN)/python benchmarks/ace.py
	$(BIN)/python benchmarks/likelihood.py
	$(BIN)/python benchmarks/controls.py
	$(BIN)/python benchmarks/runs.py
	$(BIN)/python benchmarks/bis.py speed
	$(BIN)/python benchmarks/bis.py whole
	$(BIN)/python benchmarks/bis.py learning
	$(BIN)/python benchmarks/stability.py
	$(BIN)/python benchmarks/intervals.py
	$(BIN)/python benchmarks/adaptive.py --rows 100
	$(BIN)/python benchmarks/training.py --work rap-training

check-trainers: $(READY)  ## every export through the trainers' own loaders, each in an environment of its own (GBs)
	scripts/check_trainers.sh

clean:
	rm -rf .venv .venv-trl-prm rap-demo rap-demo-prm rap-training
