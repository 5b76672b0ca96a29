"""A file that a power cut left half-written costs its own measurement, and never for ever."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from harness.cli import app
from harness.kernel import files
from tests.harness.likelihood.test_study import invoke, subject

NEVER = ("Traceback", "bug", "unexpected")


@pytest.fixture(scope="module")
def measured(tiny_llama, tmp_path_factory):
    code, found, said = invoke(
        tmp_path_factory.mktemp("whole"), "--models", str(tiny_llama), "--variants", "fp32,bf16"
    )
    assert code == 0, said
    return found


@pytest.fixture
def place(measured, tmp_path):
    """A copy that may be damaged."""
    return Path(shutil.copytree(measured["folder"], tmp_path / "copy"))


def cut(path):
    """Leave the first half, as a file is that was not flushed."""
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])


def empty(path):
    path.write_bytes(bytes(path.stat().st_size))


def resume(place):
    done = CliRunner().invoke(app, ["perplexity", "--resume", str(place), "--json"])
    assert not any(word in done.stderr for word in NEVER), done.stderr
    lines = done.stdout.splitlines()
    return done.exit_code, json.loads(lines[-1]) if lines else None, done.stderr


def losses(found):
    return {row["label"]: row["figures"]["eval_loss"] for row in found["subjects"]}


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("00_*/tokens.parquet", cut),
        ("01_*/tokens.parquet", empty),
        ("01_*/subject.json", cut),
        ("perplexity.json", cut),
        ("environment.json", cut),
    ],
)
def test_what_is_damaged_of_a_finished_measurement_is_made_again(place, measured, name, damage):
    (file,) = place.glob(name)
    damage(file)
    code, found, said = resume(place)
    assert (code, found["status"]) == (0, "DONE"), said
    assert losses(found) == losses(measured)


def interrupted(place):
    """Make the second subject one that was stopped on its way; return its folder."""
    (row_file,) = place.glob("01_*/subject.json")
    row = json.loads(row_file.read_text()) | {"status": "INTERRUPTED"}
    row_file.write_text(json.dumps(row))
    (row_file.parent / "tokens.parquet").unlink()
    return row_file.parent


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 half a file", bytes(2000)])
def test_a_part_that_is_damaged_is_scored_again(place, measured, content):
    """Half of the parts are damaged, the others are missing."""
    parts = files.subfolder(interrupted(place), "parts")
    for whole in sorted(place.glob("00_*/distributions/*.npz"))[::2]:
        (parts / whole.name).write_bytes(content)
    code, found, said = resume(place)
    assert (code, found["status"]) == (0, "DONE"), said
    assert losses(found) == losses(measured)


def test_distributions_that_are_cut_are_recorded_again_when_another_is_compared(place, measured):
    interrupted(place)
    cut(sorted(place.glob("00_*/distributions/*.npz"))[2])
    code, found, said = resume(place)
    assert (code, found["status"]) == (0, "DONE"), said
    assert losses(found) == losses(measured)
    label = measured["subjects"][1]["label"]
    again, before = (subject(one, label)["divergence"] for one in (found, measured))
    assert again["mean_kld"] == pytest.approx(before["mean_kld"])


@pytest.mark.parametrize("name", ["texts.parquet", "settings.json"])
def test_what_cannot_be_made_again_is_named_and_ends_in_a_sentence(place, name):
    cut(place / name)
    code, found, said = resume(place)
    assert (code, found) == (2, None)
    assert f"{name}" in said
    assert "damaged" in said
