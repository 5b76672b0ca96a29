"""What does a user get who measures a server? Through the command line, against a server of known
answers (`sut.golden`).
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from harness.cli import app
from tests import ROOT, command_line

KEY = "a-key-that-nobody-may-see-81723"
FEW = "--num-samples 8 --max-new-tokens 8"


def run(golden, place, words="", code=0):
    """Make a run; return result.json and what stood on the screen."""
    return command_line.run(f"--base-url {golden.url} {FEW} {words}", place, code)


def status_of(result, rule):
    (verdict,) = (v for v in result["verdicts"] if v["rule"] == rule)
    return verdict["status"]


def test_a_server_is_measured_like_a_model_of_our_own(golden, tmp_path):
    golden.set(ttft_ms=10, per_token_ms=4, tokens=6)
    found, screen = run(golden, tmp_path, "--scenario single-stream --min-queries 64 --warmup 2")
    assert (found["status"], found["sut"], found["model"]) == ("VALID", "served", "golden")
    assert found["counts"]["completed"] == found["counts"]["samples"] >= 64
    assert found["latency"]["ttft_ms"]["p50"] >= 10
    assert found["counts"]["tokens"] == 6 * found["counts"]["samples"]
    served = found["served"]
    assert (served["model"], served["token_source"]) == ("golden", "ids")
    assert served["failures"] == []
    assert status_of(found, "cold_prompts") == "PASS"
    assert "the server's token ids" in screen
    page = next(tmp_path.glob("*/report.html")).read_text(encoding="utf-8")
    assert "Found out by a few requests" in page


@pytest.mark.parametrize("words", ["", "--shared-prefix"])
def test_a_salt_keeps_a_prefix_cache_cold(golden, tmp_path, words):
    golden.set(prefix_cache=True, tokens=2)
    plan = "--scenario single-stream --min-queries 64 --warmup 0"
    found, _ = run(golden, tmp_path, f"{plan} {words}")
    (verdict,) = (v for v in found["verdicts"] if v["rule"] == "cold_prompts")
    if words:
        assert verdict["status"] == "SKIPPED"
        assert verdict["measured"] > 5, verdict
    else:
        assert verdict["status"] == "PASS"
        assert verdict["measured"] <= 5, verdict


def test_failures_are_told_by_class_with_an_example(golden, tmp_path):
    golden.set(tokens=6, faults={"20+": "unfinished"})
    plan = "--scenario single-stream --min-queries 24 --warmup 0"
    found, screen = run(golden, tmp_path, plan, code=1)
    (failure,) = found["served"]["failures"]
    assert failure["failure"] == "unfinished"
    assert failure["samples"] == found["counts"]["failed"] > 0
    assert status_of(found, "samples_complete") == "FAIL"
    assert "without a finish_reason" in screen
    assert found["latency"]["ttft_ms"]["n"] == found["counts"]["completed"]


def test_a_budget_lets_some_fail(golden, tmp_path):
    golden.set(tokens=6, faults={"20": "unfinished"})
    plan = "--scenario single-stream --min-queries 80 --warmup 0 --error-budget 2"
    found, _ = run(golden, tmp_path, plan)
    assert found["counts"]["failed"] == 1
    assert status_of(found, "samples_complete") == "PASS"


def test_an_answer_that_stands_still_is_given_up_after_the_time_that_the_user_names(
    golden, tmp_path
):
    golden.set(tokens=6, faults={"20": "stalled"})
    plan = "--scenario single-stream --min-queries 64 --warmup 0 --sample-timeout 0.5"
    found, _ = run(golden, tmp_path, plan, code=1)
    assert found["counts"]["failed"] == 1
    (failure,) = found["served"]["failures"]
    assert failure["failure"] == "stalled"
    assert "nothing more came for 0.5 s" in failure["detail"]


def test_in_accuracy_mode_the_prompts_are_the_references(golden, tmp_path):
    golden.set(tokens=4)
    found, _ = run(golden, tmp_path, "--scenario offline --mode accuracy --warmup 0")
    assert found["served"]["prompts"]["salted"] is False
    assert found["counts"]["completed"] == 8


# ---- before the clock


def test_no_server_is_one_clear_line(tmp_path):
    done = CliRunner().invoke(
        app,
        f"run --base-url http://127.0.0.1:9 --scenario offline --output-dir {tmp_path}".split(),
    )
    assert done.exit_code == 3
    assert "127.0.0.1:9" in done.output
    assert "refused" in done.output


def test_an_unknown_model_is_refused_with_those_that_are_there(golden, tmp_path):
    _, screen = run(golden, tmp_path, "--scenario offline --model other", code=3)
    assert "other" in screen
    assert "golden" in screen


def test_a_missing_key_is_told(golden, tmp_path):
    golden.set(key=KEY)
    _, screen = run(golden, tmp_path, "--scenario offline", code=3)
    assert "API key" in screen
    assert "TOUCHSTONE_API_KEY" in screen


def test_a_context_that_is_too_small_is_told(golden, tmp_path):
    golden.set(context=4)
    _, screen = run(golden, tmp_path, "--scenario offline", code=3)
    assert "context" in screen or "tokens" in screen


def test_a_certificate_that_nobody_vouches_for_is_told(golden_tls, tmp_path):
    _, screen = run(golden_tls, tmp_path, "--scenario offline", code=3)
    assert "--ca-file" in screen
    plan = "--scenario single-stream --min-queries 64 --warmup 0"
    found, _ = run(golden_tls, tmp_path, f"{plan} --ca-file {golden_tls.ca_file}")
    assert found["counts"]["completed"] >= 64


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("--base-url http://user:pw@host/v1", "user name or a password"),
        ("--base-url http://host --sut simulated", "asks no server"),
        ("--sut served", "--base-url is missing"),
        ("--base-url http://host --sut-option a=1", "--sut-option"),
        ("--base-url http://host --error-budget 101", "at most 100"),
        ("--base-url http://host --clock virtual", "virtual"),
    ],
)
def test_what_cannot_be_asked_for_is_refused(words, told):
    done = CliRunner().invoke(app, f"run --scenario offline {words}".split())
    assert done.exit_code == 2, done.output
    assert told in " ".join(done.output.split())
    assert "pw@" not in done.output


# ---- secrets


def test_a_key_stands_nowhere(golden, tmp_path):
    """In no file of the run, on no screen, in no list of processes; a server that tells it back
    does not change that.
    """
    golden.set(key=KEY, tokens=4, faults={"20": "error_event"})
    words = f"run --base-url {golden.url} --scenario single-stream --min-queries 24 {FEW}"
    env = {**os.environ, "MY_SERVER": KEY, "PYTHONPATH": str(ROOT), "TOUCHSTONE_DEBUG": "1"}
    program = subprocess.Popen(
        [sys.executable, "-m", "harness", *words.split(), "--warmup", "1", "--api-key-env",
         "MY_SERVER", "--output-dir", str(tmp_path / "runs")],
        env=env, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    with program:
        seen = set()
        while program.poll() is None:
            seen |= {line for line in _command_lines() if KEY in line}
        screen = program.stdout.read()
    assert program.returncode in (0, 1), screen
    assert not seen
    assert KEY not in screen
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert any(path.name == "result.json" for path in files)
    for path in files:
        assert KEY.encode() not in path.read_bytes(), path


def _command_lines():
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            yield path.read_text(errors="replace")
        except OSError:
            continue
