"""What the plug-ins of other programs serve is there while the program runs, and gone with it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time

import psutil

from tests import ROOT

PROGRAM = """
import json, sys, urllib.request
from harness.evaluators.plugins.variant import served

found = served("smollm2-135m", "fp32", sut="simulated", max_len=512)
again = served("smollm2-135m", "fp32", sut="simulated", max_len=512)
with urllib.request.urlopen(found.url + "/models", timeout=30) as answer:
    listed = [row["id"] for row in json.load(answer)["data"]]
heavy = [name for name in ("torch", "pydantic", "typer", "msgspec") if name in sys.modules]
print(json.dumps({"same": found == again, "there": found.model in listed, "heavy": heavy}))
import psutil
print([one.pid for one in psutil.Process().children(recursive=True)])
"""


def test_a_variant_is_served_as_long_as_the_program_runs():
    """By what needs no more than numpy and psutil in the program's Python."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told, pids = done.stdout.splitlines()
    assert json.loads(told) == {"same": True, "there": True, "heavy": []}
    deadline = time.monotonic() + 20
    while any(map(psutil.pid_exists, json.loads(pids))):
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_a_model_that_cannot_be_served_is_told_in_the_servers_words():
    code = "from harness.evaluators.plugins.variant import served; served('./nope', 'fp32')"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert "there is no such file or folder" in done.stderr
    assert "RuntimeError: serving ./nope in fp32: it ended with exit code 2" in done.stderr
