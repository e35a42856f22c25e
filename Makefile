# CI and people call the same targets. Python 3.11+ is all that must be there.
# The first interpreter that really runs and is new enough (a name on PATH may be a shim of something not installed).
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11 python; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
VENV := .venv
BIN := $(VENV)/bin
PORT ?= 8080
KAFKA_PORT ?= 9092

.PHONY: run test check bench bench-door compiled chaos kafka kafka-stop kafka-3 install dev clean
install: $(VENV)/.run
dev: $(VENV)/.dev

$(VENV)/bin/python:
	@test -n "$(PYTHON)" || { echo 'mediabeat needs Python 3.11 or newer; set PYTHON=/path/to/python3' >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.run: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e .
	@touch $@

$(VENV)/.dev: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@ $(VENV)/.run

$(VENV)/.bench: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e '.[bench]'
	@touch $@ $(VENV)/.dev $(VENV)/.run

run: install  ## everything in one process on the embedded log
	@$(BIN)/mediabeat run --port $(PORT)

test: dev  ## all tests, the real Kafka broker included
	$(BIN)/python -m pytest -m 'not chaos' tests/chaos
	$(BIN)/python -m pytest -m 'not chaos' --ignore tests/chaos -n 3 --dist loadfile --no-loadscope-reorder

check: dev  ## lint, types, import rules, schema examples
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/python -m pytest tests/schemas -k 'example or schema' -q

bench: $(VENV)/.bench  ## figures on this machine, as JSON lines in .bench/
	$(BIN)/python -m tests.bench.embedded
	$(BIN)/python -m tests.bench.worker
	$(BIN)/python -m tests.bench.memory
	$(BIN)/python -m tests.bench.restore
	$(BIN)/python -m tests.bench.steady

compiled: dev  ## the pure rooms compiled by mypyc into build/compiled (needs a C compiler); see docs/sizing.md
	rm -rf build
	MEDIABEAT_COMPILE=1 $(BIN)/python -m pip install -q --no-deps --upgrade --target build/compiled .

bench-door: dev  ## the front door beside an ordinary service, on a real broker
	$(BIN)/python -m tests.bench.door

chaos: dev  ## kill -9 and SIGSTOP of workers, doors and brokers under load, for minutes
	$(BIN)/python -m pytest -m chaos tests/chaos -s

kafka: dev  ## a real one-node broker on 127.0.0.1:9092 (KAFKA_PORT moves it)
	@$(BIN)/python -m deploy.broker start --port $(KAFKA_PORT)

kafka-3: dev  ## three nodes on loopback
	@$(BIN)/python -m deploy.broker start --nodes 3 --port $(KAFKA_PORT)

kafka-stop:
	@$(BIN)/python -m deploy.broker stop --port $(KAFKA_PORT)

clean:
	rm -rf $(VENV) build dist *.egg-info
