# Every target makes what it needs in .venv. Needed on the machine: make, Python 3.11 or newer, a package index; for Studio
# also npm's registry (Node comes from the package index).

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo studio test test-all test-faults test-lowest lint format screenshots bench clean

VENV := .venv
BIN := $(VENV)/bin
DEV := $(VENV)/.stamp-dev
BENCH := $(VENV)/.stamp-bench
# Peers pin versions that Stepwell's own environment must not have.
PEERS := $(VENV)/peers
# Stepwell with the lowest versions that pyproject.toml allows, in an environment of its own.
LOWEST := $(VENV)/lowest
CORE := tests/engine tests/definition tests/execution tests/runner tests/store tests/conformance tests/http/test_api.py \
	tests/http/test_access.py tests/http/test_webhooks.py tests/http/test_stream.py
PIP := $(BIN)/python -m pip --disable-pip-version-check
# Does nothing while what is built is of these sources.
STUDIO := $(BIN)/python studio/build_studio.py

# Further arguments of the command behind a target: make test ARGS="-k signals -x"
ARGS ?=
# Processes that run the tests. Two of them leave a third of two cores idle: tests wait for processes and servers.
WORKERS ?= 4
# What runs all tests: tests/again.py tries again, alone, what failed among many.
PYTEST ?= -m pytest
# The interpreter of a new .venv; empty: the first of these that is 3.11 or newer.
PYTHON ?=
CANDIDATES := $(or $(PYTHON),python3 python3.13 python3.12 python3.11)

help: ## list the targets
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(DEV) ## run the example, with Studio (ARGS: its arguments)
	@$(STUDIO) --if-possible
	@$(BIN)/python -m examples.orders $(ARGS)

studio: $(DEV) ## build Studio, the web application, into the package
	@$(STUDIO)

test: $(DEV) ## run the tests that a change needs (make test-all runs all of them)
	@$(STUDIO) --packages
	@$(STUDIO)
	@$(BIN)/python -m pytest -m "not thorough and not faults" -n $(WORKERS) $(ARGS)

test-all: $(DEV) ## run all tests except the long crash tests: on every backend, every page, every build
	@$(STUDIO) --packages
	@$(STUDIO)
	@$(BIN)/python $(PYTEST) -m "not faults" -n $(WORKERS) $(ARGS)

test-faults: $(DEV) ## run the crash tests (STEPWELL_TEST_KILLS, STEPWELL_TEST_RUNS: how many; STEPWELL_TEST_SEED: repeat the same faults)
	@$(BIN)/python -m pytest -m faults $(ARGS)

test-lowest: $(VENV)/.stamp-lowest ## run the core of the tests with the lowest versions of what Stepwell needs
	@$(LOWEST)/bin/python -m pytest -m "not thorough and not faults" -n $(WORKERS) $(CORE) $(ARGS)

lint: $(DEV) ## check style, types, and which package may import which
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo
	@$(STUDIO) --packages
	@cd studio && PATH="$(abspath $(BIN)):$$PATH" npm run --silent lint

format: $(DEV) ## format the code
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

screenshots: $(DEV) ## take pictures of every page of Studio, in docs/pictures
	@$(STUDIO) --packages
	@$(STUDIO)
	@$(BIN)/python tests/studio/screenshots.py $(ARGS)

bench: $(BENCH) ## compare Stepwell with other systems (ARGS: its arguments)
	@$(BIN)/python -m benchmarks $(ARGS)

clean: ## delete .venv, caches and builds
	rm -rf $(VENV) build dist src/stepwell/console/http/studio/static studio/node_modules .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
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

$(VENV)/.stamp-lowest: pyproject.toml tests/packaging/lowest.py | $(BIN)/python
	@echo "Installing Stepwell with the lowest versions that it allows into $(LOWEST)" >&2
	@$(BIN)/python -m venv --clear $(LOWEST)
	@$(LOWEST)/bin/python -m pip --disable-pip-version-check install --quiet "pip>=25.1" packaging
	@$(LOWEST)/bin/python tests/packaging/lowest.py > $(LOWEST)/constraints.txt
	@$(LOWEST)/bin/python -m pip --disable-pip-version-check install --quiet --editable '.[all]' --group core \
		--constraint $(LOWEST)/constraints.txt
	@touch $@

$(BENCH): pyproject.toml $(DEV)
	@echo "Installing what the benchmarks compare with into $(PEERS)" >&2
	@$(BIN)/python -m venv $(PEERS)
	@$(PEERS)/bin/python -m pip --disable-pip-version-check install --quiet "pip>=25.1"
	@$(PEERS)/bin/python -m pip --disable-pip-version-check install --quiet --group bench
	@touch $@
