# Two commands on a fresh machine with Python 3.11 or later: make demo, make test.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test battery check bench clean

demo: .venv/installed
	$(BIN)/residua demo

test: .venv/tested check
	$(BIN)/python -m pytest

# What takes minutes: every name exported and compiled, faults by the hundred.
battery: .venv/tested
	$(BIN)/python -m pytest -m battery

check: .venv/tested
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: .venv/tested
	$(BIN)/python benchmarks/train_cifar.py
	$(BIN)/python benchmarks/network_overhead.py

clean:
	rm -rf .venv

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "residua needs Python 3.11 or later: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 2; }
	$(PYTHON) -m venv .venv

.venv/installed: pyproject.toml | .venv/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

.venv/tested: pyproject.toml | .venv/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test]'
	@touch $@ .venv/installed
