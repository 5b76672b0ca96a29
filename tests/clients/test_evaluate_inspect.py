"""Inspect by `harness evaluate`, and by our model provider in its own command line: one accuracy,
and with the same answers.
"""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from harness.cli import app
from tests import ROOT

pytestmark = pytest.mark.model

PROGRAM = "inspect"
# One request at a time: int8 rounds by what else is in the batch, and so may answer otherwise.
ALONE = ("--max-tokens", "16", "--max-connections", "1")
TASK = """
from inspect_ai import Task, task
from inspect_ai.dataset import Sample
from inspect_ai.scorer import includes

ROWS = [("France", "Paris"), ("Italy", "Rome"), ("Australia", "Canberra")]


@task
def capitals():
    rows = [Sample(f"What is the capital of {land}?", target=city) for land, city in ROWS]
    return Task(dataset=rows, scorer=includes())
"""


def answers(file) -> tuple[float, list[str]]:
    """Return the accuracy and the texts that a log of Inspect holds."""
    log = json.loads(file.read_text())
    assert log["status"] == "success"
    (score,) = log["results"]["scores"]
    texts = [sample["output"]["choices"][0]["message"]["content"] for sample in log["samples"]]
    return score["metrics"]["accuracy"]["value"], texts


def test_both_ways_give_the_same_answers(program, smollm2, tmp_path):
    (tmp_path / "capitals.py").write_text(TASK)
    asked = f"{tmp_path}/capitals.py@capitals"
    words = ["evaluate", "--with", "inspect", "--task", asked, "--model", smollm2]
    words += ["--variant", "int8", "--tool-python", str(program.bin / "python")]
    words += ["--output-dir", str(tmp_path / "made"), "--json", "--", *ALONE]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.stderr
    (row,) = json.loads(done.stdout.splitlines()[-1])["rows"]
    (figure,) = row["figures"]
    assert (figure["task"], figure["metric"], figure["n"]) == ("capitals", "accuracy", 3)
    (log,) = tmp_path.glob("made/*/int8/out/*.json")

    pip = [program.bin / "python", "-m", "pip", "install", "--quiet", "--no-deps", "-e", str(ROOT)]
    subprocess.run([*pip, "psutil"], check=True, capture_output=True)
    program.run(
        "inspect", "eval", asked, "--model", f"touchstone/{smollm2}@int8", *ALONE,
        "--log-dir", "logs", "--log-format", "json", "--display", "plain",
        TOUCHSTONE_PYTHON=sys.executable,
    )  # fmt: skip
    (other,) = tmp_path.glob("logs/*.json")
    assert answers(log) == answers(other)
    assert figure["value"] == answers(log)[0]
