"""Does an interrupted evaluation go on, with what was asked and with nothing else? And does the
function say what the command says?
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from filelock import FileLock
from typer.testing import CliRunner

import harness
from harness.cli import app
from harness.evaluators.record import LOCK
from tests import ROOT
from tests.harness.evaluators.fake import environment
from tests.harness.evaluators.test_evaluate import SIMULATED, wait_for
from tests.harness.schema.test_schema import check


@pytest.fixture(scope="module")
def python(tmp_path_factory) -> Path:
    return environment(tmp_path_factory.mktemp("tool") / "venv")


@pytest.fixture(scope="module")
def killed(python, tmp_path_factory) -> Path:
    """The folder of an evaluation that was killed while its second variant was evaluated."""
    place = tmp_path_factory.mktemp("killed")
    words = ["evaluate", "--with", "lm-eval", "--task", "waits-once", "--tool-python", str(python)]
    words += ["--variants", "fp32,int8", "--output-dir", str(place), *SIMULATED]
    process = subprocess.Popen(
        [sys.executable, "-m", "harness", *words, "--", "--limit", "3"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
    )
    wait_for("*/int8/tool.log", place, "waiting")
    process.send_signal(signal.SIGKILL)
    process.wait(timeout=60)
    (folder,) = place.iterdir()
    return folder


def resume(folder: Path, *words: str):
    done = CliRunner().invoke(app, ["resume", str(folder), *words])
    return done.exit_code, done.stdout, " ".join(done.stderr.split())


def read(folder: Path):
    return json.loads((folder / "evaluate.json").read_text())


def test_a_killed_evaluation_asks_before_it_runs_what_was_named_and_then_does_what_is_left(killed):
    before = read(killed)
    assert (before["status"], before["not_run"]) == ("INTERRUPTED", ["int8"])
    code, _, said = resume(killed)
    assert code == 2
    assert "pass --trust-folder" in said
    assert "the program" in said
    assert "the options --limit 3 of lm-eval" in said
    code, out, said = resume(killed, "--executor", "child", "--trust-folder")
    assert (code, "an evaluation go on here" in said) == (2, True)
    with FileLock(killed / LOCK):
        code, _, said = resume(killed, "--trust-folder")
    assert (code, "another process is working on it" in said) == (2, True)
    assert read(killed) == before
    code, out, said = resume(killed, "--trust-folder")
    assert code == 0, said
    assert "int8" in out
    found = read(killed)
    check("evaluate", found)
    assert (found["status"], found["not_run"]) == ("DONE", [])
    assert found["rows"][0] == before["rows"][0]  # not evaluated again
    assert [(row["label"], row["figures"][0]["n"]) for row in found["rows"]] == [
        ("fp32", 3),
        ("int8", 3),
    ]
    assert resume(killed, "--trust-folder")[0] == 0  # nothing is left
    assert read(killed) == found


def test_another_version_of_the_tool_does_not_go_on(killed, tmp_path):
    folder = tmp_path / "copy"
    folder.mkdir()
    (folder / "evaluate.json").write_text(json.dumps(read(killed) | {"version": "0.1"}))
    code, _, said = resume(folder, "--trust-folder")
    assert (code, "lm-eval is 9.8.7 now, it was 0.1" in said) == (2, True)


@pytest.mark.parametrize("asked", [{}, {"flags": {"nonsense": 1}}, {"flags": []}])
def test_settings_that_are_none_are_refused(killed, tmp_path, asked):
    folder = tmp_path / "copy"
    folder.mkdir()
    whole = read(killed)
    kept = whole["asked"] | asked if asked else {}
    (folder / "evaluate.json").write_text(json.dumps(whole | {"asked": kept}))
    code, _, said = resume(folder, "--trust-folder")
    assert (code, "evaluate.json lacks its settings" in said) == (2, True)


def test_the_function_has_the_figures_of_the_command(python, tmp_path):
    sut = {"sut": "simulated", "sut_options": {"ttft_ms": 1, "per_token_ms": 1}}
    asked = {"with_": "lm-eval", "task": "sums", "tool_python": python, "output_dir": tmp_path}
    asked |= {"tokenizer": "none"}
    study = harness.evaluate(**asked, variants=["fp32", "int8"], options=["--limit", "3"], **sut)
    assert (study.exit_code, study["options"]) == (0, ["--limit", "3"])
    assert list(study.frame()["label"]) == ["fp32", "int8"] * 3
    assert list(study.rows["status"]) == ["DONE", "DONE"]
    again = harness.load(study.folder)
    assert again.kind == "evaluate"
    assert again.csv() == study.csv()
    with pytest.raises(harness.BadInput, match="scenario"):
        harness.evaluate(**asked, scenario="server")
