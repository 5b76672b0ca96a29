"""`make test-clients`: programs of others, unchanged, against `harness serve` of the real model.

Each has a virtual environment of its own under .venv-clients, made by pip once; where it cannot be
installed its tests are skipped.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from harness.evaluators.tools import hf_evaluate
from tests import ROOT

PLACE = ROOT / ".venv-clients"
MODEL = "smollm2-135m"
PACKAGES = {
    "openai": ["openai==3.57.0"],
    "lmeval": ["lm-eval[api]==0.4.13"],
    "lmevalmath": ["lm-eval==0.4.13", "math-verify==0.9.0", "antlr4-python3-runtime==4.11"],
    "inspect": ["inspect-ai", "openai==3.57.0"],
    "hfevaluate": [*hf_evaluate.TOOL.packages],
    "guidellm": ["guidellm==0.8.1"],
    "aiperf": ["aiperf==0.13.0"],
}
ALIASES = ("gpt-4.1-2025-04-14", "gpt-4-turbo-preview")


class Program:
    """A virtual environment with a program of others in it."""

    def __init__(self, folder: Path, place: Path) -> None:
        self.bin, self.place = folder / "bin", place

    def run(self, *words: str, timeout: float = 280, **variables: str) -> str:
        """Run it to its end in an empty folder; return what it wrote to stdout."""
        quiet = {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "NO_COLOR": "1", "COLUMNS": "200"}
        ours = ("PYTHONPATH", "VIRTUAL_ENV")
        own = {name: value for name, value in os.environ.items() if name not in ours}
        done = subprocess.run(
            [self.bin / words[0], *words[1:]],
            env={**own, **quiet, **variables},
            cwd=self.place,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        return done.stdout

    def python(self, code: str, **how: str) -> str:
        return self.run("python", "-c", code, **how)


@pytest.fixture
def program(request, tmp_path) -> Program:
    """The program that the test's module names as PROGRAM."""
    name = request.module.PROGRAM
    folder = PLACE / name
    if name == "vllm":
        folder = ROOT / ".venv-vllm"
        if not (folder / "bin" / "vllm").exists():
            pytest.skip("make bench-vllm installs it (3.4 GB)")
    elif not (folder / ".ready").exists():
        _install(folder, PACKAGES[name])
    return Program(folder, tmp_path)


def _install(folder: Path, packages: list[str]) -> None:
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    words = [folder / "bin" / "python", "-m", "pip", "install", "--quiet", *packages]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"{' '.join(packages)} cannot be installed here")
    (folder / ".ready").touch()


@pytest.fixture(scope="session")
def served(smollm2):
    """What `harness serve --json` says of itself once it answers; that of TOUCHSTONE_SERVED (such
    an object) is asked instead, where that is set.
    """
    if given := os.environ.get("TOUCHSTONE_SERVED"):
        yield json.loads(given)
        return
    words = [sys.executable, "-m", "harness", "serve", "--model", smollm2, "--port", "0", "--json"]
    words += ["--max-concurrency", "8", "--max-len", "2048"]
    words += [word for name in ALIASES for word in ("--alias", name)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=environment)
    try:
        yield json.loads(process.stdout.readline())
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
        process.stdout.close()


@pytest.fixture(scope="session")
def folder(smollm2) -> str:
    """Where the model and its tokenizer are on the disk."""
    from sut.model.find import resolve

    return resolve(smollm2, lambda text: None).path
