# The one front door. `make help` lists what it does; the first of any target that needs it builds .venv.

# The interpreter: the first of these that has what `make venv` needs and that TensorFlow has wheels for.
FITS := import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info < (3, 14))
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python; do \
	$$p -c '$(FITS)' >/dev/null 2>&1 && command -v $$p && break; done)
VENV := .venv
BIN := $(VENV)/bin
# Written last, so that a build that was interrupted is none. It holds the folder that the environment was built in:
# an environment that was moved or copied points back to the old folder, and is rebuilt.
BUILT := $(VENV)/.built-from-lock
INSTALLED := $(VENV)/.package-installed
REBUILD := $(shell { read -r folder < $(BUILT); } 2>/dev/null && test "$$folder" = "$(CURDIR)" \
	&& test -x $(BIN)/python || echo rebuild)
UV := $(shell uv --version >/dev/null 2>&1 && command -v uv)
PYTEST_ARGS ?=
DATA ?=
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help venv train test lint format bench docs docs-serve pictures web-runtime sbom lock clean rebuild

help:  ## Say what each target does
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

venv: $(INSTALLED)  ## Build .venv from requirements.lock (costs nothing when it is up to date)

$(BUILT): requirements.lock $(REBUILD)
	@"$(PYTHON)" -c '$(FITS)' 2>/dev/null || { echo "make: Eyebright needs Python 3.11, 3.12 or 3.13 with its venv module: $(if $(PYTHON),$(PYTHON) does not fit,nothing on this PATH fits). Install one (Debian and Ubuntu: apt install python3-venv), or name it: make PYTHON=/path/to/python3.12" >&2; exit 2; }
	@echo "Building $(VENV) from requirements.lock with $(PYTHON): once, a minute or two"
	@"$(PYTHON)" -m venv --clear $(VENV)
ifneq ($(UV),)
	@"$(UV)" pip install --quiet --compile-bytecode --python $(BIN)/python --no-deps --require-hashes -r requirements.lock
else
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.lock
endif
	@echo "$(CURDIR)" > $(BUILT)

# Editable: a change of the code needs nothing, one of pyproject.toml (a new command, say) takes a second.
$(INSTALLED): pyproject.toml $(BUILT)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@: > $(INSTALLED)

train: venv  ## Train: the default network on the embedded digits, or what ARGS says (make train ARGS="cifar10 --model fc")
	@$(BIN)/eyebright train $(ARGS)

test: venv  ## Run the whole test suite (PYTEST_ARGS are passed on: make test PYTEST_ARGS="-x tests/data")
	@$(BIN)/python -m pytest $(PYTEST_ARGS)

lint: venv  ## Check style, formatting, types, the layering of the floors and the Dockerfile
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/hadolint Dockerfile

format: venv  ## Format the code and mend what the linter can mend
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Not in it: the presets `best` (hours a seed) and a student with its teacher; see benchmarks/README.md.
bench: venv  ## Run the benchmarks behind the README's figures: make bench DATA=path/to/cifar-10-batches-bin (half a day)
	@test -n "$(DATA)" || { echo "make: the benchmarks need CIFAR-10: make bench DATA=path/to/cifar-10-batches-bin" >&2; exit 2; }
	$(BIN)/python benchmarks/startup.py
	$(BIN)/python benchmarks/stream.py $(ARGS)
	$(BIN)/python benchmarks/tutorial.py --data "$(DATA)" $(ARGS)
	$(BIN)/python benchmarks/convnet.py --data "$(DATA)" $(ARGS)
	$(BIN)/python benchmarks/data_work.py --data "$(DATA)" $(ARGS)
	$(BIN)/python benchmarks/kills.py --data "$(DATA)" $(ARGS)
	$(BIN)/python benchmarks/ladder.py --data "$(DATA)" $(ARGS)
	$(BIN)/python benchmarks/accuracy.py --data "$(DATA)" tutorial-softmax default-softmax tutorial-fc fast-fc default-fc fast-cnn default-cnn $(ARGS)
	$(BIN)/python benchmarks/accuracy.py $(ARGS)
	$(BIN)/python benchmarks/ablation.py --data "$(DATA)" default-fc small-cnn $(ARGS)
	$(BIN)/python benchmarks/loader.py $(ARGS)
	$(BIN)/python benchmarks/label_errors.py --data "$(DATA)" $(ARGS)
	$(BIN)/python benchmarks/explain.py --data "$(DATA)" $(ARGS)

# Whatever the build warns of, a link that leads nowhere above all, fails it; with --quiet MkDocs would warn of nothing, and
# let it pass. (The variable leaves out an advertisement.)
docs: venv  ## Build the documentation's site into site/ (open site/index.html; it needs no network)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --clean

docs-serve: venv  ## Show the documentation at http://127.0.0.1:8001, built anew whenever a page changes
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs serve --dev-addr 127.0.0.1:8001

pictures: venv  ## Run the tutorial and draw its pictures anew: make pictures DATA=path/to/cifar-10-batches-bin (ten minutes)
	$(BIN)/python docs/tutorial/run.py $(if $(DATA),--data "$(DATA)") $(ARGS)
	$(BIN)/python docs/front_page.py

# Its files' SHA-256 stand in web_runtime.py, and it takes no others.
web-runtime: venv  ## Fetch by npm what `eyebright export --format web` puts into its page (once; 33 MB)
	@npm --version >/dev/null 2>&1 || { echo "make: make web-runtime needs npm (Debian and Ubuntu: apt install npm)" >&2; exit 2; }
	@rm -rf build/web-runtime && mkdir -p build/web-runtime
	cd build/web-runtime && npm pack --silent "$$($(CURDIR)/$(BIN)/python -m eyebright.serving.web_runtime)"
	$(BIN)/python -m eyebright.serving.web_runtime build/web-runtime/*.tgz

# Of an environment that holds what the Dockerfile's does, and nothing else.
sbom: venv  ## Write what a server runs on to dist/: sbom.cdx.json (CycloneDX) and licences.txt
	@"$(PYTHON)" -m venv --clear --without-pip build/server
	@$(BIN)/python -m pip --python build/server install --quiet --disable-pip-version-check --no-deps --require-hashes --only-binary=:all: -r requirements-serve.lock
	@mkdir -p dist
	$(BIN)/cyclonedx-py environment --gather-license-texts --pyproject pyproject.toml \
		--output-reproducible -o dist/sbom.cdx.json build/server
	$(BIN)/python deploy/licences.py dist/sbom.cdx.json > dist/licences.txt

# The second and third are parts of the first: what a server needs, and what builds the package.
PIP_COMPILE = "$(UV)" pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-annotate --no-header

lock:  ## Write the locks anew from pyproject.toml (needs uv; newest versions: make lock ARGS=--upgrade)
	@test -n "$(UV)" || { echo "make: make lock needs uv: pip install uv" >&2; exit 2; }
	$(PIP_COMPILE) --all-extras pyproject.toml -o requirements.lock $(ARGS)
	$(PIP_COMPILE) --extra serve pyproject.toml -c requirements.lock -o requirements-serve.lock
	$(PIP_COMPILE) --group build -c requirements.lock -o requirements-build.lock

clean:  ## Remove the environment and what tools leave behind (runs/ stays)
	rm -rf $(VENV) build dist site .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .benchmark-venv
	find src tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
