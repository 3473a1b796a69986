# `make help` lists the targets. Needs make and Python 3.11 or newer, nothing else: the rest goes into .venv.

PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; exit; }; done; echo python3)
VENV := .venv
BIN := $(VENV)/bin
BROKER := $(VENV)/.broker-installed
TOOLS := $(VENV)/.tools-installed
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
PYTEST_ARGS ?=

BENCHES := $(filter-out __init__ kafka_dist sprawl_server,$(basename $(notdir $(wildcard tools/bench/*.py))))

DATA ?= data
LISTENERS ?= PLAINTEXT://127.0.0.1:9092
HTTP ?= 127.0.0.1:9644

.DEFAULT_GOAL := help
.PHONY: help setup start test lint unit compat kafka bench docs clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo
	@echo "Settings of make start: DATA=$(DATA) LISTENERS=$(LISTENERS) HTTP=$(HTTP) ARGS='--set num.partitions=4'"

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "Sprawl needs Python 3.11 or newer; '$(PYTHON)' is: $$($(PYTHON) --version 2>&1 | head -n 1)."; \
		echo "Install one, or name it: make PYTHON=/path/to/python3.12 ..."; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "This Python cannot make virtual environments. On Debian and Ubuntu: sudo apt-get install python3-venv"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(BROKER): pyproject.toml | $(BIN)/python
	$(PIP) --editable .
	@touch $@

$(TOOLS): pyproject.toml | $(BIN)/python
	$(PIP) --editable '.[dev]'
	@touch $(BROKER) $@

setup: $(TOOLS) ## make .venv with everything installed

start: $(BROKER) ## start a broker on 127.0.0.1:9092
	$(BIN)/sprawl start --data-dir $(DATA) --listeners $(LISTENERS) --http $(HTTP) $(ARGS)

test: lint kafka unit compat ## everything that must be green: lint, unit and simulation tests, real clients

lint: $(TOOLS) ## style, types, and who imports whom
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

unit: $(TOOLS) ## unit and simulation tests
	$(BIN)/pytest tests -n auto --timeout-method=thread $(PYTEST_ARGS)

kafka: $(TOOLS) ## fetch Apache Kafka, which some tests and benches compare with (needs Java and Maven)
	$(BIN)/python -m tools.bench.kafka_dist --fetch

compat: $(TOOLS) ## real clients against a real broker; prints the matrix
	$(BIN)/pytest compat_tests -n 2 --dist loadfile $(PYTEST_ARGS)

bench: $(TOOLS) ## the hot paths by themselves, then side by side with Apache Kafka (needs Java and Maven)
	for one in $(BENCHES); do $(BIN)/python -m tools.bench.$$one || exit 1; done
	$(BIN)/python -m tools.bench.versus_kafka $(ARGS)

docs: $(TOOLS) ## write the generated pages of docs/
	$(BIN)/python -m tools.docs

clean: ## remove .venv, caches and build output; data/ stays
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
