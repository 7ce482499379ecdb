# Every command sets up what it needs; nothing has to be installed or started by hand beside the
# prerequisites: Python 3.13 and Node 22 (for Azurite; 20 works too), and Chromium for the browser tests alone.
SHELL := /bin/bash
.DEFAULT_GOAL := help

PYTHON ?= $(shell command -v python3.13 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
AZURITE := tests/local_stack/node_modules/.bin/azurite

help: ## Show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

demo: setup ## Run the whole journey on this machine and tell it step by step
	@$(BIN)/python -m tests.local_stack demo

start: setup ## Start the local stack and leave it running
	@$(BIN)/python -m tests.local_stack start

test: setup ## Run every test that this machine can run
	@$(BIN)/python -m pytest -n 2 --dist loadfile --cov --cov-report=term-missing:skip-covered -rs

check: $(VENV)/ready ## Formatting, lint, types, architecture, infrastructure, licences
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/python -m tests.infra
	@$(BIN)/python -m pytest tests/test_architecture.py tests/test_settings_list.py tests/web/test_openapi.py tests/test_licences.py -p no:cacheprovider

faults: setup ## Make everything go wrong that can, and print what became of each mail (half an hour)
	@$(BIN)/python -m tests.faults

bench: setup ## Measure against the budgets and write docs/benchmarks.md
	@$(BIN)/python -m tests.benchmarks

screenshots: setup ## Write the settings page in each state to docs/images/ (needs Chromium)
	@$(BIN)/python -m tests.browser.screenshots

format: $(VENV)/ready ## Format the code and mend what the linter can mend
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

lock: $(VENV)/ready ## Pin the newest packages into requirements*.txt
	@$(BIN)/python -m pip install -qq uv
	@for name in requirements requirements-dev; do \
	  $(BIN)/uv pip compile --quiet --upgrade --python-version 3.13 --no-header --no-emit-index-url \
	    --no-emit-find-links --annotation-style line --strip-extras $$name.in -o $$name.txt; done

models: ## Read the properties of Azure's resources from Microsoft's SDKs again, for the infrastructure gate
	@$(PYTHON) -m venv --clear .local/models
	@.local/models/bin/python -m pip install -qq --disable-pip-version-check -r tests/infra/models-requirements.txt
	@.local/models/bin/python -m tests.infra.model_reader

setup: $(VENV)/ready $(AZURITE) ## Fetch what the other commands need

$(VENV)/ready: requirements.txt requirements-dev.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 13))' 2>/dev/null || \
	  { echo "Python 3.13 is needed and was not found. Install it, or name it: make PYTHON=/path/to/python3.13"; exit 1; }
	@echo "Making .venv (the first time takes a minute)"
	@$(PYTHON) -m venv --clear $(VENV)
	@$(BIN)/python -m pip install -qq --disable-pip-version-check -r requirements.txt -r requirements-dev.txt
	@touch $@

$(AZURITE): tests/local_stack/package.json tests/local_stack/package-lock.json
	@command -v npm >/dev/null || \
	  { echo "Node 22 with npm is needed for Azurite, the storage emulator, and was not found."; exit 1; }
	@echo "Fetching Azurite, Microsoft's storage emulator"
	@cd tests/local_stack && npm ci --silent --no-audit --no-fund
	@touch $@

.PHONY: help demo start test check faults bench screenshots format lock models setup
