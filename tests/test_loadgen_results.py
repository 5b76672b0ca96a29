"""Is every number and every condition LoadGen's own? The official wheel is fed the same event times
and is the judge.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from harness.types import Anomaly
from scenarios.loadgen_results import results
from tests.loadgen_logs import CASES, between, case, events_of, official_loadgen, told_twice
from tests.scenario_helpers import MS, Row, S, hand_log, run_settings


@pytest.fixture(scope="module")
def official():
    with official_loadgen() as run:
        yield run


@pytest.mark.parametrize("asked", CASES.values(), ids=CASES)
def test_every_line_of_the_detail_log_is_loadgens(official, asked):
    assert_same_detail(*told_twice(official, asked))


def assert_same_detail(theirs, ours):
    wheel = events_of(theirs["mlperf_log_detail.txt"])
    early, late = (events_of(texts["mlperf_log_detail.txt"]) for texts in ours)
    complaints = [(key, value) for key, value in wheel if key.startswith(("warning", "error"))]
    assert [key for key, _ in early] == [key for key, _ in wheel], complaints
    different = [
        (key, value, a, b)
        for (key, value), (_, a), (_, b) in zip(wheel, early, late, strict=True)
        if not between(value, a, b)
    ]
    assert not different


# ---- drawn settings

_limits = st.sampled_from([15_000, 80_000, 300_000, 50_000_000])
_tails = st.sampled_from([0.5, 0.9, 0.95, 0.97, 0.99, 0.999])


@st.composite
def drawn_cases(draw, scenario):
    stream = {
        "SingleStream": "single_stream",
        "MultiStream": "multi_stream",
        "Server": "server",
    }.get(scenario)
    changes = {
        "use_token_latencies": draw(st.booleans()),
        "min_query_count": draw(st.integers(2, 120)),
        "min_duration_ms": draw(st.sampled_from([0, 400])),
        "ttft_latency": draw(_limits),
        "tpot_latency": draw(_limits),
        "sample_concatenate_permutation": draw(st.booleans()),
        "server_target_latency_ns": draw(_limits),
        "max_duration_ms": 30,
        "tokens": draw(st.lists(st.integers(2, 40), min_size=1, max_size=6)),
        "delays_us": draw(st.lists(st.integers(1, 150), min_size=1, max_size=6)),
        "hold": draw(st.integers(2, 9)),
        "qsl_total": draw(st.integers(10, 30)),
    }
    if stream:
        changes[f"{stream}_target_latency_percentile"] = draw(_tails)
    if scenario == "MultiStream":
        changes |= {
            "multi_stream_samples_per_query": draw(st.integers(1, 5)),
            "sample_concatenate_permutation": False,
        }
    if scenario == "Server":
        changes["server_target_qps"] = draw(st.floats(1000, 8000))
    if scenario == "Offline":
        changes["max_duration_ms"] = 0
    return case(scenario, qsl_perf=draw(st.integers(5, 10)), **changes)


@pytest.mark.parametrize("scenario", ["SingleStream", "MultiStream", "Server", "Offline"])
def test_every_line_is_loadgens_for_drawn_settings(official, scenario):
    @hypothesis_settings(
        max_examples=12, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
    )
    @given(drawn_cases(scenario))
    def compare(asked):
        theirs, ours = told_twice(official, asked)
        assert_same_detail(theirs, ours)

    compare()


# ---- what LoadGen would do badly


def server(**changes):
    return run_settings(scenario="server", min_queries=1, **changes)


def test_a_lost_sample_is_left_out_and_spoils_the_verdict():
    found = results(
        hand_log([Row(due=i) for i in range(99)] + [Row(due=99, latency=None, ttft=None)]), server()
    )
    assert found.lines["result_validity"] == "INVALID"
    assert "1 of 100 samples failed or never completed" in found.lines["result_invalid_reason"]
    assert (found.lines["result_query_count"], found.lines["result_max_latency_ns"]) == (
        100,
        20 * MS,
    )
    assert found.errors == ("sample 99 did not complete: no completion",)


def test_without_it_the_same_run_is_valid():
    found = results(hand_log([Row(due=i) for i in range(99)]), server())
    assert (found.valid, found.errors, found.warnings) == (True, (), ())


def test_an_interrupted_run_is_never_valid():
    log = hand_log([Row(due=i) for i in range(99)])
    log.end, log.end_reason = "interrupted", "stopped by the user (Ctrl-C)"
    found = results(log, server())
    assert not found.valid
    assert found.errors == ("Ending early: stopped by the user (Ctrl-C)",)
    assert not results(log, server(mode="accuracy")).valid


def test_one_token_leaves_tpot_undefined_for_that_sample_alone():
    rows = [Row(due=i, ids=(5,) if i % 2 else (5, 6, 2)) for i in range(100)]
    found = results(hand_log(rows), server())
    assert found.lines["result_time_to_output_token_mean"] == 5 * MS
    assert found.lines["result_completed_tokens_per_second"] == pytest.approx(200 / 0.119)
    assert found.warnings == ("TPOT is undefined for 50 of 100 samples: they have one token",)
    assert found.valid


def test_figures_that_no_sample_has_are_undefined_and_break_their_limit():
    found = results(hand_log([Row(due=i, ttft=None, ids=()) for i in range(100)]), server())
    assert found.lines["result_first_token_99.00_percentile_latency_ns"] is None
    assert found.lines["result_perf_constraints_met"] is False
    assert len(found.errors) == 200
    assert (
        "n_tokens argument missing or attempted to record 0 as number of tokens (sample 0)"
        in found.errors
    )


def test_a_second_completion_is_an_error_as_in_loadgen():
    again = Anomaly(3, "after_completion", "complete came after the sample was complete")
    found = results(hand_log([Row(due=i) for i in range(99)], [again]), server())
    assert found.errors == ("Attempted to complete a sample twice. (sample 3)",)
    assert found.valid  # errors do not touch LoadGen's verdict


@pytest.mark.parametrize("scenario", ["single-stream", "multi-stream", "server", "offline"])
def test_nothing_issued_is_no_crash(scenario):
    found = results(hand_log([]), run_settings(scenario=scenario))
    assert not found.valid
    assert found.lines["result_mean_latency_ns"] is None


def test_single_stream_early_stopping_needs_64_queries_at_p90():
    rows = [Row(due=20 * i, latency=20) for i in range(64)]
    s = run_settings(scenario="single-stream", percentile=0.9, use_tokens=False)
    assert results(hand_log(rows), s).lines["early_stopping_latency_ss"] == 20 * MS
    few = results(hand_log(rows[:63]), replace(s, min_queries=1))
    assert few.lines["early_stopping_result"].startswith(" * Only processed 63 queries.")
    assert not few.valid


def test_without_tokens_the_whole_latency_has_the_limit():
    log = hand_log([Row(due=i, latency=150) for i in range(99)])
    tight = run_settings(
        scenario="server", min_queries=1, use_tokens=False, target_latency_ns=100 * MS
    )
    assert results(log, tight).lines["result_overlatency_query_count"] == 99
    assert (
        results(log, replace(tight, target_latency_ns=S)).lines["result_overlatency_query_count"]
        == 0
    )
