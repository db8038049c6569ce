# The two commands a newcomer needs: `make demo` and `make test`. Both work on a machine with Python 3.11+ and make.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check --quiet

.DEFAULT_GOAL := help
.PHONY: help install demo test lint nightly bench lock clean

help:  ## show this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*##/\t/' | expand -t 12

$(VENV)/.installed: .ci/runtime.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed; this is " + sys.version.split()[0] + ". Try: make PYTHON=python3.11 demo")'
	@test -x $(BIN)/python || { echo "Creating $(VENV)"; $(PYTHON) -m venv $(VENV); }
	@echo "Installing (a minute or so the first time)"
	@$(PIP) install --require-hashes --requirement .ci/runtime.lock
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed .ci/dev.lock
	@echo "Installing what the tests need"
	@$(PIP) install --require-hashes --requirement .ci/dev.lock
	@touch $@

install: $(VENV)/.installed  ## create .venv and install the engine

demo: $(VENV)/.installed  ## simulate 20,000 people and run the whole job, with a report
	@$(BIN)/mdm demo --people 20000 --seed 7 --out demo

lint: $(VENV)/.installed-dev  ## style, types, import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: lint  ## lint, types, import contracts, tests
	$(BIN)/pytest -n 2 --dist worksteal

nightly: $(VENV)/.installed-dev  ## the long tests (half an hour)
	$(BIN)/pytest -n 2 --dist worksteal -m nightly

bench: $(VENV)/.installed-dev  ## the benchmarks, results under benchmarks/results (an hour)
	$(BIN)/python -m benchmarks.batch --people 500000 --growth 50000

lock:  ## renew the lock files (needs uv)
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate \
	  --extra build pyproject.toml --output-file .ci/runtime.lock
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate \
	  --extra build --extra dev pyproject.toml --output-file .ci/dev.lock

clean:  ## remove the environment, caches and the demo's output
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache demo
