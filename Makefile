# make demo   the main job: what each method believes about QTRAN's game (about 5 minutes)
# make test   the tests (what CI runs); make test-all adds the long learning runs
# make check  ruff and mypy
# make bridges  our environments in other tools, each in an environment of its own (10 GB, see docs/bridges.md)
# Everything is set up in .venv by itself; PYTHON=... chooses the interpreter, JOBS=... the tests' processes.

PYTHON ?= python3
VENV   ?= .venv
TORCH_INDEX ?=
JOBS   ?= 2
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
STAMP := $(VENV)/.installed

.PHONY: demo test test-all bridges check format build clean
.DEFAULT_GOAL := test

demo: $(STAMP)
	@$(BIN)/vdtoolkit igm

test: $(STAMP)
	@$(BIN)/python -m pytest -q -n $(JOBS) --dist loadfile

test-all: $(STAMP)
	@$(BIN)/python -m pytest -q -n $(JOBS) --dist loadfile -m "slow or not slow"

bridges: $(STAMP)
	@TORCH_INDEX=$(TORCH_INDEX) $(BIN)/python tests/bridges/run_all.py

check: $(STAMP)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

format: $(STAMP)
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

build: $(STAMP)
	@$(BIN)/python -m build

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "vdtoolkit needs Python >= 3.10: make PYTHON=/path/to/python3.11")'
	@echo "Setting up $(VENV) ..."
	@$(PYTHON) -m venv $(VENV) 2>/dev/null \
	  || { rm -rf $(VENV) && $(PYTHON) -m venv --without-pip $(VENV) && $(PYTHON) -m pip --python $(BIN)/python install -q pip; } \
	  || { rm -rf $(VENV); echo "Python cannot make a virtual environment: on Debian or Ubuntu, sudo apt install python3-venv"; exit 1; }

# torch first and by its pinned version: a bare `torch` may bring gigabytes of GPU libraries.
# TORCH_INDEX=URL takes it from an index with CPU builds.
$(STAMP): pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing into $(VENV) (torch first; about a minute) ..."
	@$(PIP) install -q -c constraints.txt $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) torch
	@$(PIP) install -q -c constraints.txt -e '.[dev]'
	@touch $@
