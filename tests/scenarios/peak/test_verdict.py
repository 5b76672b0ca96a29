"""Is a rate a peak? Only if it was delivered, a higher one was not, and there was time for a queue
to show.
"""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from scenarios.peak.verdict import (
    MAX_STEP_QUERIES,
    Step,
    best,
    headline,
    is_too_large,
    judge,
    make_step,
    queue_growth,
)
from tests.scenario_helpers import MS, Row, S, hand_log, run_settings

SETTINGS = run_settings(scenario="server", ttft_limit_ns=2 * S)


def queue(qps, capacity_qps, seconds, base_ms=100.0):
    """A log of evenly spaced queries that one server answers in order."""
    rows, free_s = [], 0.0
    for k in range(int(qps * seconds)):
        due_s = k / qps
        free_s = max(due_s, free_s) + 1 / capacity_qps
        rows.append(Row(due=1e3 * due_s, latency=1e3 * (free_s - due_s) + base_ms))
    return hand_log(rows)


def step_of(log, qps, limits_kept=True, driver_late=False):
    settings = run_settings(scenario="server", target_qps=qps)
    return make_step(log, settings, limits_kept, driver_late)


def steps(*rows, duration_s=60.0):
    """Steps of (rate, what did not hold)."""
    return [Step(float(qps), "limits" not in why, why, float(qps), duration_s) for qps, why in rows]


# ---- what was delivered


@pytest.mark.parametrize(("qps", "capacity"), [(20.0, 10.0), (11.0, 10.0), (1000.0, 10.0)])
def test_the_slope_of_the_latencies_tells_the_rate_that_was_served(qps, capacity):
    found = step_of(queue(qps, capacity, 20.0), qps)
    assert found.delivered_qps == pytest.approx(capacity, rel=0.01)
    assert found.why == ("not_delivered",)


@pytest.mark.parametrize("qps", [1.0, 5.0, 9.9])
def test_a_rate_below_the_capacity_is_delivered_whole(qps):
    found = step_of(queue(qps, 10.0, 20.0), qps)
    assert (found.delivered_qps, found.why, found.held) == (pytest.approx(qps), (), True)


def test_queries_that_arrive_all_at_once_are_not_a_rate():
    """671,088,640 queries a second: 64 of them are due within 95 ns."""
    log = hand_log([Row(due=k * 1.5e-6, latency=200 + 12 * k) for k in range(64)])
    found = step_of(log, 671_088_640.0)
    assert found.why == ("not_delivered",)
    assert found.delivered_qps < 200


@examples(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0.5, 20.0), st.floats(0.2, 8.0))
def test_answers_of_any_length_do_not_pass_for_a_queue(seed, qps, spread_s):
    """Latencies without a trend: a minute of them is called undelivered once in a thousand times at
    most; here never.
    """
    draw = np.random.default_rng(seed)
    due_s = np.cumsum(draw.exponential(1 / qps, max(int(60 * qps), 3)))
    latency_s = draw.uniform(0, spread_s, len(due_s))
    rows = [Row(due=1e3 * d, latency=1e3 * w) for d, w in zip(due_s, latency_s, strict=True)]
    assert "not_delivered" not in step_of(hand_log(rows), qps).why


@pytest.mark.parametrize("rows", [[], [Row()], [Row(), Row(due=5)], [Row(), Row(), Row()]])
def test_too_few_moments_leave_it_open(rows):
    log = hand_log(rows)
    assert queue_growth(log) is None
    assert step_of(log, 10.0).delivered_qps is None


def test_a_step_says_everything_that_did_not_hold():
    log = hand_log([Row(), Row(due=10, latency=None, finish=""), Row(due=20), Row(due=30)])
    found = step_of(log, 10.0, limits_kept=False, driver_late=True)
    assert found.why == ("limits", "driver_late", "samples_lost")
    assert (found.held, found.limits_kept, found.duration_s) == (False, False, 0.03)


# ---- the verdict


def verdicts(rows, ended="closed", settings=SETTINGS):
    return {v.rule: v for v in judge(rows, settings, ended, best(rows))}


def test_a_peak_lies_between_a_rate_that_held_and_one_that_did_not():
    rows = steps((5, ()), (10, ()), (20, ("limits",)), (15, ()), (17.5, ("not_delivered",)))
    found = verdicts(rows)
    assert {v.status for v in found.values()} == {"PASS"}
    assert (found["peak_bounded"].measured, found["peak_bounded"].limit) == (15, 17.5)
    assert best(rows).target_qps == headline(rows, best(rows)).value == 15


def test_the_headline_is_what_was_delivered():
    rows = steps((80, ()), (80.2, ("limits",)))
    rows[0] = replace(rows[0], delivered_qps=78.0)
    assert (headline(rows, best(rows)).value, headline(rows, best(rows)).unit) == (
        78.0,
        "queries/s",
    )


def test_a_search_in_which_nothing_failed_has_no_peak():
    found = verdicts(steps((5, ()), (10, ()), (20, ())), "open")["peak_bounded"]
    assert (found.status, found.measured) == ("FAIL", 20)
    assert "--min-duration 60s" in found.remedy


def test_a_search_that_would_need_too_many_queries_says_so():
    found = verdicts(steps((5, ()), (10, ())), "size")["peak_bounded"]
    assert (found.status, f"{MAX_STEP_QUERIES:,}" in found.detail) == ("FAIL", True)
    assert "--min-duration" not in found.remedy


def test_a_first_rate_that_does_not_hold_is_no_peak():
    rows = steps((80, ("limits",)))
    found = verdicts(rows)["peak_bounded"]
    assert (found.status, headline(rows, best(rows)).value) == ("FAIL", None)
    assert "--target-qps 20" in found.remedy


def test_a_driver_that_is_too_slow_does_not_bound_the_system():
    found = verdicts(steps((5000, ()), (10_000, ("driver_late",))))["peak_bounded"]
    assert (found.status, "driver" in found.remedy) == ("FAIL", True)
    both = verdicts(steps((5000, ()), (10_000, ("limits", "driver_late"))))["peak_bounded"]
    assert both.status == "PASS"


@pytest.mark.parametrize(("seconds", "status"), [(20.0, "PASS"), (19.9, "FAIL")])
def test_a_step_must_be_long_enough_for_a_queue_to_break_the_limit(seconds, status):
    found = verdicts(steps((5, ()), (10, ("limits",)), duration_s=seconds))["peak_step_length"]
    assert (found.status, found.measured, found.limit) == (status, seconds, 20.0)
    assert ("--min-duration 60s" in found.remedy) == (status == "FAIL")


def test_the_limit_of_the_whole_latency_counts_where_it_is_the_limit():
    gptj = run_settings(scenario="server", target_latency_ns=20 * S, use_tokens=False)
    rows = steps((5, ()), (10, ("limits",)), duration_s=150.0)
    assert verdicts(rows, settings=gptj)["peak_step_length"].limit == 200.0


@pytest.mark.parametrize(
    ("changes", "too_large"),
    [
        ({"target_qps": 1e5, "min_duration_ns": 60 * S}, True),
        ({"target_qps": 1e4, "min_duration_ns": 60 * S}, False),
        ({"min_queries": MAX_STEP_QUERIES + 1}, True),
    ],
)
def test_the_size_of_a_step_is_known_before_it_is_made(changes, too_large):
    assert is_too_large(run_settings(scenario="server", **changes)) == too_large


def test_the_time_unit_of_a_row_is_a_millisecond():
    """A guard for the helpers above: due times are what this file says they are."""
    assert queue(10.0, 20.0, 1.0).due_ns.tolist()[:2] == [0, 100 * MS]
