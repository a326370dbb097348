.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

VENV := .venv
BIN := $(VENV)/bin
# The first of these that is Python 3.11 or later makes the environment; `make demo PYTHON=/path/to/python` names one.
PYTHONS := $(if $(PYTHON),$(PYTHON),python3.11 python3.13 python3.12 python3 python3.14 python)
BENCHMARKS := $(patsubst benchmarks/%.py,%,$(wildcard benchmarks/*.py)) # or `make bench BENCHMARKS="scoring batch"`
PINS := requirements.txt requirements-dev.txt
PIN := --quiet --upgrade --universal --python-version 3.11 --fork-strategy fewest \
       --no-header --no-annotate --no-emit-index-url

.PHONY: help setup setup-dev demo test lint format bench pins clean

help: ## List these targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

setup: $(VENV)/runtime.stamp ## Make .venv and install NextOffer in it

setup-dev: $(VENV)/dev.stamp ## The same, with what tests and lint need

demo: setup ## See ranked offers with reasons, and how good they are (writes demo/)
	$(BIN)/nextoffer demo --out demo

test: setup-dev ## Run every test and doctest
	$(BIN)/python -m pytest -n auto --dist loadfile $(ARGS)

lint: setup-dev ## Check format, style, types and who imports whom
	@failed=; for check in "ruff format --check ." "ruff check ." "mypy" "lint-imports"; do \
	  echo "-- $$check"; $(BIN)/$$check || failed="$$failed, $$check"; \
	done; test -z "$$failed" || { echo "lint failed: $${failed#, }" >&2; exit 1; }

format: setup-dev ## Format the code and mend what can be mended
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: setup-dev ## Run the benchmarks (about an hour); figures go to benchmarks/results
	@$(BIN)/uv pip install --quiet --python $(BIN)/python -r requirements-peers.txt || echo "Some peers cannot be installed."
	@mkdir -p benchmarks/results
	@for benchmark in $(BENCHMARKS); do \
	  echo "== $$benchmark"; \
	  $(BIN)/python benchmarks/$$benchmark.py --json benchmarks/results/$$benchmark.json || exit 1; \
	done

pins: setup-dev ## Choose the pinned versions anew
	$(BIN)/uv pip compile pyproject.toml $(PIN) -o requirements.txt
	$(BIN)/uv pip compile pyproject.toml --group dev $(PIN) -c requirements.txt -o requirements-dev.txt
	$(BIN)/uv pip compile pyproject.toml --group peers $(PIN) -c requirements-dev.txt -o requirements-peers.txt

clean: ## Remove .venv, caches and the demo's output
	rm -rf $(VENV) build dist demo .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# uv installs several times quicker; pip, with whatever index it is set to, is there when uv is not or cannot.
# Compiling what was installed, once and here, is what keeps every later start short.
define install
	@test -x $(BIN)/uv || $(BIN)/python -m pip install --quiet --constraint requirements-dev.txt uv || true
	@$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python -r $(1) -e . \
	  || $(BIN)/python -m pip install --quiet -r $(1) -e .
	@$(BIN)/python -m compileall -q src
endef

$(VENV)/runtime.stamp: requirements.txt pyproject.toml | $(BIN)/python
	@echo "Installing NextOffer in $(VENV) (about a minute the first time) ..."
	$(call install,requirements.txt)
	@touch $@

$(VENV)/dev.stamp: $(PINS) pyproject.toml | $(BIN)/python
	@echo "Installing NextOffer and its development tools in $(VENV) ..."
	$(call install,requirements-dev.txt)
	@touch $@ $(VENV)/runtime.stamp

$(BIN)/python:
	@for python in $(PYTHONS); do \
	  if $$python -c 'import ensurepip, sys; sys.exit(sys.version_info < (3, 11))' > /dev/null 2>&1; then \
	    exec $$python -m venv --clear $(VENV); \
	  fi; \
	done; \
	echo "error: NextOffer needs Python 3.11 or later with its venv module; tried: $(PYTHONS)." >&2; \
	echo "       Install one, or name it: make demo PYTHON=/path/to/python" >&2; \
	exit 1
