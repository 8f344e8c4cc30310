# Every target works on a fresh Debian machine with Python 3.11; `make help` lists them.
# Debian's own Python is compiled with profiles (PGO, LTO) and runs a scan far quicker than one compiled by hand that stands
# first on the PATH; `make PYTHON=…` chooses another. Looked for when it is needed: `apt` may have made it usable first.
PYTHON ?= $(shell for p in /usr/bin/python3 python3; do \
	"$$p" -c 'import ensurepip, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo "$$p"; exit; }; done; echo python3)
VENV   ?= .venv
BIN    := $(VENV)/bin
PORT   ?= 8000
PIP    := $(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt

.PHONY: demo test check bench help apt clean
.DEFAULT_GOAL := help

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.run: setup.py constraints.txt | $(BIN)/python
	$(PIP) -e . && touch $@

$(VENV)/.test: setup.py constraints.txt | $(BIN)/python
	$(PIP) -e '.[test,bench]' && touch $@ $(VENV)/.run

demo: $(VENV)/.run ## install, then run everything embedded with simulators: no hardware, no internet
	$(BIN)/hospital demo --port $(PORT)

test: apt $(VENV)/.test ## install what the tests need, then run every check and test
	$(MAKE) --no-print-directory check
	$(BIN)/python -m pytest -n 2 --dist loadgroup

check: $(VENV)/.test ## lint, types and floors, without running tests
	$(BIN)/ruff check . && $(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/.test ## run every bench; BENCH_FLAGS=--quick for the short version
	$(BIN)/python -m bench $(BENCH_FLAGS)

apt: ## Debian packages for browser, camera and PostgreSQL tests, when this user may install them
	@sh tests/apt.sh

clean: ## remove the venv and what runs leave behind
	rm -rf $(VENV) var build *.egg-info .pytest_cache .mypy_cache .ruff_cache

help: ## this list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | sort | awk -F'\t' '{printf "  make %-9s %s\n", $$1, $$2}'
