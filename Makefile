# setup: a venv with everything · run: the main thing · test · check: format, lint, types · bench: side by side with the peers
PYTHON ?= python3
BIN := .venv/bin

.PHONY: setup run test check bench clean
setup: .venv/.dev

run: .venv/.run
	$(BIN)/python -m harness run --scenario server

test: .venv/.dev
	$(BIN)/python -m pytest

check: .venv/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

bench: .venv/.dev
	$(BIN)/python -m tests.bench

clean:
	rm -rf .venv runs build *.egg-info

.venv/bin/python:
	$(PYTHON) -m venv .venv

.venv/.run: .venv/bin/python pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	touch $@

.venv/.dev: .venv/bin/python pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch .venv/.run $@
