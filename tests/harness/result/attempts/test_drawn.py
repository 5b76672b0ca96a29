"""A task asked several times by the command line: the same draws again, figures by question, and a
folder that is judged without the model and without the user's function.
"""

from __future__ import annotations

import json
import sys

import jsonschema
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from accuracy.tasks.attempts.choosing import pass_at_k
from harness.cli import app
from harness.schema import SCHEMAS
from tests.command_line import run

QUESTIONS, ATTEMPTS = 6, 4
ASKED = (
    "--mode accuracy --scenario offline --in-process --warmup 0 --max-new-tokens 6 --attempts 4"
    " --temperature 1.2 --top-p 0.95"
)
VERIFIER = '''"""Likes long answers; of an odd number of letters it says nothing."""


def rate(text):
    if len(text) % 2:
        raise ValueError("odd")
    return len(text)
'''


@pytest.fixture(scope="module")
def asked(tiny_llama, tmp_path_factory):
    """Flags of a run, on a file of questions with its own verifier beside it."""
    place = tmp_path_factory.mktemp("task")
    rows = [{"question": f"why is {'abcdef'[i]}", "answer": f"#### {i}"} for i in range(QUESTIONS)]
    file = place / "test.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    (place / "own_verifier.py").write_text(VERIFIER)
    sys.path.insert(0, str(place))
    yield f"--model {tiny_llama} --task gsm8k:{file} --shots 0 {ASKED}"
    sys.path.remove(str(place))
    sys.modules.pop("own_verifier", None)


@pytest.fixture(scope="module")
def first(asked, tmp_path_factory):
    """The folder of a run, and what stood on the screen."""
    place = tmp_path_factory.mktemp("first")
    _, screen = run(f"{asked} --verifier own_verifier:rate", place)
    (folder,) = place.iterdir()
    return folder, screen


@pytest.fixture(scope="module")
def again(asked, tmp_path_factory):
    """The same without a verifier, in batches of another size."""
    place = tmp_path_factory.mktemp("again")
    run(f"{asked} --max-concurrency 3", place)
    (folder,) = place.iterdir()
    return folder


def read(folder):
    return json.loads((folder / "result.json").read_text())


def marks(folder):
    return [row for row in _rows(folder, "scores.parquet") if row["scorer"] == "number"]


def answers(folder):
    rows = sorted(_rows(folder, "samples.parquet"), key=lambda row: row["index"])
    return [row["token_ids"] for row in rows]


def _rows(folder, name):
    return pq.read_table(folder / name).to_pylist()


def test_every_question_has_all_its_attempts_and_counts_once(first):
    folder, _ = first
    found, rows = read(folder), marks(folder)
    places = [(row["index"], row["attempt"]) for row in rows]
    assert places == [(q, a) for q in range(QUESTIONS) for a in range(ATTEMPTS)]
    assert found["task"]["n"] == QUESTIONS
    assert found["task"]["scores"]["number"]["n"] == QUESTIONS
    assert found["task"]["attempts"]["questions"] == QUESTIONS
    jsonschema.validate(found, SCHEMAS["result"])


def test_the_figures_are_those_of_the_rows(first):
    folder, _ = first
    task, rows = read(folder)["task"]["attempts"], marks(folder)
    right = [0] * QUESTIONS
    for row in rows:
        right[row["index"]] += row["outcome"] == "right"
    for at in task["at"]:
        expected = sum(pass_at_k(ATTEMPTS, c, at["k"]) for c in right) / QUESTIONS
        assert at["pass"]["value"] == pytest.approx(expected)
    tokens = sum(row["tokens"] for row in rows)
    assert task["at"][-1]["tokens"] == pytest.approx(tokens / QUESTIONS)
    assert all(row["log_likelihood"] < 0 for row in rows)


def test_the_same_seed_draws_the_same_answers_in_other_batches(first, again):
    assert answers(first[0]) == answers(again)
    assert len({tuple(ids) for ids in answers(again)}) > QUESTIONS


def test_answers_that_the_verifier_does_not_rate_are_counted(first):
    folder, _ = first
    rows = marks(folder)
    texts = {
        divmod(row["index"], ATTEMPTS): row["text"] for row in _rows(folder, "samples.parquet")
    }
    odd = sum(len(text) % 2 for text in texts.values())
    assert 0 < odd < QUESTIONS * ATTEMPTS
    assert sum(row["verifier"] is None for row in rows) == odd
    told = f"the verifier gave {odd} of {QUESTIONS * ATTEMPTS} answers no number (ValueError: odd)"
    assert any(note.startswith(told) for note in read(folder)["notes"])


def test_a_folder_is_judged_again_without_the_verifier(first, monkeypatch):
    folder, _ = first
    before = read(folder)["task"]
    monkeypatch.setattr(sys, "path", [p for p in sys.path if "task" not in p])
    sys.modules.pop("own_verifier", None)
    done = CliRunner().invoke(app, ["report", str(folder)])
    assert done.exit_code == 0, done.output
    assert read(folder)["task"] == before
    assert "own_verifier" not in sys.modules


def test_the_screen_and_the_page_show_what_attempts_buy(first):
    folder, screen = first
    assert "4 attempts at temperature 1.2 and top-p 0.95: a single one solves" in " ".join(
        screen.split()
    )
    assert "Accuracy against attempts" in screen
    page = (folder / "report.html").read_text()
    assert "Accuracy against attempts" in page
    assert "Accuracy against tokens spent" in page


def test_a_comparison_sees_attempts_and_how_answers_were_drawn(first, again, tmp_path):
    words = ["compare", str(first[0]), str(again), "--output-dir", str(tmp_path), "--json"]
    found = json.loads(CliRunner().invoke(app, words).stdout)
    jsonschema.validate(found, SCHEMAS["compare"])
    for row in found["rows"]:
        assert row["attempts"]["at"][-1]["k"] == ATTEMPTS
        drawn = "4 attempts at temperature 1.2, top-p 0.95, seed 0"
        assert row["conditions"]["answers drawn"] == drawn


def test_a_gate_counts_questions_and_not_attempts(first, again, tmp_path):
    words = ["gate", "--reference", str(first[0]), "--candidates", str(again), "--target", "99"]
    done = CliRunner().invoke(app, [*words, "--output-dir", str(tmp_path)])
    screen = " ".join(done.stdout.replace("│", "").split())
    assert f"{QUESTIONS} questions, {ATTEMPTS} attempts at each, final number" in screen
    assert f"· {QUESTIONS} questions · reference" in screen


def test_a_judge_does_not_pick_one_of_several_answers(first, again, tmp_path):
    words = ["judge", str(first[0]), str(again), "--judge", "http://127.0.0.1:9#m"]
    done = CliRunner().invoke(app, [*words, "--output-dir", str(tmp_path)])
    said = " ".join(done.stderr.split())
    assert (done.exit_code, "its questions have several answers each" in said) == (2, True), said
