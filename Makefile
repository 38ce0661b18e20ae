# The two commands of a newcomer are `make repro` and `make test`.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
# DVC runs the stages with the python that it finds on PATH.
export PATH := $(CURDIR)/$(BIN):$(PATH)
export DVC_NO_ANALYTICS = 1

.DEFAULT_GOAL := help
.PHONY: help install repro test lint bench clean

help:  ## List the targets
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 10

install: $(INSTALLED)  ## Create the environment .venv with everything pinned (7 GB, minutes)

$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' \
		|| { echo "error: Python 3.11, 3.12 or 3.13 is needed; say which with make PYTHON=..."; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[ray,dev]'
	@touch $@

repro: $(INSTALLED)  ## Run the whole pipeline: faces, statistics, shards, network, evidence, export, report
	dvc repro
	$(BIN)/python -m stages report

test: $(INSTALLED)  ## Run the whole test suite
	$(BIN)/python -m pytest -n 2 --dist loadfile

lint: $(INSTALLED)  ## Check style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(INSTALLED)  ## Measure what is ours against peers and limits
	@for file in benchmarks/*.py; do echo "== $$file"; PYTHONPATH=. $(BIN)/python $$file || exit 1; done

clean:  ## Remove the environment and caches; data/ and .dvc/cache stay
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis *.egg-info
