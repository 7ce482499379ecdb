# Every command sets up what it needs; only the prerequisites have to be installed manually: Python 3.13 and
# Node 22 (for Azurite; 20 works too), and Chromium for the browser tests only.
SHELL := /bin/bash
.DEFAULT_GOAL := help

# pip does not install into .venv where a user has set it to install for the user.
export PIP_USER := 0

PYTHON ?= $(shell command -v python3.13 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
# --universal keeps what other platforms need behind markers, so that the pins install on Windows and macOS too.
COMPILE := --quiet --upgrade --universal --python-version 3.13 --generate-hashes --no-emit-index-url \
  --no-emit-find-links --annotation-style line --strip-extras --no-header
AZURITE := tests/local_stack/node_modules/.bin/azurite
OTHERS := tests/interop/node_modules/.package-lock.json
NODE_SAMPLE := docs/samples/node/node_modules/.package-lock.json
AZURE_CLI := .venv-azure-cli/bin/az
# Tests that run the whole app as separate processes; the coverage of shared/ is complete without them.
END_TO_END := tests/browser tests/e2e tests/faults/test_campaign.py tests/emulator_tests

help: ## Show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'

demo: setup ## Run consent and sending once on this machine and print each step
	@$(BIN)/python -m tests.local_stack demo

start: setup ## Start the local stack and leave it running; ARGS="--consented --json --fault"
	@$(BIN)/python -m tests.local_stack start $(ARGS)

test: setup ## Run the tests of the code, with its coverage
	@$(BIN)/python -m pytest -n 2 --dist loadfile --cov --cov-report=term-missing:skip-covered -rs $(END_TO_END:%=--ignore=%)

end-to-end: setup ## Run the tests of the whole app: browser, end to end, the local stack, a minute of faults
	@$(BIN)/python -m pytest -n 2 --dist loadfile -rs $(END_TO_END)

check: $(VENV)/ready ## Formatting, lint, types, architecture, infrastructure, licences
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/python -m tests.infra
	@$(BIN)/python -m pytest tests/test_architecture.py tests/test_settings_list.py tests/api/openapi/test_document.py tests/test_licences.py -p no:cacheprovider

infra: $(VENV)/ready ## Check infra/ with Microsoft's Bicep: format, build, lint, snapshots
	@$(BIN)/python -m tests.infra

snapshots: $(VENV)/ready ## Update infra/snapshots/ after a change of the template
	@$(BIN)/python -m tests.infra update

faults: setup ## Run the long tests, then inject every known fault, and print the final status of each mail (an hour)
	@$(BIN)/python -m pytest -m long -rs
	@$(BIN)/python -m tests.faults

interop: setup $(OTHERS) $(NODE_SAMPLE) $(AZURE_CLI) ## Check contracts, pages and az commands with third-party tools (slow; needs Chromium and Mono)
	@$(BIN)/python -m pytest -m interop -rs tests/interop tests/browser tests/e2e/test_samples.py

core-tools: setup ## Run the end-to-end tests on Azure Functions Core Tools (needs `func`)
	@command -v func >/dev/null || { echo "Azure Functions Core Tools (func) were not found."; exit 1; }
	@$(BIN)/python -m pytest -rs tests/emulator_tests/test_host_*.py tests/e2e
	@$(BIN)/python -m tests.local_stack demo

bench: setup ## Measure against the budgets and write docs/benchmarks.md
	@$(BIN)/python -m tests.benchmarks

documents: $(VENV)/ready ## Generate the errors, delivery and configuration pages and the JSON Schemas in docs/ from the code
	@$(BIN)/python -m tests.errors_document
	@$(BIN)/python -m tests.delivery_document
	@$(BIN)/python -m tests.configuration_document
	@$(BIN)/python -m shared.mail.json_schema > $(VENV)/schema.json && mv $(VENV)/schema.json docs/mail-message.schema.json
	@$(BIN)/python -m shared.deliveries.outcome_schema > $(VENV)/schema.json && mv $(VENV)/schema.json docs/mail-outcome.schema.json

screenshots: setup ## Write the settings page in each state to docs/images/ (needs Chromium)
	@$(BIN)/python -m tests.browser.screenshots

format: $(VENV)/ready ## Format the code and apply the linter's fixes
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

lock: $(VENV)/ready ## Pin the newest packages, with their hashes, into requirements*.txt
	@$(BIN)/uv pip compile $(COMPILE) pyproject.toml -o requirements.txt
	@$(BIN)/uv pip compile $(COMPILE) -c requirements.txt --group dev -o requirements-dev.txt
	@$(BIN)/uv pip compile $(COMPILE) tests/interop/azure-cli.in -o tests/interop/azure-cli.txt

package: ## Build dist/inforiver-mailer.zip with its dependencies, for a deployment without the remote build
	@$(PYTHON) -m infra.build_package

check-package: $(VENV)/ready package ## Build the package, unpack it separately and index its functions
	@$(BIN)/python -m pytest tests/deployment/check_package.py -p no:cacheprovider

audit: $(VENV)/ready ## Check the pinned packages for published vulnerabilities (calls a public service)
	@$(BIN)/pip-audit --strict --require-hashes --disable-pip --progress-spinner off \
	  -r requirements.txt -r requirements-dev.txt

setup: $(VENV)/ready $(AZURITE) ## Fetch what the other commands need

$(VENV)/ready: requirements.txt requirements-dev.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 13))' 2>/dev/null || \
	  { echo "Python 3.13 is needed and was not found. Install it, or name it: make PYTHON=/path/to/python3.13"; exit 1; }
	@echo "Creating .venv (takes a minute the first time)"
	@$(PYTHON) -m venv --clear $(VENV)
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --require-hashes \
	  -r requirements.txt -r requirements-dev.txt
	@touch $@

$(AZURITE): tests/local_stack/package.json tests/local_stack/package-lock.json
	@command -v npm >/dev/null || \
	  { echo "Node 22 with npm is needed for Azurite, the storage emulator, and was not found."; exit 1; }
	@echo "Fetching Azurite, Microsoft's storage emulator"
	@cd tests/local_stack && npm ci --silent --no-audit --no-fund
	@touch $@

$(NODE_SAMPLE): docs/samples/node/package.json docs/samples/node/package-lock.json
	@cd docs/samples/node && npm ci --silent --no-audit --no-fund
	@touch $@

# In a separate environment: it pins a hundred packages.
$(AZURE_CLI): tests/interop/azure-cli.txt
	@echo "Fetching the Azure CLI (0.7 GB, the first time takes minutes)"
	@$(PYTHON) -m venv --clear .venv-azure-cli
	@.venv-azure-cli/bin/python -m pip install -qq --disable-pip-version-check --require-hashes -r tests/interop/azure-cli.txt
	@touch $@

$(OTHERS): tests/interop/package.json tests/interop/package-lock.json
	@echo "Fetching the validators and client generators"
	@cd tests/interop && npm ci --silent --no-audit --no-fund
	@touch $@

.PHONY: help demo start test end-to-end check interop core-tools faults bench documents screenshots format infra lock package check-package audit setup snapshots
