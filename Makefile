# CI and people call the same targets. Python 3.11+ is all that must be there.
# The first interpreter that really runs and is new enough (a name on PATH may be a shim of something not installed).
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11 python; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
VENV := .venv
BIN := $(VENV)/bin
KAFKA_PORT ?= 9092
# What is installed beyond what runs it, and what that includes.
EXTRAS.dev := [dev]
EXTRAS.bench := [bench]
INCLUDES.dev := $(VENV)/.run
INCLUDES.bench := $(VENV)/.run $(VENV)/.dev

.PHONY: run test check bench bench-door compiled chaos kafka kafka-stop kafka-3 install dev clean
install: $(VENV)/.run
dev: $(VENV)/.dev

$(VENV)/bin/python:  # taken away again when it fails: half of one would pass for whole
	@test -n "$(PYTHON)" || { echo 'mediabeat needs Python 3.11 or newer; set PYTHON=/path/to/python3' >&2; exit 1; }
	$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }

$(VENV)/.run $(VENV)/.dev $(VENV)/.bench: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e '.$(EXTRAS$(@F))'
	@touch $@ $(INCLUDES$(@F))

run: install  ## everything in one process on the embedded log (PORT=8090 for another port)
	@$(BIN)/mediabeat run $(if $(PORT),--port $(PORT))

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
	set -e; for part in embedded worker memory restore steady; do $(BIN)/python -m tests.bench.$$part; done

compiled: dev  ## the pure rooms compiled by mypyc into build/compiled (needs a C compiler); see docs/sizing.md
	rm -rf build
	MEDIABEAT_COMPILE=1 $(BIN)/python -m pip install -q --no-deps --upgrade --target build/compiled .

bench-door: dev  ## the front door beside an ordinary service, on a real broker
	$(BIN)/python -m tests.bench.door

chaos: dev  ## kill -9 and SIGSTOP of workers, doors and brokers under load, for minutes
	$(BIN)/python -m pytest -m chaos tests/chaos -s

kafka kafka-3: dev  ## a real broker on 127.0.0.1:9092, of one node or three (KAFKA_PORT moves it)
	@$(BIN)/python -m deploy.broker start --nodes $(if $(filter kafka,$@),1,3) --port $(KAFKA_PORT)

kafka-stop:
	@$(BIN)/python -m deploy.broker stop --port $(KAFKA_PORT)

clean:
	rm -rf $(VENV) build dist *.egg-info
