"""What does a user keep of a run whose workers ask a server, however it ends?"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
from typer.testing import CliRunner

from harness.cli import app
from harness.engine import runlog
from tests import ROOT

FEW = "--num-samples 8 --max-new-tokens 8 --warmup 0"


def asked(golden, place: Path, words: str) -> list[str]:
    return f"run --base-url {golden.url} {FEW} --output-dir {place} {words}".split()


def begun(golden, place: Path, words: str, answers: int) -> subprocess.Popen[str]:
    """Start a run, and return once the server has answered so often."""
    command = [sys.executable, "-m", "harness", *asked(golden, place, words)]
    env = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "200"}
    process = subprocess.Popen(command, env=env, text=True, stdout=subprocess.PIPE, stderr=-2)
    before = -1
    while len(golden.stamps()) < answers:
        if before < 0 and any(place.glob("*/journal.bin")):
            golden.set(ttft_ms=10, per_token_ms=1, tokens=4)  # from here on they are the run's
            before = 0
        time.sleep(0.05)
        assert process.poll() is None, process.communicate()[0]
    return process


def ended(process: subprocess.Popen[str], code: int) -> str:
    said, _ = process.communicate(timeout=60)
    assert process.returncode == code, said
    return said


def log_of(place: Path):
    return runlog.read_log(next(path.parent for path in place.glob("*/samples.parquet")))


def test_the_stamps_of_a_run_are_those_of_the_server(golden, tmp_path):
    golden.set(ttft_ms=20, per_token_ms=5, tokens=6)
    words = "--scenario server --target-qps 30 --min-queries 30 --min-duration 0.5 --json"
    done = CliRunner().invoke(app, asked(golden, tmp_path, words))
    found = json.loads(done.stdout.splitlines()[-1])
    client = found["driver"]["client"]
    assert client["answers"] == found["counts"]["samples"] >= 30
    assert client["workers"] == 1
    assert "client_limit" in {verdict["rule"] for verdict in found["verdicts"]}
    log, _ = log_of(tmp_path)
    rows = {int(row.id.removeprefix("touchstone-")): row for row in golden.stamps()[-len(log) :]}
    issued_to_first = log.first_ns - log.issued_ns
    assert (issued_to_first >= 20e6).all()
    assert np.median(np.diff(log.stamp_ns[log.stamp_start[0] : log.stamp_start[1]])) > 1e6
    assert [rows[i].ids for i in range(len(log))] == [
        log.record(i).token_ids.tolist() for i in range(len(log))
    ]


def test_a_driver_that_is_killed_loses_nothing_that_workers_have_told(golden, tmp_path):
    words = "--scenario server --target-qps 40 --min-queries 4000"
    process = begun(golden, tmp_path, words, answers=80)
    process.kill()
    process.communicate()
    folder = next(tmp_path.iterdir())
    said = CliRunner().invoke(app, ["report", "--json", str(folder)])
    assert said.exit_code == 130, said.output
    counts = json.loads(said.stdout.splitlines()[-1])["counts"]
    assert counts["completed"] >= 40  # a bulk comes ten times a second
    log, _ = log_of(tmp_path)
    assert (np.diff(log.stamp_start)[log.completed] == 4).all()


def test_ctrl_c_lets_what_is_open_end(golden, tmp_path):
    words = "--scenario server --target-qps 40 --min-queries 4000"
    process = begun(golden, tmp_path, words, answers=40)
    process.send_signal(signal.SIGINT)
    ended(process, 130)
    log, _ = log_of(tmp_path)
    assert log.end == "interrupted"
    assert log.completed.all()
    assert len(log) >= 30


def test_a_worker_that_is_killed_breaks_the_run_and_costs_no_answer_that_came(golden, tmp_path):
    words = "--scenario single-stream --min-queries 4000"
    process = begun(golden, tmp_path, words, answers=60)
    children = psutil.Process(process.pid).children(recursive=True)
    worker = next(c for c in children if "sut.served.client.worker" in c.cmdline())
    worker.kill()
    assert "SIGKILL" in ended(process, 4)
    log, _ = log_of(tmp_path)
    assert log.end == "error"
    assert log.completed.sum() >= 20


def test_loadgen_drives_and_the_workers_say_when(golden, tmp_path):
    pytest.importorskip("mlperf_loadgen")
    golden.set(ttft_ms=10, per_token_ms=8, tokens=6)
    words = "--scenario server --driver mlcommons --target-qps 20 --min-queries 20 --json"
    done = CliRunner().invoke(app, asked(golden, tmp_path, f"{words} --min-duration 1"))
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["counts"]["completed"] == found["counts"]["samples"] >= 20
    assert found["latency"]["itl_ms"]["p50"] > 4  # not those of the bulk's arrival
    assert found["loadgen"]
