"""Does a study go on where it ended, without measuring anything twice, and believe only what is
whole?
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from filelock import FileLock
from typer.testing import CliRunner

from harness.cli import app
from harness.kernel.process import children
from harness.study import study
from harness.study.comparison import compare
from harness.study.gating import gate
from harness.study.study import FILE, LOCK, ROWS, Study
from tests.harness.schema.test_schema import check_study

QUESTIONS = "".join(
    json.dumps({"prompt": f"why is the sky {c}", "reference": "the sky is blue"}) + "\n"
    for c in "abcdefgh"
)


@pytest.fixture
def here(tmp_path, tiny_llama, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("m").symlink_to(tiny_llama)
    Path("q.jsonl").write_text(QUESTIONS)
    return tmp_path


# the model is served in this process: most of a child's time would be its imports
MODEL = "--model m --dataset q.jsonl --in-process --max-new-tokens 4 --warmup 0"
COMPARE = f"compare --variants fp32,bf16 --no-evaluate --min-queries 4 {MODEL}"
GATE = f"gate --candidates bf16,fp32 --resamples 200 {MODEL}".replace(" --warmup 0", "")


def call(words):
    done = CliRunner().invoke(app, words.split())
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done


class Killed(BaseException):
    """What SIGKILL is to a process: nothing more is done."""


def killed_after(monkeypatch, cells):
    """The process ends as soon as the row of that many cells is on the disk."""
    keep, kept = Study.keep, []

    def keep_and_die(self, ended):
        keep(self, ended)
        kept.append(ended)
        if len(kept) == cells:
            raise Killed

    monkeypatch.setattr(Study, "keep", keep_and_die)


def study_in(folder):
    (place,) = (folder / "runs").iterdir()
    return place


def runs_of(place):
    return {path.parent.name for path in place.glob("*/samples.parquet")}


@pytest.mark.parametrize(
    ("words", "cells", "kept"), [(COMPARE, 2, 1), (GATE, 4, 1), (GATE, 4, 2), (GATE, 4, 3)]
)
def test_between_two_cells_it_goes_on_with_the_next(here, monkeypatch, words, cells, kept):
    with monkeypatch.context() as patched:
        killed_after(patched, kept)
        with pytest.raises(Killed):
            call(words)
    place = study_in(here)
    before = runs_of(place)
    assert len(before) == kept
    done = call(f"resume {place}")
    assert done.exit_code in (0, 1), done.stderr
    assert before < runs_of(place)
    assert len(runs_of(place)) == cells
    name = words.split()[0]
    found = json.loads((place / f"{name}.json").read_text())
    assert not found["interrupted"]
    check_study(place)
    again = call(f"resume {place} --json")  # a finished one is only written once more
    assert again.exit_code == done.exit_code
    assert len(runs_of(place)) == cells
    assert json.loads(again.stdout.splitlines()[-1])["rows"]


def test_killed_inside_a_cell_it_measures_that_one_again(here):
    command = children.command("harness", *COMPARE.split(), "--min-queries", "1000")
    started = subprocess.Popen(
        command, env=children.variables(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    rows = None
    while rows is None or not (rows.exists() and rows.read_text().count("\n") == 1):
        time.sleep(0.02)
        assert started.poll() is None
        rows = next(iter(here.glob("runs/*")), here) / ROWS
    while len([path for path in rows.parent.iterdir() if path.is_dir()]) < 2:
        time.sleep(0.02)  # the second run has begun
    os.kill(started.pid, signal.SIGKILL)
    started.wait()
    first = runs_of(rows.parent)
    done = call(f"resume {rows.parent}")
    assert done.exit_code == 0, done.stderr
    found = json.loads((rows.parent / "compare.json").read_text())
    assert [row["status"] for row in found["rows"]] == ["VALID", "VALID"]
    assert found["rows"][0]["run"] in first
    assert found["rows"][1]["run"] not in first


@pytest.fixture
def finished(here):
    assert call(COMPARE).exit_code == 0
    return study_in(here)


def test_what_is_not_whole_is_named_and_measured_again(finished):
    rows = finished / ROWS
    first, second = rows.read_text().splitlines(keepends=True)
    rows.write_text(first + second[:40])
    done = call(f"resume {finished}")
    assert "line 2 of" in done.stderr
    assert "half-written or damaged" in done.stderr
    assert len(runs_of(finished)) == 3
    run = finished / json.loads(first)["run"]
    (run / "samples.parquet").write_bytes(b"edited")
    done = call(f"resume {finished}")
    assert "was edited since it was measured" in done.stderr
    assert len(runs_of(finished)) == 4
    found = json.loads((finished / "compare.json").read_text())
    assert [row["status"] for row in found["rows"]] == ["VALID", "VALID"]


@pytest.mark.parametrize("name", ["a\u2028b", "a\u0085b", "a\x0bb", "世界", "a\udcffb"])
def test_a_row_is_one_line_whatever_its_names(tmp_path, name):
    ended = study.Ended(name, name, {}, "VALID", "", "", {"label": name})
    line = study._line(ended)
    assert line.encode()
    assert list(study._readable(line * 2, tmp_path)) == [ended] * 2


def test_one_process_at_a_time(finished):
    with FileLock(finished / LOCK):
        done = call(f"resume {finished}")
    assert done.exit_code == 2
    assert "another process is working on it" in done.stderr


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"schema": "touchstone.study/9"}, "its schema is 'touchstone.study/9'"),
        ({"kind": "tour"}, "its kind is 'tour'"),
        ({"cells": [{}]}, "it is damaged"),
    ],
)
def test_another_versions_study_is_refused(finished, change, words):
    saved = json.loads((finished / FILE).read_text())
    (finished / FILE).write_text(json.dumps(saved | change))
    done = call(f"resume {finished}")
    assert (done.exit_code, words in done.stderr) == (2, True), done.stderr


def test_a_folder_that_is_no_study_is_called_what_it_is(finished, here):
    run = next(path for path in finished.iterdir() if path.is_dir())
    assert "it is the folder of a single run" in call(f"resume {run}").stderr
    assert "no such file or folder" in call("resume nowhere").stderr
    assert "Name one of its studies" in call("resume runs").stderr


def test_ctrl_c_says_how_to_go_on(here, monkeypatch):
    def interrupt(self, cell, say):
        if self.ended:
            raise KeyboardInterrupt
        begin(self, cell, say)

    begin = Study.begin
    with monkeypatch.context() as patched:
        patched.setattr(Study, "begin", interrupt)
        done = call(COMPARE)
    place = study_in(here)
    assert done.exit_code == 130
    assert f"go on with: python -m harness resume {place.relative_to(here)}" in done.stdout
    assert call(f"resume {place}").exit_code == 0


def test_every_kind_says_its_name():
    assert (compare.KIND, gate.KIND) == ("compare", "gate")
