"""Can the page and the screen of a gate on several tasks be read: notes once, tables that fit,
intervals that go on marked as such?
"""

from __future__ import annotations

import html
import json
import re

import numpy as np
import pytest

from harness.engine import runlog
from harness.result import quiet
from reports.blocks import grid
from reports.pages import gate as page
from reports.parts import solving
from reports.plots import gate as plot
from tests.harness.study.gating.test_gate import screen
from tests.harness.study.gating.test_gate_finished import ask, letter, number
from tests.harness.study.gating.test_gate_tasks import questions
from tests.test_layout import CHROMIUM, MEASURE, browse

LOAD = {"wall_s": 100.0, "cpus": 2, "foreign_cpus": 1.0, "steal_cpus": 0.0}


@pytest.fixture
def files(tmp_path):
    """A file of each of two tasks."""
    of_choices = tmp_path / "mmlu.jsonl"
    row = {"choices": ["u", "v", "w", "x"]}
    rows = [row | {"question": f"which of {i}?", "answer": i % 4} for i in range(30)]
    of_choices.write_text("".join(json.dumps(one) + "\n" for one in rows))
    return {"gsm8k": questions(tmp_path, 30), "mmlu": of_choices}


def make_busy(run, waited_s):
    """Let a run have waited so long for a processor, in 10 s with a query open."""
    log, facts = runlog.read_log(run)
    log.done_ns = np.full_like(log.done_ns, log.issued_ns.min() + 10 * 10**9)
    facts.load = LOAD | {"sut_wait_s": waited_s}
    runlog.write_log(run, log, facts)
    return run


def test_a_note_is_told_once_with_whom_it_concerns(tmp_path, files, monkeypatch):
    monkeypatch.setattr(quiet, "BUSY_SHARE", 0.60)
    monkeypatch.setattr(quiet, "NOTED_SHARE", 0.10)
    runs = [of(tmp_path, files, v) for of in (number, letter) for v in ("fp32", "int8", "nf4")]
    for run, waited_s in zip(runs, (2, 3, 0, 5, 0, 0), strict=True):
        make_busy(run, waited_s)
    _, found, said = ask(tmp_path, *runs, "--target", "99")
    busy = [note for note in found["notes"] if "the machine was busy" in note]
    whom = "fp32; int8 on gsm8k: the machine was busy: others took 20 to 50 % of the time"
    assert [note[: len(whom)] for note in busy] == [whom], said
    assert sum("profile quick" in note for note in found["notes"]) == 1
    assert any(note.startswith("all 6 runs: profile quick") for note in found["notes"])
    shares = [row["busy_share"] for task in found["tasks"] for row in task["rows"]]
    assert shares == [pytest.approx(0.3), None, None, None]
    for shown in (" ".join(screen(found).split()), page.render(found)):
        assert shown.count("the machine was busy") == 1
        assert shown.count("profile quick") == 1
    assert any("took 30 %" in note for note in found["tasks"][0]["rows"][0]["notes"])


def test_a_note_on_one_task_names_it(tmp_path, files):
    runs = [of(tmp_path, files, v) for of in (number, letter) for v in ("fp32", "int8")]
    for run in runs[:2]:
        log, facts = runlog.read_log(run)
        facts.notes = ["a fact of the run"]
        runlog.write_log(run, log, facts)
    _, found, _ = ask(tmp_path, *runs, "--target", "99")
    assert "all runs of gsm8k: a fact of the run" in found["notes"]
    _, found, _ = ask(tmp_path, *runs[:2], "--target", "99")
    assert "all 2 runs: a fact of the run" in found["notes"]


# ---- the picture

INSIDE, BEYOND = ("fp32 (control)", 1.0, 1.0, 1.0, "PASS"), ("lora", 1.75, 0.75, 4.32, "UNDECIDED")


@pytest.mark.parametrize("frame", [plot.ROOMY, plot.PHONE])
def test_an_interval_that_goes_on_beyond_the_axis_has_an_arrow(frame):
    far = ("nf4", 3.0, 2.5, 4.0, "PASS")
    picture = plot.placed([plot.Group("word-problems", [INSIDE, BEYOND, far])], [0.99], frame)
    inside, beyond, away = picture.marks
    assert not inside.beyond
    (arrow,) = beyond.beyond
    assert arrow.text == "432"
    assert arrow.points.startswith(f"{frame.right}.0,")
    assert beyond.high == frame.right
    assert "432.00" in beyond.text
    assert beyond.x is not None
    assert away.x is None, "no point where there is none"


@pytest.mark.parametrize("frame", [plot.ROOMY, plot.PHONE])
def test_the_name_of_a_task_is_on_no_other_name(frame):
    groups = [plot.Group("word-problems", [INSIDE]), plot.Group("boxed", [])]
    picture = plot.placed(groups, [0.99], frame)
    lines = [y for y, _ in picture.heads] + [mark.y for mark in picture.marks]
    assert len(set(lines)) == 3
    assert picture.heads[1][1] == "boxed: nothing to compare"


# ---- the tables


@pytest.mark.parametrize("target", ["99", "95"])
@pytest.mark.pictures
def test_the_tables_of_tasks_fit_a_screen_of_1280_pixels(tmp_path, files, target):
    if CHROMIUM is None:
        pytest.skip("no chromium: pages are not laid out here")
    runs = [of(tmp_path, files, v) for of in (number, letter) for v in ("fp32", "int8")]
    _, found, _ = ask(tmp_path, *runs, "--target", target)
    for task in found["tasks"]:
        for row in (task["reference"], *task["rows"]):
            row |= {"peak_bytes": 2_219_000_000, "tokens_per_s": 1234.5}
    (tmp_path / "gate.html").write_text(page.render(found))
    frame = '<iframe id="gate" style="border:0;width:1280px;height:800px" src="{}"></iframe>'
    measured = tmp_path / "measure.html"
    measured.write_text(MEASURE % frame.format((tmp_path / "gate.html").as_uri()))
    told = html.unescape(
        re.search(r'id="found">(.+?)</pre>', browse(measured, tmp_path / "profile"))[1]
    )
    gate = json.loads(told)["gate"]
    assert gate["heads"] > 20, "the page was not read"
    assert gate["scrolled"] == []


def test_a_table_that_is_too_wide_is_told_in_two(tmp_path, files):
    runs = [number(tmp_path, files, v) for v in ("fp32", "int8")]
    _, found, _ = ask(tmp_path, *runs, "--target", "95")
    (task,) = found["tasks"]
    assert len(solving.on_page(task)) == 1
    for row in (task["reference"], *task["rows"]):
        row["solved"]["timeout"] = 1
    first, speed = solving.on_page(task)
    assert grid(speed).heads == ["", "tokens/answer", "tokens/s", "peak memory"]
    assert grid(first).heads[-1] == "cut"
    assert len(first.rows) == len(speed.rows) == 2
    assert speed.title in page.render(found)
