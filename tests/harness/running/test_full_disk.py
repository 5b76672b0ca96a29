"""A disk that is full at any moment costs no verdict and nothing that was measured."""

from __future__ import annotations

import errno
import json
import os
import shutil
import tempfile

import pytest
from typer.testing import CliRunner

from harness.cli import app
from harness.running import timed

RUN = ["run", "--sut", "simulated", "--clock", "virtual", "--scenario", "single-stream", "--json"]
BEFORE = 6  # files that are written before anything is measured


class Disk:
    """Takes no more files below `root` once `left` have been written. Elsewhere there is room."""

    def __init__(self, monkeypatch, root, left):
        self.root, self.left, self.refused = str(root), left, 0
        self.flush = os.fsync
        monkeypatch.setattr(os, "fsync", self.fsync)

    def fsync(self, number):
        path = os.readlink(f"/proc/self/fd/{number}")
        if path.startswith(self.root) and not os.path.isdir(path):
            self.left -= 1
            if self.left < 0:
                self.refused += 1
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.flush(number)


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """The folder for temporary files, which is on another disk."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def harness(*words):
    done = CliRunner().invoke(app, [str(word) for word in words])
    assert "Traceback" not in done.stderr
    assert "bug" not in done.stderr
    return done


def runs_below(*folders):
    return [path.parent for folder in folders for path in folder.rglob("samples.parquet")]


@pytest.mark.parametrize("left", [0, 3])
def test_before_anything_is_measured_a_full_disk_is_named(left, tmp_path, elsewhere, monkeypatch):
    Disk(monkeypatch, tmp_path / "runs", left)
    done = harness(*RUN, "--output-dir", tmp_path / "runs")
    assert done.exit_code in (2, 3)
    assert "no space left on device" in done.stderr.lower()
    assert str(tmp_path / "runs") in done.stderr
    assert not done.stdout


@pytest.mark.parametrize("left", [BEFORE, BEFORE + 1, BEFORE + 3, BEFORE + 7])
def test_after_it_the_verdict_is_printed_and_the_report_can_be_made_when_there_is_room(
    left, tmp_path, elsewhere, monkeypatch
):
    with monkeypatch.context() as patch:
        disk = Disk(patch, tmp_path / "runs", left)
        done = harness(*RUN, "--output-dir", tmp_path / "runs")
        assert disk.refused
    told = json.loads(done.stdout)
    assert (done.exit_code, told["status"]) == (0, "VALID")
    (folder,) = runs_below(tmp_path / "runs", elsewhere)
    assert folder.is_relative_to(elsewhere) == (left == BEFORE)
    assert f"harness report {folder}" in " ".join(done.stderr.split()) or left == BEFORE
    assert not list((tmp_path / "runs").rglob("*.tmp"))
    assert harness("report", folder).exit_code == 0
    again = json.loads((folder / "result.json").read_text())
    assert again["latency"] == told["latency"]


def test_a_folder_that_is_deleted_while_it_is_measured_costs_no_run(
    tmp_path, elsewhere, monkeypatch
):
    """It is as full as a disk can be: nothing is there to write in."""
    monkeypatch.setattr(timed, "drive", _deleting(tmp_path / "runs"))
    done = harness(*RUN, "--output-dir", tmp_path / "runs")
    assert (done.exit_code, json.loads(done.stdout)["status"]) == (0, "VALID")
    (folder,) = runs_below(elsewhere)
    assert (folder / "result.json").exists()


def _deleting(folder):
    drive = timed.drive

    def deleting(*arguments):
        shutil.rmtree(folder)
        return drive(*arguments)

    return deleting


def test_where_nothing_can_be_written_anywhere_the_error_says_both(tmp_path, monkeypatch):
    Disk(monkeypatch, "/", BEFORE)
    done = harness(*RUN, "--output-dir", tmp_path / "runs")
    assert done.exit_code == 4
    assert "nor could it be written elsewhere" in done.stderr


def submission(tmp_path, monkeypatch, left):
    """Make one on a disk that takes so many files; return how it ended and its folder."""
    with monkeypatch.context() as patch:
        Disk(patch, tmp_path / "runs", left)
        done = harness(*RUN, "--mode", "submission", "--output-dir", tmp_path / "runs")
    (folder,) = (tmp_path / "runs").iterdir()
    return done, folder


def test_a_submission_whose_part_is_kept_elsewhere_ends_and_can_be_resumed(
    tmp_path, elsewhere, monkeypatch
):
    done, folder = submission(tmp_path, monkeypatch, left=8)
    assert done.exit_code == 4
    assert "make room, then run or resume" in done.stderr
    assert runs_below(elsewhere)
    assert harness("resume", folder).exit_code == 0


def test_the_verdict_of_a_submission_does_not_depend_on_its_row(tmp_path, elsewhere, monkeypatch):
    done, folder = submission(tmp_path, monkeypatch, left=25)
    assert (done.exit_code, json.loads(done.stdout)["status"]) == (0, "VALID")
    assert "note: no row of the part performance" in done.stderr
    assert harness("resume", folder).exit_code == 0
