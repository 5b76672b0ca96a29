"""Does an error about a path say what stands there, and which was meant?"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from harness.kernel.places import found_at, guess, not_a_run, wrong_path


def fill(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("x")
    return folder


def test_what_is_there_is_said(tmp_path):
    fill(tmp_path, "file", "full/a")
    (tmp_path / "nothing").write_text("")
    (tmp_path / "hollow").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "gone")
    assert found_at(tmp_path / "missing") == "there is no such file or folder"
    assert found_at(tmp_path / "file") == "it is a file"
    assert found_at(tmp_path / "nothing") == "it is an empty file"
    assert found_at(tmp_path / "full") == "it is a folder"
    assert found_at(tmp_path / "hollow") == "it is an empty folder"
    assert (
        found_at(tmp_path / "link") == f"it is a link to {tmp_path / 'gone'}, which does not exist"
    )
    assert found_at(tmp_path / ("x" * 300)) == "it cannot be a path (File name too long)"


def test_what_may_not_be_read_is_said(tmp_path, monkeypatch):
    """Whoever runs the tests may be allowed everything, so the system's answer is put in."""
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert found_at(fill(tmp_path, "a") / "a") == "it cannot be read (permission denied)"

    def refuse(path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "is_symlink", refuse)
    assert found_at(tmp_path / "a" / "b") == "it cannot be read (permission denied)"


def test_only_a_missing_name_is_guessed_and_only_if_it_is_alike(tmp_path):
    fill(tmp_path, "questions.jsonl")
    assert (
        guess(tmp_path / "question.jsonl") == f"Did you mean {str(tmp_path / 'questions.jsonl')!r}?"
    )
    assert guess(tmp_path / "questions.jsonl") == ""
    assert guess(tmp_path / "answers.csv") == ""
    assert guess(tmp_path / "nowhere" / "questions.jsonl") == ""


def test_the_guess_takes_the_place_of_the_advice(tmp_path):
    fill(tmp_path, "run.toml")
    near = wrong_path("--config", tmp_path / "runs.toml", "expected TOML", "Check the path.")
    far = wrong_path("--config", tmp_path / "other", "expected TOML", "Check the path.")
    assert near.facts[3] == f"Did you mean {str(tmp_path / 'run.toml')!r}?"
    assert far.facts[3] == "Check the path."


@pytest.mark.parametrize(
    ("names", "found", "todo"),
    [
        ([], "it is an empty folder", "Check the path."),
        (["notes.txt"], "it holds notes.txt", "Check the path."),
        (["a", "b", "c", "d"], "it holds a, b, c and 1 more", "Check the path."),
        (["compare.json", "r/result.json"], "it is the folder of a comparison of runs", "{0}/r."),
        (["gate.json", "r/result.json"], "it is the folder of a gate", "{0}/r."),
        (["perplexity.json"], "it is the folder of a measurement of perplexity", "Check"),
        (["settings.json", "texts.parquet"], "it is the folder of a measurement", "Check"),
        (["r/result.json", "s/result.json"], "it is no run itself", "{0}/r, {0}/s."),
        (["settings.json", "sut.log"], "its run ended before anything was measured", "sut.log"),
        (["settings.json"], "its run ended before anything was measured", "Run it again."),
        (["samples.parquet"], "its result.json is missing", "Restore the file."),
    ],
)
def test_a_folder_that_is_no_run_is_called_what_it_is(tmp_path, names, found, todo):
    error = not_a_run(fill(tmp_path, *names), "result.json")
    assert all(error.facts)
    assert found in error.facts[1]
    assert todo.format(tmp_path) in error.facts[3]


def test_a_file_that_is_there_and_cannot_be_read_is_damaged(tmp_path):
    error = not_a_run(fill(tmp_path, "result.json"), "result.json")
    assert error.facts[1] == "its result.json is damaged"
