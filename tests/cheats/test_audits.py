"""Is a system caught that keeps answers, knows the questions, behaves where it is watched, or works
while nobody counts the time?
"""

import json

import pytest
from typer.testing import CliRunner

from accuracy.datasets.files import load_dataset
from harness.cli import app
from tests.cheats import suts

LONG = {"num_samples": 200, "min_queries": 200}


def speeds(found):
    return {name: status for name, status in found.items() if name.startswith("SPEED ")}


def test_answers_that_are_kept_are_caught(cheat, audited):
    folder, _ = cheat(suts.KeepsAnswers, num_samples=200)
    assert audited(folder, "--caching")["CACHING repeats_latency"] == "FAIL"


def test_who_keeps_answers_only_unwatched_was_faster_than_the_audits_run(
    cheat, audited, monkeypatch
):
    few = {"num_samples": 100, "min_queries": 400, "scenario": "single-stream"}
    folder, _ = cheat(suts.KeepsAnswersUnwatched, **few)
    monkeypatch.setattr(suts.KeepsAnswersUnwatched, "watched", True)
    found = audited(folder, "--caching")
    assert found["CACHING repeats_latency"] == "PASS", "the cheat did not behave"
    assert "FAIL" in speeds(found).values()


@pytest.mark.parametrize("scenario", ["server", "offline"])
def test_who_is_fast_only_unwatched_is_caught_by_the_same_load_again(
    cheat, audited, monkeypatch, scenario
):
    folder, _ = cheat(suts.FastUnwatched, scenario=scenario)
    monkeypatch.setattr(suts.FastUnwatched, "watched", True)
    assert speeds(audited(folder, "--speed"))["SPEED same_load_per_token"] == "FAIL"


@pytest.mark.parametrize("scenario", ["server", "offline"])
def test_an_honest_system_is_as_fast_again(cheat, audited, scenario):
    folder, _ = cheat(suts.Simulated, scenario=scenario)
    assert set(speeds(audited(folder, "--speed")).values()) == {"PASS"}


def test_a_faster_audit_decides_nothing(cheat, audited, monkeypatch):
    monkeypatch.setattr(suts.FastUnwatched, "watched", True)
    folder, _ = cheat(suts.FastUnwatched)
    monkeypatch.setattr(suts.FastUnwatched, "watched", False)
    assert speeds(audited(folder, "--speed"))["SPEED same_load_per_token"] == "UNDECIDED"


def test_questions_that_are_recognised_are_caught(cheat, audited, monkeypatch):
    known = frozenset(sample.prompt for sample in load_dataset("qa", 32).samples)
    monkeypatch.setattr(suts.RecognisesQuestions, "known", known)
    folder, _ = cheat(suts.RecognisesQuestions, asks=True, **LONG)
    assert audited(folder, "--benchmark-detection")["DETECTION length"] == "FAIL"


def test_no_name_of_the_audits_runs_tells_of_an_audit(cheat):
    folder, _ = cheat(suts.Simulated, asks=True, num_samples=200)
    CliRunner().invoke(app, ["audit", str(folder), "--caching", "--benchmark-detection", "--speed"])
    names = [str(path.relative_to(folder)) for path in (folder / "more").rglob("*")]
    assert len([name for name in names if name.endswith("settings.json")]) == 3
    told = ("audit", "caching", "detection", "known", "fresh")
    assert not [name for name in names if any(word in name for word in told)]


QUICK = {
    "scenario": "single-stream", "sut_options": {"ttft_ms": 0.1, "per_token_ms": 0.01},
    "min_queries": 60, "warmup": 0,
}  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "rule"),
    [
        (suts.AnswersWhileItLoads, "UNTIMED prepare"),
        (suts.WorksWhileItDecodes, "UNTIMED read_back"),
    ],
)
def test_work_outside_the_timed_part_is_doubted(cheat, audited, monkeypatch, kind, rule):
    monkeypatch.setattr("accuracy.compliance.untimed.LEAST_S", 0.02)
    folder, result = cheat(kind, **QUICK)
    assert audited(folder)[rule] == "UNDECIDED"
    name = {"UNTIMED prepare": "prepare_s", "UNTIMED read_back": "read_back_s"}[rule]
    assert result["driver"][name] >= 0.02


def test_no_reference_answer_reaches_a_system_in_the_drivers_process(cheat):
    cheat(suts.ReadsTheReferences, asks=True, dataset="qa")
    assert set(suts.ReadsTheReferences.seen) == {None}


def test_a_system_in_the_drivers_process_passes_no_audit(cheat, audited):
    folder, result = cheat(suts.HoldsTheRecorder, in_process=True)
    assert result["latency"]["ttft_ms"]["p99"] < 0.001, "the cheat did not change anything"
    found = audited(folder)
    assert (found["PROCESS own"], found[""] == "PASS") == ("UNDECIDED", False)


def test_memory_is_told_beside_what_the_system_saw(cheat, audited):
    folder, _ = cheat(suts.Simulated)
    assert audited(folder)["MEMORY as_seen"] == "SKIPPED"
    assert "system_peak_bytes" not in json.loads((folder / "memory.json").read_text())
