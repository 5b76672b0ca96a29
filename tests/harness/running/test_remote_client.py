"""What does a user keep of a run whose requests another machine has sent?"""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from harness.cli import app
from harness.engine.referee.client import client_clocks
from tests import ROOT

FEW = "--num-samples 8 --max-new-tokens 8 --warmup 0 --min-queries 20 --min-duration 0.5"


@pytest.fixture
def lent(tmp_path):
    """The command on the other machine; yields where it listens."""
    command = [sys.executable, "-m", "harness", "client", "--listen", "127.0.0.1:0"]
    env = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "200"}
    process = subprocess.Popen(command, env=env, text=True, cwd=tmp_path, stderr=subprocess.PIPE)
    words = process.stderr.readline()
    assert words.startswith("listening at "), words
    yield words.removeprefix("listening at ").partition(";")[0]
    process.terminate()
    process.communicate(timeout=30)
    assert process.returncode == 130


def test_a_run_tells_how_sure_the_clock_of_its_client_is(golden, lent, tmp_path):
    golden.set(ttft_ms=10, per_token_ms=1, tokens=4)
    words = f"run --base-url {golden.url} {FEW} --scenario server --target-qps 30 --client {lent}"
    done = CliRunner().invoke(app, [*words.split(), "--output-dir", str(tmp_path), "--json"])
    found = json.loads(done.stdout.splitlines()[-1])
    (clock,) = found["driver"]["client"]["clocks"]
    assert clock["host"] == lent
    assert abs(clock["offset_ms"]) <= clock["error_us"] / 1e3  # it is the same clock
    rules = {verdict["rule"]: verdict for verdict in found["verdicts"]}
    assert rules["client_clocks"]["measured"] == clock["error_us"] / 1e3
    assert found["counts"]["samples"] >= 20


def test_clocks_that_nobody_knows_well_make_a_run_invalid():
    clock = {"host": "10.0.0.7:7711", "offset_ms": 3.0, "drift_us": -9000.0, "error_us": 12_000.0}
    (verdict,) = client_clocks({"clocks": [clock]}, 10_000_000)
    assert (verdict.status, verdict.measured, verdict.limit) == ("FAIL", 12.0, 10.0)
    assert verdict.detail.startswith("the clock of 10.0.0.7:7711 is known to 12 ms")
    assert "NTP" in verdict.remedy
    (verdict,) = client_clocks({"clocks": [clock]}, 20_000_000)
    assert verdict.status == "PASS"
    assert client_clocks({}, 10_000_000) == []


@pytest.mark.parametrize(
    ("flags", "code", "words"),
    [("--client nowhere:x", 2, "no address of a client"), ("--client 127.0.0.1:9", 3, "refused")],
)
def test_a_client_that_is_none_is_a_sentence(golden, tmp_path, flags, code, words):
    command = f"run --base-url {golden.url} {FEW} --scenario server --target-qps 30 {flags}"
    done = CliRunner().invoke(app, [*command.split(), "--output-dir", str(tmp_path)])
    assert (done.exit_code, words in done.stderr) == (code, True), done.stderr
