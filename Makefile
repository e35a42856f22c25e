# CI and people call the same targets. Python 3.11+ is all that must be there.
PYTHON ?= $(shell command -v python3.13 || command -v python3.12 || command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
PORT ?= 8080

.PHONY: run test check bench install dev clean
install: $(VENV)/.run
dev: $(VENV)/.dev

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit("mediabeat needs Python 3.11 or newer; set PYTHON=/path/to/python3" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.run: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e .
	@touch $@

$(VENV)/.dev: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@ $(VENV)/.run

run: install  ## everything in one process on the embedded log
	@$(BIN)/mediabeat run --port $(PORT)

test: dev  ## all tests, the real Kafka broker included
	$(BIN)/python -m pytest -m 'not chaos'

check: dev  ## lint, types, import rules, schema examples
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/python -m pytest tests/schemas -k 'example or schema' -q

bench: dev  ## figures on this machine, as JSON lines in .bench/
	$(BIN)/python -m tests.bench.embedded

clean:
	rm -rf $(VENV) build dist *.egg-info
