"""What do LoadGen's figures say of runs that it would not survive? (Of all others test_loadgen_live
lets the official wheel judge.)
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.kernel.log import Anomaly
from scenarios.loadgen.results import results
from tests.scenario_helpers import MS, Row, S, hand_log, run_settings

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
    assert (found.valid, found.errors) == (True, ())


def test_an_interrupted_run_is_never_valid():
    log = hand_log([Row(due=i) for i in range(99)])
    log.end, log.end_reason = "interrupted", "stopped by the user (Ctrl-C)"
    found = results(log, server())
    assert not found.valid
    assert found.errors == ("Ending early: stopped by the user (Ctrl-C)",)
    assert not results(log, server(mode="accuracy")).valid


def test_an_answer_of_one_token_has_none_and_a_negative_tpot_as_in_loadgen():
    rows = [Row(due=i, ids=(5,) if i % 2 else (5, 6, 2)) for i in range(100)]
    found = results(hand_log(rows), server())
    assert found.lines["result_time_to_output_token_min"] == -10 * MS
    assert found.lines["result_time_to_output_token_max"] == 5 * MS
    assert found.lines["result_completed_tokens_per_second"] == pytest.approx(150 / 0.119)
    assert len(found.errors) == 50
    assert found.errors[0] == "Number of tokens need to be greater than 1 (sample 1)"
    assert found.valid


def test_tokens_are_those_that_the_sut_reported():
    rows = [Row(due=i, ids=(5, 6, 2), reported=6) for i in range(99)]
    found = results(hand_log(rows), server())
    assert found.lines["result_time_to_output_token_max"] == 2 * MS
    assert found.lines["result_completed_tokens_per_second"] == pytest.approx(6 * 99 / 0.118)


def test_an_estimate_of_zero_is_an_estimate():
    rows = [Row(due=20 * i, ttft=0.0) for i in range(64)]
    found = results(hand_log(rows), run_settings(scenario="single-stream"))
    assert found.lines["early_stopping_latency_ss"] == 0


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
