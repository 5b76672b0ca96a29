"""Answers that are programs: their tests tell right from wrong, and a gate says what became of
those that failed.
"""

from __future__ import annotations

import json

from accuracy.tasks.load import Asked, load_task
from harness.engine import runlog
from reports.pages import gate as page
from tests import ROOT
from tests.harness.study.gating.test_gate import edit, invoke, make, screen

FILE = ROOT / "tests" / "data" / "programs.jsonl"
ANSWERS = [json.loads(line)["canonical_solution"] for line in FILE.read_text().splitlines()]
OUTCOMES = {"R": "right", "w": "wrong", "e": "error", "t": "timeout", "m": "memory"}


def ran(folder, pattern, variant):
    """The folder of a run whose programs ended as in `pattern`."""
    made = make(folder, ANSWERS, variant)
    task = f"humaneval:{FILE}"
    edit(made / "settings.json", "config", task=task, shots=0, run_code="sandboxed")
    edit(made / "settings.json", "dataset", **load_task(Asked(task, 0)).source)
    log, facts = runlog.read_log(made)
    at = {int(index): i for i, index in enumerate(log.index)}
    rows = [(at[k], OUTCOMES[one], f"because {one}") for k, one in enumerate(pattern)]
    sandbox = {"mode": "sandboxed", "protections": ["no network"]}
    facts.evaluation |= {"programs": {"rows": rows, "sandbox": sandbox, "broken": []}}
    runlog.write_log(made, log, facts)
    return made


def test_programs_flip_by_their_tests_and_failures_are_told_apart(tmp_path):
    runs = ran(tmp_path, "RRRRRRwwww", "fp32"), ran(tmp_path, "RRRtmeRwww", "int8")
    code, found, said = invoke(*runs, flags=["--target", "99"])
    (task,) = found["tasks"]
    (row,) = task["rows"]
    assert (code, task["metric"], task["answers"]) == (1, "runs", 10), said
    flips = row["paired"]
    assert (flips["only_reference"], flips["only_candidate"]) == (3, 1)
    told = {name: row["solved"][name] for name in ("right", "wrong", "error", "timeout", "memory")}
    assert told == {"right": 4, "wrong": 3, "error": 1, "timeout": 1, "memory": 1}
    assert task["reference"]["solved"]["error"] == 0
    shown = " ".join(screen(found, 150).split())
    assert "broken off" in shown
    html = page.render(found)
    assert "because t" in html
    assert "humaneval: 10 questions, tests passed" in html
