"""Is what stands on a screen whole, at any width and on any terminal, and are its figures told
apart by their units?
"""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from typer.testing import CliRunner

import accuracy
from harness import registry
from harness.cli import app
from harness.kernel.process import children
from harness.kernel.process.streams import instead
from harness.kernel.types import Sample
from reports import tables, terminal
from reports.pages import compare, gate
from reports.pages.likelihood import words as perplexity_words
from reports.scores import SCORES
from tests import ROOT
from tests.harness.study.comparison.test_compare import compared, oom, row
from tests.scenario_helpers import Row, hand_log

VERDICT = {
    "rule": "ttft_p90", "status": "PASS", "measured": 50.0, "limit": 2000.0, "unit": "ms",
    "detail": "0 of 64 over the limit", "evidence": [], "remedy": "", "margin": 0.975,
}  # fmt: skip
FAILED = VERDICT | {
    "rule": "eos", "status": "FAIL",
    "detail": "sample 6: EOS 2 at position 31 is not the last token",
    "evidence": [6, 7],
    "remedy": "end the output at the first EOS and report finish 'eos' only there",
}  # fmt: skip


def screen(show, width):
    """What `show(console)` prints, with its lines joined by single blanks."""
    console = Console(width=width, file=io.StringIO(), highlight=False)
    show(console)
    text = console.file.getvalue()
    assert max(map(len, text.splitlines())) <= width
    return text


def conditions(width):
    def show(console):
        for part in terminal._conditions([VERDICT, FAILED], width):
            console.print(part)

    return screen(show, width)


@pytest.mark.parametrize("width", [60, 80, 132])
def test_what_was_wrong_and_what_to_do_stand_whole_under_the_table(width):
    said = " ".join(conditions(width).split())
    assert "eos: sample 6: EOS 2 at position 31 is not the last token samples 6, 7 → end" in said
    assert "report finish 'eos' only there" in said


def test_a_narrow_screen_leaves_out_what_was_seen_of_conditions_that_hold():
    assert "0 of 64 over the limit" in " ".join(conditions(80).split())
    assert "0 of 64 over" not in " ".join(conditions(60).split())
    assert "+97.5 %" in conditions(60)


@pytest.mark.parametrize("width", [60, 80])
def test_no_head_of_a_comparison_is_cut(width):
    found = compared(
        row("fp32", model="a-model-with-a-rather-long-name-instruct-v0.3"), oom("int8")
    )
    text = screen(lambda console: compare.show(found, Path("x"), console), max(width, 60))
    assert "…" not in text
    assert "a-model-with-a-rather-long-name-instruct-v0.3" in text.replace("\n", "")


@pytest.mark.parametrize("width", [60, 80])
def test_no_head_of_a_gate_is_cut(width):
    found = {
        "reference": {"model": "a-model-with-a-rather-long-name", "n": 200, "label": "fp32"},
        "dataset": "some/where/questions-and-answers.jsonl", "rows": [], "not_run": [],
        "status": "PASS", "target": {"key": "99.9", "name": "99.9", "published": {}},
        "against": "dataset", "why": "the dataset has answers", "confidence": 95, "resamples": 100,
        "control": None,
    }  # fmt: skip
    text = screen(lambda console: console.print(gate._head(found)), width)
    assert "…" not in text
    joined = " ".join(text.replace("│", " ").split())
    assert "some/where/questions-and-answers.jsonl · 200 samples · reference fp32" in joined


def test_models_of_different_context_are_told_as_alternatives():
    found = {"settings": {"bos": "none", "context": [8192, 32768]}, "subjects": []}
    words = perplexity_words.conditions(found)
    assert words == "BOS none, context 8,192 tokens or 32,768 tokens (by model)"
    found["settings"]["context"] = 8192
    assert perplexity_words.conditions(found) == "BOS none, context 8,192 tokens"


# ---- figures and their units


def test_a_count_never_stands_among_figures_of_100():
    found = {"rouge1": 29.4, "number_match": 75.0, "number_match_marked": 3.0, "eval_loss": 1.0}
    lines = dict(tables.brief({"accuracy": found, "result": {"value": None}}))
    assert lines["quality"] == "rouge1 29.4, number_match 75 (out of 100)"
    assert lines["answers"] == "number_match_marked 3 answers"
    assert lines["evaluation"] == "loss 1.0000 nats per token"


def test_every_score_that_can_be_made_has_a_unit_and_a_meaning():
    """Answers to questions of each kind, scored by every metric there is."""
    kinds = {
        "It is 42.\n#### 42": "so #### 42",
        "B": "The answer is B.",
        "blue": "blue",
        "The sky is blue because of the air, which scatters the light of the sun.": "It is blue.",
        "It is \\boxed{7}": "\\boxed{7}",
    }
    made = set()
    for reference, answer in kinds.items():
        log = hand_log([Row(), Row()])
        log.texts = {0: answer, 1: answer}
        prompt = "Which?\nA. one\nB. two\nAnswer:"
        samples = [Sample(i, prompt, reference=reference) for i in range(2)]
        for function in map(registry.metric, accuracy.METRICS):
            made |= {metric.name for metric in function(log, samples, np.arange(2))}
    assert len(made) >= 15
    assert made <= set(SCORES)
    assert all(score.unit and score.meaning for score in SCORES.values())
    assert len(accuracy.METRICS) >= 7


# ---- terminals without Unicode


def test_what_ascii_lacks_has_something_in_its_place():
    assert instead("server · fp32 → 12 µs, 30 ≤ 40 …") == "server - fp32 -> 12 us, 30 <= 40 ..."
    assert instead("Zürich") == "Z?rich"


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_every_terminal_gets_the_verdict(tmp_path, encoding):
    command = [sys.executable, "-m", "harness", "run", "--scenario", "server", "--sut", "simulated"]
    command += ["--clock", "virtual", "--sut-option", "fault=two_eos", "--output-dir", "runs"]
    env = {"PYTHONPATH": str(ROOT), "PYTHONIOENCODING": encoding, "PATH": "/usr/bin:/bin"}
    done = subprocess.run(command, capture_output=True, cwd=tmp_path, env=env, check=False)
    assert done.returncode == 1, done.stderr
    text = done.stdout.decode(encoding)
    assert "INVALID" in text
    assert "end the output at the first EOS" in text
    assert text.isascii() == (encoding == "ascii")


def test_minutes_of_latency_are_told_in_seconds_and_fit_a_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = "run --scenario offline --sut simulated --clock virtual --sut-option slots=1"
    done = CliRunner().invoke(app, f"{words} --min-queries 3000".split())
    assert "Seconds from the due time" in done.stdout
    (line,) = re.findall(r"^TTFT .*$", done.stdout, re.M)
    assert len(line.split()) == 9
    assert line.split()[-2:] == ["614.8", "3,000"]


SAYS = """
import time
from harness.screen import people
with people(False) as (console, say):
    say("reading the outputs")
    time.sleep(0.3)
    console.print("first line")
    time.sleep(0.3)
    console.print("last line")
"""


def test_on_a_terminal_no_spinner_turns_between_the_lines_of_a_table():
    ours, theirs = pytest.importorskip("pty").openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", SAYS],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=children.variables({"TERM": "xterm", "COLUMNS": "80"}),
    )
    os.close(theirs)
    shown = b""
    with suppress(OSError):  # how the end of a terminal reads
        while part := os.read(ours, 4096):
            shown += part
    assert process.wait(30) == 0
    assert b"reading the outputs" in shown
    assert b"reading the outputs" not in shown[shown.index(b"first line") :]
