# All that a person or the CI types here. `make` alone lists it.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

PYTHON ?= python3
BIN := .venv/bin
PRM := $(BIN)/prm
SERVICES := $(patsubst %/pyproject.toml,%,$(wildcard services/*/pyproject.toml))
MEMBERS := contracts chassis approvals $(SERVICES) ops
PROJECTS := $(MEMBERS:%=%/pyproject.toml)
# A member is named by its directory, except the contracts, which leave the house.
NAMES := prm-contracts $(filter-out contracts,$(notdir $(MEMBERS)))

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

# --- the environment -------------------------------------------------------------------------

.PHONY: setup lock
setup: .venv/.installed ## make the virtual environment .venv from the pinned requirements

# A directory that pip could not finish has no stamp and is made again.
.venv/.uv: requirements-uv.txt
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Python 3.11 or newer is needed: make PYTHON=python3.x")'
	@echo "making the virtual environment .venv ..."
	@$(PYTHON) -m venv --clear .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-uv.txt
	@touch $@

# `pip sync` removes the members, so they are installed again behind the same stamp.
.venv/.installed: .venv/.uv requirements.txt $(PROJECTS)
	@echo "installing the pinned requirements ..."
	@$(BIN)/uv pip sync --quiet --compile-bytecode --require-hashes requirements.txt
	@$(BIN)/uv pip install --quiet --offline --no-deps --no-build-isolation $(MEMBERS:%=-e ./%)
	@touch $@

# Pins that are there stay; `make lock UPGRADE=name` moves one.
lock: .venv/.uv ## write requirements.txt from the members' pyproject.toml
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
	  --no-emit-index-url --no-emit-find-links $(if $(UPGRADE),--upgrade-package $(UPGRADE)) \
	  --group dev $(PROJECTS) $(NAMES:%=--no-emit-package %) --output-file requirements.txt

# --- the gate --------------------------------------------------------------------------------

# One step a tool, the quick ones first; each is a target, to run it alone.
STEPS := check-format check-lint check-spelling check-house check-contracts check-layers check-dependencies check-types
.PHONY: check $(STEPS)
check: $(STEPS) ## all static checks: style, types, layers, dependencies, house rules

check-format: setup
	@$(BIN)/ruff format --quiet --diff .
check-lint: setup
	@$(BIN)/ruff check --quiet .
check-spelling: setup
	@$(BIN)/codespell .
check-house: setup
	@$(BIN)/python gate/house_rules.py .
check-contracts: setup # what integrators receive is up to date and breaks no released fact
	@$(BIN)/python -m prm_contracts.emit --check
check-layers: setup
	@found=$$($(BIN)/lint-imports --no-logo) || { echo "$$found"; exit 1; }
check-dependencies: setup
	@failed=0; for member in $(MEMBERS); do (cd $$member && found=$$($(CURDIR)/$(BIN)/deptry --no-ansi . 2>&1) \
	  || { echo "$$member: $$found"; exit 1; }) || failed=1; done; exit $$failed
# Member by member: each has its own tests/conftest.py.
check-types: setup
	@failed=0; for part in $(MEMBERS) gate tests; do if [ -n "$$(find $$part -name '*.py' -print -quit 2>&-)" ]; then \
	  (cd $$part && $(CURDIR)/$(BIN)/mypy --no-error-summary --config-file $(CURDIR)/pyproject.toml \
	  --cache-dir $(CURDIR)/.mypy_cache .) || failed=1; fi; done; \
	  $(BIN)/mypy --no-error-summary bench || failed=1; exit $$failed

.PHONY: format
FILES ?= .
format: setup ## write the style that check asks for, in FILES=.
	@$(BIN)/ruff check --quiet --fix-only $(FILES) && $(BIN)/ruff format --quiet $(FILES)

# --- tests -----------------------------------------------------------------------------------

# Branch coverage, in per cent, of every service's domain and policies.
COVERAGE_FLOOR ?= 100
# What to run and how, e.g. make unit TESTS=chassis PYTEST_ARGS='-k relay -x'
TESTS ?=
PYTEST_ARGS ?=

.PHONY: unit test
unit: setup ## tests of the members, without the stories of the whole platform
	@$(BIN)/pytest $(PYTEST_ARGS) $(or $(TESTS),gate $(MEMBERS))

# Processes side by side, each with a broker and a database of its own: most of a test is waiting.
PROCESSES ?= 2
# One run, so that the count in its closing line is the whole count.
test: setup check ## the gate, then every test
	@$(BIN)/pytest --numprocesses $(PROCESSES) --no-loadscope-reorder --cov --cov-report=term-missing --cov-fail-under=$(COVERAGE_FLOOR) $(PYTEST_ARGS) $(TESTS)

.PHONY: chaos
chaos: setup ## the stories of faults at full length; PRM_CHAOS_SEED=n repeats one
	@PRM_CHAOS=1 $(BIN)/pytest -m chaos -s --durations=0 $(PYTEST_ARGS) $(or $(TESTS),tests/integration chassis/tests)

# Each of the WRITERS tells or asks something three times a second at most.
MINUTES ?= 30
WRITERS ?= 6
.PHONY: soak
soak: setup ## all that people do, MINUTES=30, at last under kills: memory, loss, lag; PRM_CHAOS_SEED=n
	@$(BIN)/python -m bench.soak --minutes $(MINUTES) --writers $(WRITERS)

# A failure prints how to have it again: SEED=n, or what REPLAY= takes. Sets of texts have another
# order in each process, and a run another course, unless PYTHONHASHSEED says which.
SEEDS ?= 10000
SIMULATE := PYTHONHASHSEED=0 $(BIN)/python -m tests.simulation
.PHONY: simulate
simulate: setup ## 10,000 simulated platforms under faults, and longer state machines; SEED=n repeats one
ifneq ($(or $(SEED),$(REPLAY)),)
	@$(SIMULATE) $(if $(SEED),--seed $(SEED),$(REPLAY))
else
	@$(SIMULATE) --seeds $(SEEDS)
	@$(SIMULATE) --crashes --pairs 8
	@PRM_STATEFUL_EXAMPLES=400 PRM_SIMULATED=12 $(BIN)/pytest --timeout=3600 tests/simulation/test_the_model_is_true.py \
	  chassis/tests/test_store_machine.py chassis/tests/test_delivery_machine.py
endif

# A seed is printed with each finding; `st run ... --seed` has it again.
EXAMPLES ?= 100
.PHONY: fuzz
fuzz: setup ## ask every operation whatever schemathesis thinks of, EXAMPLES=100 each
	@PRM_FUZZ_EXAMPLES=$(EXAMPLES) $(BIN)/pytest --capture=no tests/integration/test_schemathesis_finds_nothing.py $(PYTEST_ARGS)

# --- the platform ----------------------------------------------------------------------------

.PHONY: demo up status down clean images bench bench-smoke bench-demo
demo: setup ## start everything, play a first story, leave it running
	@$(PRM) demo
up: setup ## start everything
	@$(PRM) up
status: setup ## what runs, and how far behind it is
	@$(PRM) status
down: setup ## stop what `up` or `demo` started; the data stays
	@$(PRM) down
clean: setup ## stop, and remove the data
	@$(PRM) clean
# Jars are copied into the image: Maven and its settings stay outside.
BASE ?= debian:bookworm-slim
images: setup ## broker and database as images on BASE=, for PRM_BACKEND=docker
	@docker build --build-arg BASE=$(BASE) --tag prm-postgres deploy/images/postgres
	@jars=$$($(BIN)/python -c 'from ops.backends.kafka import libraries; print(libraries())') && \
	  docker build --build-arg BASE=$(BASE) --tag prm-kafka --file deploy/images/kafka/Dockerfile $$jars
# e.g. make bench BENCH="append relay"
BENCH ?=
bench: setup ## every bench against its peers and limits, into docs/benchmarks.md; BENCH= some of them
	@$(BIN)/python -m bench $(BENCH)
# e.g. make bench-smoke JSON=figures.json
JSON ?=
bench-smoke: setup ## all figures of the platform in three minutes: rates, latencies, CPU, memory
	@$(BIN)/python -m bench.smoke $(if $(JSON),--json $(JSON))
bench-demo: setup ## time of `make demo` in a new clone: cold (all is fetched), warm, again
	@$(BIN)/python -m bench.demo $(if $(JSON),--json $(JSON))
