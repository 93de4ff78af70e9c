# `make check` is what CI runs: the tests in a virtual environment of their own, then lint, format and types,
# and the known vulnerabilities of what is installed.
VENV ?= .venv-check
BIN := $(VENV)/bin

.PHONY: check test lint audit
check: test lint audit

$(VENV)/installed: pyproject.toml
	python3 -m venv $(VENV)
	$(BIN)/pip install --quiet -e ".[dev]"
	touch $@

# Two processes of one thread each: faster than one of two on small models, and the same results everywhere.
test: $(VENV)/installed
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2

lint: $(VENV)/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Fails on a known vulnerability; where the advisory service cannot be reached it says so and passes.
audit: $(VENV)/installed
	$(BIN)/python tools/audit.py
