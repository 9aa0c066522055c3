# make demo and make test need only Python >= 3.10; the first call makes .venv and installs into it.
SHELL := /bin/bash
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/installed
GPU_PYTHON ?= python3

.PHONY: help venv demo demo-quick test lint docs gpu-test bench clean

help:
	@echo "make demo | demo-quick | test | lint | docs | gpu-test | bench | venv | clean"

venv: $(STAMP)

# Scipion imports tkinter with every protocol, so an interpreter that has it comes first; 3.13 has no numpy 1.26.
$(STAMP): setup.py constraints.txt
	@set -euo pipefail; \
	if [ ! -x $(BIN)/python ]; then \
	  chosen=; fallback=; \
	  for python in python3.11 python3.12 python3.10 python3 /usr/bin/python3.11 /usr/bin/python3.12 /usr/bin/python3; do \
	    command -v $$python >/dev/null || continue; \
	    $$python -c 'import sys, venv, ensurepip; sys.exit(not (3, 10) <= sys.version_info < (3, 13))' 2>/dev/null || continue; \
	    [ -n "$$fallback" ] || fallback=$$python; \
	    if $$python -c 'import tkinter' 2>/dev/null; then chosen=$$python; break; fi; \
	  done; \
	  if [ -z "$$chosen" ] && [ -n "$$fallback" ]; then \
	    chosen=$$fallback; \
	    echo "no Python here has tkinter: Scipion's protocols will not load (Debian: apt-get install python3-tk python3-venv)" >&2; \
	  fi; \
	  if [ -z "$$chosen" ]; then echo "error: needs Python 3.10, 3.11 or 3.12 with venv (Debian: apt-get install python3-venv)" >&2; exit 2; fi; \
	  echo "making $(VENV) with $$chosen"; \
	  $$chosen -m venv $(VENV); \
	fi
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade pip wheel "setuptools>=64,<81"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[scipion,ranker,test]"
	@touch $(STAMP)

demo: venv
	$(BIN)/relion4plugin demo --o demo

demo-quick: venv
	$(BIN)/relion4plugin demo --o demo --quick

test: lint
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m pytest -q

lint: venv
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: venv
	$(BIN)/relion4plugin reference --o docs/reference

# The engine on a machine with a graphics card: no installation, no Scipion, only numpy, scipy, cupy, pytest and the file readers.
gpu-test:
	PYTHONPATH="$(CURDIR):$$PYTHONPATH" $(GPU_PYTHON) -m pytest -q -rs -m gpu $$(grep -rl 'mark\.gpu' tests --include='test_*.py')

bench: venv
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python benchmarks/class2d.py

clean:
	rm -rf build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
