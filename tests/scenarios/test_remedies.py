"""Each remedy must help in the situation in which it is printed. Where it names a flag with its
value, the run is made again with it, and the condition must hold.
"""

from __future__ import annotations

import re

import pytest

from harness.engine.driver import Stop
from harness.kernel.clock import VirtualClock
from harness.kernel.words.endings import to_finish
from harness.options.settings import load_config
from harness.running.session import Run
from scenarios import remedies
from scenarios.absent import absence
from tests.helpers import S, simulated, virtual_run
from tests.scenario_helpers import Row, hand_log, run_settings

SCENARIOS = ("single-stream", "multi-stream", "server", "offline")
FLAG = re.compile(r"--([a-z-]+)(?: \([^)]*\))?(?: to)? ([0-9][0-9.e+]*s?)\b")
KNOBS = re.compile(r"--[a-z-]+")


def run(folder, **flags):
    base = {"sut": "simulated", "clock": "virtual", "output_dir": folder, "num_samples": 20}
    with Run(load_config(base | flags), lambda text: None, progress=False) as made:
        return made.execute()


def failing(found):
    return {v["rule"]: v for v in found.verdicts if v["status"] == "FAIL"}


# ---- what a finished run says, tried


SLOW = {"ttft_ms": 50, "per_token_ms": 5, "tokens": 2, "slots": 2}
FINISHED = {  # settings whose run ends by itself, and the conditions that fail
    "offline, expected too slow": (
        {"scenario": "offline", "min_duration": "20s", "target_qps": 3},
        {"min_duration"},
    ),
    "single-stream, expected too slow": (
        {"scenario": "single-stream", "min_duration": "20s", "target_qps": 1},
        {"min_duration"},
    ),
    "multi-stream, expected too slow": (
        {"scenario": "multi-stream", "min_duration": "20s", "target_qps": 0.5, "min_queries": 4},
        {"min_duration", "early_stopping"},
    ),
    "single-stream, too few": (
        {"scenario": "single-stream", "min_queries": 30},
        {"early_stopping"},
    ),
    "single-stream, too few for p99": (
        {"scenario": "single-stream", "percentile": 99},
        {"early_stopping"},
    ),
    "server, too few": (
        {"scenario": "server", "min_queries": 30},
        {"ttft_early_stopping", "tpot_early_stopping"},
    ),
    "server, too few for so many over": (
        {"scenario": "server", "min_queries": 90, "target_qps": 6, "ttft_limit": "52ms"},
        {"ttft_early_stopping"},
    ),
}


@pytest.mark.parametrize(("flags", "rules"), FINISHED.values(), ids=FINISHED.keys())
def test_the_remedy_of_a_run_that_ended_by_itself_makes_the_condition_hold(tmp_path, flags, rules):
    flags = flags | {"sut_options": SLOW}
    failed = failing(run(tmp_path, **flags))
    assert set(failed) == rules
    knobs = {}
    for verdict in failed.values():
        named = FLAG.findall(verdict["remedy"])
        assert named, verdict["remedy"]
        knobs |= {name.replace("-", "_"): value for name, value in named}
    again = run(tmp_path, **flags | knobs)
    assert rules.isdisjoint(failing(again)), (knobs, failing(again))


def test_a_tail_that_is_too_slow_itself_is_not_cured_by_more_queries(tmp_path):
    found = failing(run(tmp_path, scenario="server", target_qps=60, sut_options=SLOW))
    assert {"ttft_p90", "ttft_early_stopping"} <= set(found) or found == {}
    found = failing(
        run(tmp_path, scenario="server", target_qps=60, ttft_limit="80ms", sut_options=SLOW)
    )
    assert {"ttft_p90", "ttft_early_stopping"} <= set(found)
    for rule in ("ttft_p90", "ttft_early_stopping"):
        assert "lower --target-qps" in found[rule]["remedy"]
        assert "--min-queries" not in found[rule]["remedy"]


@pytest.mark.parametrize(
    ("over", "n", "p"), [(0, 10, 0.9), (5, 64, 0.9), (1, 100, 0.99), (40, 500, 0.9), (9, 100, 0.9)]
)
def test_the_queries_that_are_named_are_enough_for_the_share_that_was_seen(over, n, p):
    from scenarios.early_stopping import queries_needed

    needed = remedies.queries_for_share(over, n, p)
    if needed is None:
        assert over / n > 0.8 * (1 - p)
    else:
        assert queries_needed(round(over / n * needed), p) <= needed


# ---- what an unfinished run says


def interrupted(scenario):
    clock, stop = VirtualClock(), Stop()
    clock.call_at(3 * S, stop.request)
    return {"clock": clock, "stop": stop, "drain_timeout_ns": 0, "make_sut": simulated(slots=1)}


SITUATIONS = {  # (how it comes about, a word of the remedy, flags that would not help)
    "interrupted": (interrupted, "by itself", KNOBS),
    "broke": (
        lambda scenario: {"make_sut": simulated(fault="crash", fault_at=3)},
        "why the system broke",
        KNOBS,
    ),
    "a sample that stops on its way": (
        lambda scenario: {"make_sut": simulated(fault="lost_sample", fault_at=3)},
        "stopped on their way",
        re.compile("--(?!sample-timeout)[a-z-]+"),
    ),
    "a sample that is never answered": (
        lambda scenario: {"make_sut": simulated(fault="unanswered", fault_at=3)},
        "sut.log",
        re.compile("--(?!sample-timeout)[a-z-]+"),
    ),
    "a system that falls silent": (
        lambda scenario: {
            "make_sut": simulated(slots=1, fault="stall", fault_at=3, stall_s=90, stall_every_s=99)
        },
        "sut.log",
        re.compile("--(?!sample-timeout)[a-z-]+"),
    ),
}
LENGTH_RULES = ("min_duration", "min_queries", "early_stopping", "samples_complete")


@pytest.mark.parametrize("situation", SITUATIONS, ids=SITUATIONS.keys())
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_an_unfinished_run_is_told_to_finish_first(scenario, situation):
    from accuracy.outputs.rules import samples_complete
    from harness import registry

    arrange, word, useless = SITUATIONS[situation]
    how = arrange(scenario)
    settings = {
        "scenario": scenario,
        "min_queries": 50,
        "min_duration_ns": 60 * S,
        "target_qps": 5.0,
        "samples_per_query": 4 if scenario == "multi-stream" else 1,
        "sample_timeout_ns": 2 * S,
        "percentile": 0.90,
    }
    driven = registry.scenario(scenario)
    log = virtual_run(driven, how.pop("make_sut"), **how, **settings)
    planned = run_settings(**settings)
    verdicts = [*driven.judge(log, planned), samples_complete(log, {})]
    failed = [v for v in verdicts if v.status == "FAIL" and v.rule.endswith(LENGTH_RULES)]
    assert failed
    for verdict in failed:
        assert not useless.search(verdict.remedy), verdict
    assert any(word in verdict.remedy for verdict in failed), failed


def test_the_first_remedy_of_an_offline_run_that_hangs_is_not_a_higher_rate(tmp_path):
    """It was: raise --target-qps, which only makes the queue longer."""
    found = run(
        tmp_path, scenario="offline", min_duration="60s", target_qps=5, sample_timeout="2s",
        sut_options={"slots": 1, "fault": "stall", "stall_s": 90, "stall_every_s": 99},
    )  # fmt: skip
    first = next(v for v in found.verdicts if v["status"] == "FAIL")
    assert first["rule"] == "min_duration"
    assert "--target-qps" not in first["remedy"]
    assert "sut.log" in first["remedy"]


@pytest.mark.parametrize(
    ("limit", "word"),
    [({"max_queries": 50}, "--max-queries"), ({"max_duration_ns": 5 * S}, "--max-duration")],
)
@pytest.mark.parametrize("scenario", ["single-stream", "server"])
def test_a_run_that_a_maximum_stopped_is_told_which(scenario, limit, word):
    from harness import registry

    settings = {"scenario": scenario, "min_queries": 60, "min_duration_ns": 60 * S} | limit
    settings |= {"target_qps": 5.0}
    driven = registry.scenario(scenario)
    log = virtual_run(driven, simulated(), **settings)
    failed = [v for v in driven.judge(log, run_settings(**settings)) if v.status == "FAIL"]
    assert {"min_duration", "min_queries"} <= {v.rule for v in failed}
    assert {word in v.remedy for v in failed} == {True}


@pytest.mark.parametrize("scenario", ["single-stream", "server"])
def test_each_sample_once_is_named_where_it_makes_the_plan_too_small(scenario):
    from harness import registry

    settings = {
        "scenario": scenario, "min_queries": 100, "min_duration_ns": 60 * S, "issue": "unique",
        "num_samples": 20, "performance_samples": 20, "target_qps": 5.0,
    }  # fmt: skip
    driven = registry.scenario(scenario)
    log = virtual_run(driven, simulated(), **settings)
    failed = [v for v in driven.judge(log, run_settings(**settings)) if v.status == "FAIL"]
    assert {"min_duration", "min_queries"} <= {v.rule for v in failed}
    assert all("--issue unique" in v.remedy for v in failed)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_only_the_server_scenario_issues_less_often_at_a_lower_rate(scenario):
    words = remedies.for_lag(run_settings(scenario=scenario))
    assert ("--target-qps" in words) == (scenario == "server")


def test_a_figure_that_no_sample_has_is_explained_by_how_the_run_ended():
    lost = hand_log([Row(latency=None, finish="", ttft=None)])
    lost.end = "interrupted"
    assert absence("ttft", lost, run_settings()).remedy == "let the run end by itself"
    done = hand_log([Row(ttft=None)])
    assert "report its first token" in absence("ttft", done, run_settings()).remedy


def test_samples_that_the_system_gave_up_point_to_their_reasons():
    log = hand_log([Row(), Row(finish="error", error="refused")])
    assert "samples_complete" in to_finish(log)
    assert to_finish(log, failed="look there") == "look there"
    assert to_finish(hand_log([Row()])) == ""
