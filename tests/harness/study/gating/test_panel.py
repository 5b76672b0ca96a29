"""Are the runs of a gate judged alike, whoever makes them and however many at a time? With nodes
that are made of air.
"""

from __future__ import annotations

import json

import pytest

from accuracy.gate.readings import Criteria
from harness.study import executors, scoring
from harness.study.executors.here import here
from harness.study.executors.made import Outcome
from harness.study.gating import gate
from harness.study.gating import job as gate_job
from harness.study.study import load


class Air:
    """A cluster of three nodes, of which the last to begin is the first to end. `fate` maps a cell
    to what its run raises.
    """

    def __init__(self):
        self.fate, self.running, self.most, self.parts = {}, [], 0, []

    def has_room(self):
        return len(self.running) < 3

    def begin(self, cell, config, say):
        self.running.append((cell, config, say))
        self.most = max(self.most, len(self.running))

    def ended(self):
        cell, config, say = self.running.pop()
        if fault := self.fate.get(cell):
            return Outcome(cell, fault)
        return Outcome(cell, here(config, say))

    def each(self, work, parts):
        assert not self.running  # nothing is being timed
        for number, part in reversed(list(enumerate(parts))):
            self.parts.append(part)
            yield number, work(part)

    def close(self):
        pass


@pytest.fixture
def flags(tmp_path, tiny_llama):
    file = tmp_path / "questions.jsonl"
    rows = [{"prompt": f"why is the sky {c}", "reference": f"the sky is {c}"} for c in "abcdef"]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    model = {"model": str(tiny_llama), "dataset": str(file), "max_new_tokens": 6}
    return {**model, "in_process": True, "output_dir": tmp_path / "runs"}


@pytest.fixture
def air(monkeypatch):
    made, crew = Air(), executors.crew
    monkeypatch.setattr(
        executors, "crew", lambda text: made if text.startswith("ray") else crew(text)
    )
    return made


def judged(flags, executor, control=True):
    heard = []
    job = gate_job.job("fp32", "bf16,fp16", flags, Criteria(resamples=200), control)
    job = job._replace(executor=executor)
    found, place = gate.run(job, lambda text: None, lambda row: heard.append(row["label"]))
    return found, place, heard


def verdicts(found):
    """Return what was found, without where and how fast."""
    apart = ("run", "tokens_per_s", "peak_bytes")
    rows = [found["reference"], found["control"], *found["rows"]]
    kept = {k: v for k, v in found.items() if k not in ("reference", "control", "rows", "folder")}
    return kept, [{k: v for k, v in row.items() if k not in apart} for row in rows]


def test_runs_side_by_side_are_judged_as_those_made_one_after_the_other(flags, air, monkeypatch):
    monkeypatch.setattr(scoring, "LEAST_SPREAD", 0)
    monkeypatch.setattr(scoring, "OF_A_PART", 60)
    here, _, _ = judged(flags, "here")
    monkeypatch.setattr(air, "fate", {"candidate 1: bf16": KeyboardInterrupt()})
    stopped, place, _ = judged(flags, "ray:air")
    assert gate.exit_code(stopped) == 130
    assert [row["label"] for row in stopped["rows"]] == ["bf16", "fp16"]
    assert stopped["rows"][0]["reason"] == "interrupted before it was measured"
    monkeypatch.setattr(air, "fate", {})
    heard = []
    study = load(place, [gate.KIND])
    whole, _ = gate.go_on(study, lambda text: None, lambda row: heard.append(row["label"]))
    assert verdicts(whole) == verdicts(here)
    assert air.most == 3
    assert heard == ["fp32 (control)", "bf16", "fp16"]
    assert max(len(part.texts) for part in air.parts) < 6


def test_a_run_that_breaks_beside_others_is_a_row_and_few_texts_are_scored_here(flags, air):
    air.fate = {"candidate 1: bf16": OSError("the disk is gone")}
    found, _, _ = judged(flags, "ray:air", control=False)
    assert [row["status"] for row in found["rows"]] == ["UNDECIDED", "PASS"]
    assert "the disk is gone" in found["rows"][0]["reason"]
    assert air.parts == []


def test_the_candidates_of_all_tasks_run_side_by_side(flags, air, tmp_path):
    files = []
    for name in ("a.jsonl", "b.jsonl"):
        rows = [{"question": f"what is {i}", "answer": f"#### {i}"} for i in range(4)]
        (tmp_path / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
        files.append(f"gsm8k:{tmp_path / name}")
    given = {**flags, "task": ",".join(files), "shots": 0}
    del given["dataset"]
    found, _, heard = judged(given, "ray:air", control=False)
    assert air.most == 3, "more than one task's"
    assert sorted(heard) == ["bf16", "bf16", "fp16", "fp16"]
    assert [task["name"] for task in found["tasks"]] == ["gsm8k #1", "gsm8k #2"]
    assert [row["label"] for row in found["rows"]] == ["bf16", "fp16"]
    assert all(row["by_task"].keys() == {"gsm8k #1", "gsm8k #2"} for row in found["rows"])
