"""Are runs on a cluster the runs that would be made here, whatever happens to its nodes?"""

from __future__ import annotations

import json
import socket
import time

import pytest
from typer.testing import CliRunner

from harness.cli import app
from harness.study.executors.cluster import crew

RUNS = "compare --sut simulated --clock virtual --scenario server --min-queries 64"


def call(words, place):
    done = CliRunner().invoke(app, [*words.split(), "--output-dir", str(place)])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done


def compared(place):
    (folder,) = place.iterdir()
    return folder, json.loads((folder / "compare.json").read_text())


def figures(row):
    """Return what a row says of the run, without where and when it was made."""
    return {k: v for k, v in row.items() if k not in ("run", "conditions")}


def test_runs_on_two_nodes_are_the_runs_made_here(two_nodes, tmp_path):
    words = f"{RUNS} --target-qps 5,10,20"
    assert call(words, tmp_path / "here").exit_code == 0
    where = f"--executor ray --ray-address {two_nodes.head}"
    done = call(f"{words} {where}", tmp_path / "ray")
    assert done.exit_code == 0, done.stderr
    _, here = compared(tmp_path / "here")
    folder, there = compared(tmp_path / "ray")
    assert list(map(figures, here["rows"])) == list(map(figures, there["rows"]))
    assert "2 runs on" in done.stderr
    assert {path.name for path in folder.iterdir() if path.is_file()} == {
        "study.json", "rows.jsonl", "compare.json", "compare.html", ".study.lock"
    }  # fmt: skip
