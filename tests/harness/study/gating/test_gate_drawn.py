"""Answers that are drawn: what does a gate count, and what is its noise?"""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from accuracy.gate.readings import Criteria
from accuracy.tasks.attempts.choosing import pass_at_k
from accuracy.tasks.load import Asked, load_task
from harness.result.read import read_json
from harness.study.gating import gate
from harness.study.gating import job as gate_job
from harness.study.gating.found import noise
from harness.study.gating.part import Judged
from reports.pages import gate as page
from tests.harness.study.gating.test_gate import edit, invoke, make, screen
from tests.harness.study.gating.test_gate_tasks import RIGHT, WRONG, questions

DRAWS = {"attempts": 3, "temperature": 0.8, "top_p": 1.0, "seed": 0}


def drawn(folder, patterns, variant, file):
    """The folder of a run with three attempts at each question: "RRw" of the first, and so on."""
    kinds = {"R": RIGHT, "w": WRONG}
    given = [kinds[one].format(i, i) for i, own in enumerate(patterns) for one in own]
    made = make(folder, given, variant)
    edit(
        made / "settings.json", "config", task=f"gsm8k:{file}", shots=0, attempts=3,
        temperature=0.8, num_samples=len(patterns),
    )  # fmt: skip
    source = load_task(Asked(f"gsm8k:{file}", 0)).source
    edit(made / "settings.json", "dataset", **source | {"task": source["task"] | {"draws": DRAWS}})
    return made


def test_a_question_counts_once_with_the_mean_of_its_attempts(tmp_path):
    own = ["RRR", "RRw", "Rww", "www"] * 10
    other = ["RRR", "Rww", "Rww", "www"] * 10
    file = questions(tmp_path, 40)
    runs = drawn(tmp_path, own, "fp32", file), drawn(tmp_path, other, "int8", file)
    _, found, said = invoke(*runs, flags=["--target", "99"])
    (task,) = found["tasks"]
    (row,) = task["rows"]
    assert (task["answers"], task["reference"]["n"], row["changed"]) == (40, 120, 10), said
    (ratio,) = row["readings"]["task"]["ratios"]
    assert (ratio["value"], ratio["n"]) == (pytest.approx(5 / 6), 40)
    assert ratio["low"] < 5 / 6 < ratio["high"]
    assert row["status"] == "FAIL"
    solved = task["reference"]["solved"]
    assert solved["value"] == pytest.approx(0.5)
    wanted = sum(pass_at_k(3, right, 3) for right in (3, 2, 1, 0)) / 4
    assert solved["attempts"]["pass"]["value"] == pytest.approx(wanted)
    assert solved["attempts"]["majority"]["value"] == pytest.approx(0.5)
    assert row["solved"]["attempts"]["majority"]["value"] == pytest.approx(0.25)
    beside = SimpleNamespace(criteria=Criteria("99"), outputs=SimpleNamespace(task={}))
    again = Judged("gsm8k", beside, row, [])
    noisy = found | {"tasks": [task | {"control": row, "noise": noise(again)}]}
    words = "drawn again with other seeds: the scores of 10 of 40 questions change"
    assert words in page.noise(noisy)
    told = " ".join(screen(found, 130).split())
    assert "40 questions, 3 attempts at each" in told
    assert "pass@k" in told
    assert "pass@k" in page.render(found)


def test_too_few_questions_are_said_to_be_too_few(tmp_path):
    file = questions(tmp_path, 6)
    few = ["Rww", *["www"] * 5]
    runs = drawn(tmp_path, few, "fp32", file), drawn(tmp_path, ["www"] * 6, "int8", file)
    _, found, _ = invoke(*runs, flags=["--target", "99"])
    assert "too few questions to tell; use more" in found["rows"][0]["reason"]


def test_the_control_of_drawn_answers_is_drawn_again(tmp_path, tiny_llama):
    file = questions(tmp_path, 4)
    flags = {
        "model": str(tiny_llama), "task": f"gsm8k:{file}", "shots": 0, "max_new_tokens": 6,
        "in_process": True, "output_dir": tmp_path / "runs", "attempts": 2, "temperature": 1.0,
    }  # fmt: skip
    said = []
    job = gate_job.job("fp32", "fp32", flags, Criteria("99"))
    found, place = gate.run(job, said.append, lambda row: None)
    (task,) = found["tasks"]
    control, (row,) = task["control"], task["rows"]
    runs = [read_json(place / run["run"] / "settings.json")["config"] for run in (control, row)]
    assert [run["sampling_seed"] for run in runs] == [1, 0]
    assert control["rows_in_batch"] == task["reference"]["rows_in_batch"]
    assert control["identical"] < row["identical"] == 1
    assert (control["draws"]["seed"], row["draws"]["seed"]) == (1, 0)
    assert any("drawn again, with --sampling-seed 1" in words for words in said)
    assert json.loads((place / "gate.json").read_text()) == found
