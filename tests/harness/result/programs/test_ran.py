"""A run whose answers are programs: they run when the user says so, once, and the folder keeps what
became of them.
"""

import json
import shlex

import pytest
from typer.testing import CliRunner

import sut
from accuracy.sandbox import pool
from accuracy.sandbox.programs import Broken, Limits, Ran
from accuracy.tasks.files import read
from harness.cli import app
from harness.kernel.errors import BadInput
from harness.result.publish import publish
from sut.simulated import EOS, Simulated
from tests import ROOT

FILE = ROOT / "tests" / "data" / "programs.jsonl"
RIGHT = [json.loads(line)["canonical_solution"] for line in FILE.read_text().splitlines()]
# what the model answers: five right ones (one goes on to ask itself more), and one of each kind
ANSWERS = [
    *RIGHT[:4],
    RIGHT[4] + "\n\nprint(1 / 0)",
    "    return 5\n",
    "    raise KeyError('no')\n",
    "    import mmap\n    mmap.mmap(-1, 1 << 42)\n",
    "    This is no Python.\n",
    "  ",
]
OUTCOMES = [*["right"] * 5, "wrong", "error", "memory", "no answer", "no answer"]


class Writes(Simulated):
    """Answers question i with `ANSWERS[i]`."""

    def _answer(self, index):
        return [100 + index, EOS]

    def decode(self, outputs):
        return [ANSWERS[ids[0] - 100] for ids in outputs]


@pytest.fixture
def run(tmp_path, monkeypatch):
    entry = sut.TABLE["simulated"]._replace(factory=f"{__name__}:Writes", uses_dataset=True)
    monkeypatch.setitem(sut.TABLE, "simulated", entry)

    def run(more, code=0):
        words = (
            "run --sut simulated --clock virtual --mode accuracy --scenario offline"
            f" --output-dir {tmp_path} {more}"
        )
        done = CliRunner().invoke(app, shlex.split(words), env={"COLUMNS": "300"})
        assert done.exit_code == code, done.output
        folders = [*tmp_path.iterdir()]
        return (folders[0] if folders else None), done.output

    return run


def result_of(folder):
    return json.loads((folder / "result.json").read_text())


@pytest.fixture
def walls():
    try:
        pool.check("sandboxed", Limits())
    except BadInput as missing:
        pytest.skip(str(missing))


def test_programs_run_and_a_report_made_later_has_the_same_marks(run, walls, monkeypatch):
    folder, said = run(f"--task humaneval:{FILE} --run-code sandboxed")
    assert "note: programs written by the model will run on this machine" in said
    assert "Task humaneval: 50.0 % of 10 questions solved" in said
    assert "2 that are no Python, 1 stopped by an error, 1 out of memory" in said
    rows = read(folder)
    assert [row["outcome"] for row in rows] == OUTCOMES
    assert rows[6]["answer"] == "KeyError: 'no'"
    task = result_of(folder)["task"]
    figure = task["scores"]["runs"]
    assert (figure["right"], figure["value"]) == (5, 0.5)
    assert task["sandbox"]["mode"] == "sandboxed"
    assert "no network" in task["sandbox"]["protections"]

    def never(*_):
        raise AssertionError("a report runs no program")

    monkeypatch.setattr(pool, "run", never)
    (folder / "scores.parquet").unlink()
    assert publish(folder).to_json()["task"] == task
    assert read(folder) == rows


def test_without_run_code_nothing_runs_and_the_answers_are_kept(run, monkeypatch):
    monkeypatch.setattr(pool, "run", None)
    folder, said = run(f"--task humaneval:{FILE}")
    assert "Task humaneval: the programs were not run; pass --run-code sandboxed" in said
    task = result_of(folder)["task"]
    assert task["scores"]["runs"]["value"] is None
    assert task["scores"]["runs"]["n"] == 0
    assert "sandbox" not in task
    assert read(folder) == []


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("--run-code sandboxed", "no --task"),
        ("--run-code sandboxed --task word-problems", "are no programs"),
        (f"--run-code yes --task humaneval:{FILE}", "sandboxed"),
    ],
)
def test_what_cannot_be_run_is_refused_before_the_run(run, more, said):
    folder, output = run(more, code=2)
    assert said in output
    assert folder is None


def test_a_system_without_walls_is_refused_before_the_run(run, monkeypatch):
    def without(*_):
        raise Broken("new namespaces: Operation not permitted")

    monkeypatch.setattr(pool, "run", without)
    folder, output = run(f"--task humaneval:{FILE} --run-code sandboxed", code=2)
    assert "no sandbox: new namespaces: Operation not permitted" in output
    assert folder is None


def test_a_sandbox_that_breaks_later_costs_its_own_answers_alone(run, monkeypatch):
    def breaks(program, *_):
        if "KeyError" in program.answer:
            raise Broken("a process of the sandbox was killed")
        return Ran("right")

    monkeypatch.setattr(pool, "run", breaks)
    folder, said = run(f"--task humaneval:{FILE} --run-code sandboxed")
    assert "because their sandbox broke: 1 (the sandbox: a process of" in said
    outcomes = [(row["outcome"], row["answer"]) for row in read(folder)]
    assert outcomes[6] == ("error", "the sandbox: a process of the sandbox was killed")
    assert [outcome for outcome, _ in outcomes].count("right") == 8
