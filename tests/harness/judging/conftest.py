"""Runs that a judge is asked about, and a judge whose command is called in this process."""

from __future__ import annotations

import json
import shlex

import jsonschema
import pytest
from typer.testing import CliRunner

from harness.cli import app
from harness.judging import asking
from harness.schema import SCHEMAS


def call(words):
    done = CliRunner().invoke(app, shlex.split(words), catch_exceptions=False)
    assert "Traceback" not in done.output
    return done


@pytest.fixture(scope="module")
def runs(tmp_path_factory, tiny_llama):
    """Folders of two accuracy runs of the same 12 questions, whose answers differ."""
    place = tmp_path_factory.mktemp("runs")
    questions = [f"why is the {word}" for word in ("sky", "sea", "sun", "moon", "air", "rain")]
    rows = [{"prompt": f"{text} {c}", "reference": f"{text}."} for text in questions for c in "ab"]
    (place / "q.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    folders = []
    for variant in ("fp32", "nf4"):
        done = call(
            f"run --model {tiny_llama} --variant {variant} --dataset {place / 'q.jsonl'} --mode"
            f" accuracy --scenario offline --max-new-tokens 8 --in-process --json"
            f" --output-dir {place / variant}"
        )
        assert done.exit_code == 0, done.output
        folders += [path.parent for path in (place / variant).glob("*/result.json")]
    return folders


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch):
    monkeypatch.setattr(asking, "FIRST_PAUSE_S", 0.01)


@pytest.fixture
def judged(runs, tmp_path):
    """judged(judge, words) -> (exit code, judge.json, rows of judgements.jsonl, output)."""

    def call_it(judge, words="", of=2):
        place = tmp_path / "judged"
        folders = " ".join(map(str, runs[:of]))
        done = call(f"judge {folders} --judge {judge} --output-dir {place} {words} --json")
        if not place.is_dir():
            return done.exit_code, None, None, done.output
        (folder,) = place.iterdir()
        found = json.loads((folder / "judge.json").read_text(encoding="utf-8"))
        assert json.loads(done.stdout.splitlines()[-1]) == found
        jsonschema.validate(found, SCHEMAS["judge"])
        lines = (folder / "judgements.jsonl").read_text(encoding="utf-8").splitlines()
        page = (folder / "judge.html").read_text(encoding="utf-8")
        assert found["status"] in page
        return done.exit_code, found, [json.loads(line) for line in lines], done.output

    return call_it
