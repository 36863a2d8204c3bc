# Every target makes what it needs in .venv. Needed on the machine: make, Python 3.11 or newer, a package index; for Studio
# also npm's registry (Node comes from the package index).

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo studio test test-faults lint format screenshots bench clean

VENV := .venv
BIN := $(VENV)/bin
DEV := $(VENV)/.stamp-dev
BENCH := $(VENV)/.stamp-bench
# Peers pin versions that Stepwell's own environment must not have.
PEERS := $(VENV)/peers
PIP := $(BIN)/python -m pip --disable-pip-version-check
# Does nothing while what is built is of these sources.
STUDIO := $(BIN)/python studio/build_studio.py

# Further arguments of the command behind a target: make test ARGS="-k signals -x"
ARGS ?=
# Processes that run the tests.
WORKERS ?= 2
# The interpreter of a new .venv; empty: the first of these that is 3.11 or newer.
PYTHON ?=
CANDIDATES := $(or $(PYTHON),python3 python3.13 python3.12 python3.11)

help: ## this list
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(DEV) ## run the example, with Studio (ARGS: its arguments)
	@$(STUDIO) --if-possible
	@$(BIN)/python -m examples.orders $(ARGS)

studio: $(DEV) ## build Studio, the web application, into the package
	@$(STUDIO)

test: $(DEV) ## run the tests, without the long crash tests
	@$(STUDIO) --packages
	@$(STUDIO)
	@$(BIN)/python -m pytest -m "not faults" -n $(WORKERS) $(ARGS)

test-faults: $(DEV) ## run the crash tests (STEPWELL_TEST_KILLS, STEPWELL_TEST_RUNS: how long; STEPWELL_TEST_SEED: the same again)
	@$(BIN)/python -m pytest -m faults $(ARGS)

lint: $(DEV) ## check style, types and the arrows between the rooms
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo
	@$(STUDIO) --packages
	@cd studio && PATH="$(abspath $(BIN)):$$PATH" npm run --silent lint

format: $(DEV) ## put the code into the house's format
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

screenshots: $(DEV) ## picture every page of Studio into docs/pictures
	@$(STUDIO) --packages
	@$(STUDIO)
	@$(BIN)/python tests/studio/screenshots.py $(ARGS)

bench: $(BENCH) ## measure, side by side with peers (ARGS: its arguments)
	@$(BIN)/python -m benchmarks $(ARGS)

clean: ## delete .venv, caches and builds
	rm -rf $(VENV) build dist src/stepwell/http/static studio/node_modules .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find src tests examples benchmarks -type d -name __pycache__ -prune -exec rm -rf {} + 2>/dev/null || true

$(BIN)/python:
	@for candidate in $(CANDIDATES); do \
		if $$candidate -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then \
			if ! $$candidate -c 'import ensurepip, venv' >/dev/null 2>&1; then \
				echo "$$candidate lacks the modules venv and ensurepip; on Debian and Ubuntu: apt install python3-venv" >&2; \
				exit 1; \
			fi; \
			echo "Making $(VENV) with $$candidate" >&2; \
			exec $$candidate -m venv --clear $(VENV); \
		fi; \
	done; \
	echo "Stepwell needs Python 3.11 or newer; tried: $(CANDIDATES). Name another one: make PYTHON=/path/to/python" >&2; \
	exit 1

$(DEV): pyproject.toml | $(BIN)/python
	@echo "Installing Stepwell and its development tools into $(VENV)" >&2
	@$(PIP) install --quiet "pip>=25.1"
	@$(PIP) install --quiet --editable . --group dev
	@touch $@

$(BENCH): pyproject.toml $(DEV)
	@echo "Installing what the benchmarks compare with into $(PEERS)" >&2
	@$(BIN)/python -m venv $(PEERS)
	@$(PEERS)/bin/python -m pip --disable-pip-version-check install --quiet "pip>=25.1"
	@$(PEERS)/bin/python -m pip --disable-pip-version-check install --quiet --group bench
	@touch $@
