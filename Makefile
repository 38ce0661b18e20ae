# The two commands of a newcomer are `make repro` and `make test`.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
# DVC runs the stages with the python that it finds on PATH.
export PATH := $(CURDIR)/$(BIN):$(PATH)
export DVC_NO_ANALYTICS = 1

.DEFAULT_GOAL := help
.PHONY: help install repro test lint bench lock clean

help:  ## List the targets
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 10

install: $(INSTALLED)  ## Create the environment .venv with everything pinned (7 GB, minutes)

# Everything by its hash: first what installs, then what is needed, and the project last, because
# pip knows no hash of a folder.
INSTALLERS := $(VENV)/installers.txt
$(INSTALLED): pyproject.toml requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' \
		|| { echo "error: Python 3.11, 3.12 or 3.13 is needed; say which with make PYTHON=..."; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@sed -nE '/^(pip|setuptools)==/,/[^\\]$$/p' requirements.txt > $(INSTALLERS)
	$(BIN)/python -m pip install --quiet --require-hashes -r $(INSTALLERS)
	$(BIN)/python -m pip install --quiet --no-build-isolation --require-hashes -r requirements.txt
	$(BIN)/python -m pip install --quiet --no-build-isolation --no-deps --editable .
	@$(BIN)/python -c "from pipeline.faces.find import Finder; Finder()" 2>/dev/null \
		|| echo "The face detector will be fetched when it is first needed."
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

lock: $(INSTALLED)  ## Pin by hash what is asked for, versions kept; NEWER=--upgrade takes the newest
	$(BIN)/uv pip compile pyproject.toml --quiet --extra ray --extra dev --output-file requirements.txt \
		--universal --python-version 3.11 --generate-hashes --no-annotate \
		--custom-compile-command 'make lock' $(NEWER)
	cd pipeline/apps/page && wanted=onnxruntime-web@$$(npm pkg get dependencies.onnxruntime-web | tr -d '"') \
		&& npm pkg set integrity=$$(npm view $$wanted dist.integrity)

clean:  ## Remove the environment and caches; data/ and .dvc/cache stay
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis *.egg-info
