"""Which answers of finished runs are scored, and is what was scored kept?"""

from __future__ import annotations

import json
import signal

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from accuracy.tasks.load import Asked, load_task
from harness.cli import app
from harness.evaluators import record
from tests.harness.evaluators.fake_hf import environment, script
from tests.harness.study.gating.test_gate import edit, make
from tests.harness.study.gating.test_gate_drawn import drawn
from tests.harness.study.gating.test_gate_tasks import RIGHT, WRONG, questions

ENDS = """
same = [p.split()[-1] == r.split()[-1] for p, r in zip(predictions, references)]
return {'ends': sum(same) / len(same)}
"""
N = 12


@pytest.fixture
def runs(tmp_path):
    """A run of greedy answers to a task, and one with three attempts at the same questions."""
    file = questions(tmp_path, N)
    own = [(RIGHT if i % 2 else WRONG).format(i, i) for i in range(N)]
    greedy = make(tmp_path, own, "fp32")
    edit(greedy / "settings.json", "config", task=f"gsm8k:{file}", shots=0, num_samples=N)
    edit(greedy / "settings.json", "dataset", **load_task(Asked(f"gsm8k:{file}", 0)).source)
    return greedy, drawn(tmp_path, ["Rww", "wRR", *["Rww"] * (N - 2)], "int8", file)


@pytest.fixture
def evaluate(runs, tmp_path):
    """Score both runs by a metric; return (exit code, evaluate.json, its folder, what was said)."""
    python = environment(tmp_path / "venv")
    script(tmp_path / "clone" / "metrics" / "ends" / "ends.py", ENDS)

    def call():
        words = ["evaluate", "--with", "hf-evaluate", "--task", "ends", "--tool-path"]
        words += [tmp_path / "clone", "--tool-python", python, "--output-dir", tmp_path / "out"]
        done = CliRunner().invoke(app, [*map(str, [*words, *runs]), "--json"])
        assert "Traceback" not in done.stderr
        places = list((tmp_path / "out").glob("*/evaluate.json"))
        assert places, done.output
        return done.exit_code, json.loads(places[0].read_text()), places[0].parent, done.stderr

    return call


def test_of_several_attempts_the_first_stands_beside_a_greedy_answer(evaluate):
    code, found, place, said = evaluate()
    assert code == 0, said
    assert [row["figures"][0]["value"] for row in found["rows"]] == [0.5, (N - 1) / N]
    assert [row["figures"][0]["n"] for row in found["rows"]] == [N, N]
    kept = pq.read_table(place / found["rows"][1]["folder"] / "answers.parquet").to_pydict()
    assert kept["index"] == list(range(N))
    assert found["lines"][1]["low"] is not None  # in pairs


def test_a_stop_keeps_a_row_that_has_ended(evaluate, monkeypatch):
    """Ctrl-C comes while evaluate.json is being written with it."""
    write, written = record.write, []

    def slow(found, place):
        written.append(place)
        if len(written) == 2:
            signal.raise_signal(signal.SIGINT)
        write(found, place)

    monkeypatch.setattr(record, "write", slow)
    code, found, _, _ = evaluate()
    assert (code, found["status"], len(found["not_run"])) == (130, "INTERRUPTED", 1)
    assert [row["status"] for row in found["rows"]] == ["DONE"]
