# The one front door. `make help` lists what it does; the first of any target that needs it builds .venv.

# The interpreter: the first of these that runs and that TensorFlow has wheels for (3.11 to 3.13).
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python; do \
	$$p -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' >/dev/null 2>&1 \
	&& command -v $$p && break; done)
VENV := .venv
BIN := $(VENV)/bin
# Records which lock the environment was built from; newer than the lock means up to date.
STAMP := $(VENV)/.built-from-lock
UV := $(shell command -v uv 2>/dev/null)
PYTEST_ARGS ?=
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help venv train test lint format bench lock clean

help:  ## Say what each target does
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):[^#]*## /\1\t/' | expand -t 10

venv: $(STAMP)  ## Build .venv from requirements.lock (costs nothing when it is up to date)

$(STAMP): requirements.lock
	@test -n "$(PYTHON)" || { echo "make: no Python 3.11, 3.12 or 3.13 found. Install one of them with its venv module (Debian: apt install python3 python3-venv), or name it: make PYTHON=/path/to/python3.12" >&2; exit 2; }
	@echo "Building $(VENV) from requirements.lock with $(PYTHON)"
	@rm -rf $(VENV)
ifneq ($(UV),)
	@$(UV) venv --quiet --python "$(PYTHON)" $(VENV)
	@$(UV) pip install --quiet --compile-bytecode --python $(BIN)/python --require-hashes -r requirements.lock
	@$(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e .
else
	@"$(PYTHON)" -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
endif
	@touch $(STAMP)

train: venv  ## Train: the default network on the embedded digits, or what ARGS says (make train ARGS="cifar10 --model fc")
	@$(BIN)/eyebright train $(ARGS)

test: venv  ## Run the whole test suite (PYTEST_ARGS are passed on)
	@$(BIN)/python -m pytest $(PYTEST_ARGS)

lint: venv  ## Check style, formatting, types and the layering of the floors
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: venv  ## Format the code and mend what the linter can mend
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: venv  ## Run the benchmarks behind the README's figures (CIFAR-10 needed; about 25 minutes)
	$(BIN)/python benchmarks/tutorial.py $(ARGS)

lock: venv  ## Write requirements.lock anew from pyproject.toml (needs uv)
	@test -n "$(UV)" || { echo "make lock needs uv: pip install uv" >&2; exit 2; }
	$(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --extra train --extra dev \
		--no-emit-index-url --no-annotate --no-header pyproject.toml -o requirements.lock $(ARGS)

clean:  ## Remove the environment and what tools leave behind (runs/ stays)
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .benchmark-venv
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
