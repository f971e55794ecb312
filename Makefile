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
	@$(PYTHON) -m venv --clear .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-uv.txt
	@touch $@

# `pip sync` removes the members, so they are installed again behind the same stamp.
.venv/.installed: .venv/.uv requirements.txt $(PROJECTS)
	@$(BIN)/uv pip sync --quiet --require-hashes requirements.txt
	@$(BIN)/uv pip install --quiet --offline --no-deps --no-build-isolation $(MEMBERS:%=-e ./%)
	@touch $@

# Pins that are there stay; `make lock UPGRADE=name` moves one.
lock: .venv/.uv ## write requirements.txt from the members' pyproject.toml
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
	  --no-emit-index-url --no-emit-find-links $(if $(UPGRADE),--upgrade-package $(UPGRADE)) \
	  --group dev $(PROJECTS) $(NAMES:%=--no-emit-package %) --output-file requirements.txt
