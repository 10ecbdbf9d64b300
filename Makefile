# Every target sets itself up: a fresh clone needs nothing but Python 3.11 or later and make.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready

# The tests start hundreds of processes: what Python has compiled is kept, also where the environment says otherwise.
export PYTHONDONTWRITEBYTECODE :=

# Of its own, by pip and in no lock: where the machine offers pip a build without CUDA, some hundred megabytes come
# instead of several gigabytes.
TORCH := torch==2.13.0

.PHONY: demo demo-prm check-trl-prm check-pyright check-release test test-all test-vllm test-fast test-newest test-oldest lint lock benchmarks check-trainers docs clean

$(READY): pyproject.toml constraints.txt Makefile scripts/environment.sh
	PYTHON=$(PYTHON) scripts/environment.sh .venv locked $(TORCH)
	touch $(READY)

demo: $(READY)  ## the main job, offline, on the built-in data and model
	$(BIN)/hf-rap demo

demo-prm: $(READY)  ## process-reward data: annotate, score, select and export, offline
	$(BIN)/hf-rap demo-prm

check-trl-prm: demo-prm  ## two steps of TRL 1.13's process reward trainer, in an environment of its own
	$(PYTHON) -m venv .venv-trl-prm
	.venv-trl-prm/bin/python -m pip install --quiet $(TORCH) --requirement scripts/requirements/trl-prm.txt
	.venv-trl-prm/bin/python scripts/check_trl_prm.py rap-demo-prm/trl/train.parquet

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python scripts/render_notebook.py --check
	$(BIN)/mypy
	$(BIN)/python scripts/render_reference.py --check

check-pyright: $(READY)  ## what pyright says to code of users, from an environment of its own
	$(PYTHON) -m venv .venv-pyright
	.venv-pyright/bin/python -m pip install --quiet --requirement scripts/requirements/pyright.txt
	$(BIN)/pytest -q tests/docs/test_types.py

# The wheel is made from the sdist, so that what the sdist lacks shows. With TAG and REPOSITORY in the environment, as
# the release has them, they are judged too.
check-release:  ## wheel and sdist in dist/, as a release uploads them, from an environment of its own
	$(PYTHON) -m venv .venv-release
	.venv-release/bin/python -m pip install --quiet --requirement scripts/requirements/release.txt
	rm -rf dist
	.venv-release/bin/python -m build --no-isolation --outdir dist
	.venv-release/bin/python -m twine check --strict dist/*
	.venv-release/bin/python scripts/check_release.py --tag "$$TAG" --repository "$$REPOSITORY" dist/*

# Small models use one core each, so as many tests run beside each other as there are cores, up to four; each process
# loads the libraries for itself. One process, for a debugger: .venv/bin/pytest.
BESIDE := --numprocesses auto --maxprocesses 4 --dist worksteal

test-fast: $(READY)  ## everything but the tests marked slow or exhaustive
	$(BIN)/pytest -q -m "not slow and not exhaustive" $(BESIDE)

test: lint  ## what CI runs: everything but the tests marked exhaustive
	$(BIN)/pytest -q -m "not exhaustive" --durations=10 $(BESIDE)

test-all: lint  ## everything: kills by the hundred, a fault in every single request, large fuzz
	$(BIN)/pytest -q --hypothesis-profile=exhaustive --durations=30 $(BESIDE)

# In environments of their own: the newest version of everything, and the oldest that pyproject.toml allows.
test-newest:
	PYTHON=$(PYTHON) scripts/environment.sh .venv-newest newest torch
	scripts/try_environment.sh .venv-newest

test-oldest:
	PYTHON=python3.11 scripts/environment.sh .venv-oldest oldest \
	  $(shell sed -n 's/^ *"torch>=\([0-9.]*\)".*/torch==\1/p' pyproject.toml)
	.venv-oldest/bin/python scripts/check_bounds.py
	scripts/try_environment.sh .venv-oldest

test-vllm:  ## the engine that runs vLLM, and a vLLM server, in an environment of its own (a small build for CPUs)
	PYTHON=$(PYTHON) scripts/check_vllm.sh

# The same versions for every Python and system, so that what fails on one of them alone fails for it and not for a
# version. torch brings setuptools besides; uv and editables are what the rest is installed with.
lock: .venv-lock/bin/uv  ## writes constraints.txt anew, with the newest versions
	printf 'editables\nsetuptools\nuv\n' | .venv-lock/bin/uv pip compile pyproject.toml - --all-extras --group dev \
	  --override scripts/without-torch.txt --universal --python-version 3.11 --fork-strategy fewest \
	  --upgrade --no-annotate --quiet --custom-compile-command "make lock" --output-file constraints.txt

.venv-lock/bin/uv:
	$(PYTHON) -m venv .venv-lock
	.venv-lock/bin/python -m pip install --quiet uv

benchmarks: $(READY)  ## the figures of README and docs
	$(BIN)/python benchmarks/startup.py
	$(BIN)/python benchmarks/planted.py
	$(BIN)/python benchmarks/rollouts.py
	$(BIN)/python benchmarks/scoring.py
	$(BIN)/python benchmarks/verify.py
	$(BIN)/python benchmarks/batches.py
	$(BIN)/python benchmarks/gpu.py --size small --batches 16 64 --rows 64 64 --new-tokens 12 --dtype float32
	$(BIN)/python benchmarks/released.py
	$(BIN)/python benchmarks/attention.py
	$(BIN)/python benchmarks/ace.py
	$(BIN)/python benchmarks/likelihood.py
	$(BIN)/python benchmarks/dependence.py
	$(BIN)/python benchmarks/controls.py
	$(BIN)/python benchmarks/runs.py
	$(BIN)/python benchmarks/publishing.py 0
	$(BIN)/python benchmarks/bis.py speed
	$(BIN)/python benchmarks/bis.py whole
	$(BIN)/python benchmarks/bis.py learning
	$(BIN)/python benchmarks/stability.py
	$(BIN)/python benchmarks/intervals.py
	$(BIN)/python benchmarks/adaptive.py --rows 100
	$(BIN)/python benchmarks/gold_doubt.py --rows 1000
	$(BIN)/python benchmarks/training.py --work rap-training
	$(BIN)/python benchmarks/bakeoff.py benchmarks/bakeoffs/shortcuts.yaml --work rap-bakeoff

docs: .venv-docs/.ready  ## the site, in site/: strict, and without a network once its environment stands
	$(DOCS)/python scripts/docs/prepare.py
	rm -rf site
	$(DOCS)/zensical build --strict --clean
	$(DOCS)/python scripts/docs/check.py site docs

DOCS := .venv-docs/bin
.venv-docs/.ready: scripts/requirements/docs.txt
	$(PYTHON) -m venv .venv-docs
	$(DOCS)/python -m pip install --quiet --requirement scripts/requirements/docs.txt
	touch .venv-docs/.ready

check-trainers: $(READY)  ## every export through the trainers' own loaders, each in an environment of its own (GBs)
	scripts/check_trainers.sh

clean:
	rm -rf .venv-docs build/docs site .cache
	rm -rf .venv .venv-lock .venv-newest .venv-oldest .venv-trl-prm .venv-vllm .venv-pyright .venv-release dist rap-demo rap-demo-prm rap-training rap-bakeoff
