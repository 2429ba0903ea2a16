# Everything a checkout can do. Python 3.11 or newer and make are enough: the first target builds .venv.
# ARGS goes to the command behind a target, e.g. `make test ARGS="tests/unit -k cooldown"`.

SHELL := /bin/sh
MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help
# Compiled bytecode is what keeps every later start fast.
unexport PYTHONDONTWRITEBYTECODE PYTHONPATH

BIN := .venv/bin
ARGS ?=

.PHONY: help
help: ## Show these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: run
run: venv ## Run the demonstration: a small shop, its alerts, and the service that mends it
	@$(BIN)/runbookd demo $(ARGS)

.PHONY: check
check: venv ## Hold the laws: style, types, layers, sizes, shipped content (offline, about a minute)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy service tests tools
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -q tests/architecture
	$(if $(wildcard service/runbookd/cli/main.py),$(BIN)/runbookd check rules playbooks)

.PHONY: test
test: venv ## Run every test, against real servers, with the coverage gates (7 minutes)
	@tools/test $(ARGS)

# Two workers, each with a control plane of its own: most tests wait for theirs.
.PHONY: e2e
e2e: ## Test against a real Kubernetes control plane (4 minutes; 5 more on first use, to build it)
	@tools/bootstrap e2e
	@tools/control-plane
	@$(BIN)/python -m pytest tests/e2e -n 2 --dist worksteal $(ARGS)

.PHONY: bench
bench: venv ## Measure against the bare limits of this machine
	@$(BIN)/python -m tests.bench $(ARGS)

.PHONY: crash
crash: venv ## Kill the service a hundred times in the middle of its work (about two minutes)
	@RUNBOOKD_KILLS=100 $(BIN)/python -m pytest -q -s tests/acceptance/test_kill9_of_a_run.py

.PHONY: chaos
chaos: venv ## Break the service, its disk and its database, and count what is lost (ARGS=--short: 3 minutes)
	@$(BIN)/python -m tests.chaos $(ARGS)

.PHONY: docs
docs: venv ## Write docs/reference/ and schemas/ anew from the code
	@$(BIN)/python -m tools.docs

.PHONY: format
format: venv ## Format the code and mend what can be mended
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

.PHONY: lock
lock: venv ## Pin every dependency anew, with hashes (ARGS=--upgrade takes newer versions)
	@tools/lock $(ARGS)

.PHONY: venv
venv: ## Build or refresh .venv; nothing is done when it is current
	@tools/bootstrap

.PHONY: clean
clean: ## Remove .venv and everything tools have cached
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache dist coverage.json .coverage .coverage.*
