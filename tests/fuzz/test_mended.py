"""What the fuzz lane found, and what it is now: a sentence each, through the public door."""

from __future__ import annotations

import json
from contextlib import suppress
from random import Random

import pytest
from typer.testing import CliRunner

from harness.cli import app
from harness.kernel.errors import HarnessError, SetupFailed
from harness.kernel.places import expanded
from sut.prompts import tokenizer
from tests.fuzz.kinds import KINDS


def refused(*words):
    done = CliRunner().invoke(app, list(map(str, words)))
    assert isinstance(done.exception, SystemExit), done.exception
    assert done.exit_code in (1, 2), done.stderr
    assert "This is a bug" not in done.stderr
    return done.stdout + done.stderr


PLAN = ("plan", "--scenario", "server")


def test_home_folders_of_nobody(tmp_path):
    """`~x` was looked up in the list of users, where no such user is."""
    config = tmp_path / "c.toml"
    config.write_text('scenario = "server"\nsut = "simulated"\noutput_dir = "~nobody-x/runs"\n')
    done = CliRunner().invoke(app, ["plan", "--config", str(config)])
    assert done.exit_code == 0, done.stderr
    lora = ("--variant", "lora", "--adapter", "~nobody-x")
    assert "~nobody-x" in refused(*PLAN, *lora)
    assert "~nobody-x" in refused(*PLAN, "--dataset", "~nobody-x")
    assert str(expanded(tmp_path)) == str(tmp_path)


def test_settings_that_lie_deep_in_one_another(tmp_path):
    config = tmp_path / "c.toml"
    config.write_text('scenario = "server"\nseeds = ' + "[" * 5_000 + "]" * 5_000)
    assert "deep" in refused("plan", "--config", config)


def test_a_question_with_choices_and_no_answer(tmp_path):
    data = tmp_path / "d.jsonl"
    row = {"question": "Q", "choices": ["a", "b"], "answer": 1}
    data.write_text(json.dumps(row) + "\n" + json.dumps(row | {"answer": None}) + "\n")
    del row["answer"]
    data.write_text(data.read_text() + json.dumps(row) + "\n")
    assert "line 2, column 'answer'" in refused(*PLAN, "--dataset", data)


@pytest.mark.parametrize("name", ["a" * 300, "x\0y"])
@pytest.mark.parametrize("command", ["report", "audit", "resume", "check"])
def test_names_that_no_file_can_have(command, name):
    refused(command, name)


def test_a_whole_disk_is_not_read_as_a_submission(tmp_path, monkeypatch):
    """`check /` read every file of the machine into memory."""
    (tmp_path / "large").write_bytes(b"x")

    def read(*_):
        raise AssertionError("it was read")

    monkeypatch.setattr("pathlib.Path.read_bytes", read)
    assert "no result" in refused("check", tmp_path)


def test_a_tokenizer_that_its_library_refuses_in_a_word_of_its_own(tmp_path):
    from tests import prompt_helpers

    prompt_helpers.tokenizer().save_pretrained(tmp_path)
    file = tmp_path / "tokenizer.json"
    file.write_text(file.read_text()[:500])
    with pytest.raises(SetupFailed, match="loading the tokenizer"):
        tokenizer.load(str(tmp_path))


@pytest.mark.parametrize(
    ("kind", "number"),
    [("parquet", 296), ("folders", 609), ("folders", 1085), ("tokenizers", 478)],
)
def test_inputs_of_a_long_run_that_were_bugs(kind, number, tmp_path, monkeypatch):
    """A column's name that is no text, a profile that nobody knows, figures that are a word, and a
    panic of the library in Rust.
    """
    monkeypatch.chdir(tmp_path)  # and back at the end: these inputs go to a folder of their own
    with suppress(HarnessError):
        KINDS[kind].make(tmp_path)(Random(f"1/{kind}/{number}"))
