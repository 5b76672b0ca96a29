"""Do the shared conditions decide at the right value, and say what they found?"""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scenarios.early_stopping import over_allowed
from scenarios.validity import (
    driver_on_time,
    min_duration,
    min_queries,
    tail_estimate,
    tail_is_certain,
    tail_limit,
    worst,
)
from tests.scenario_helpers import MS, Row, S, hand_log, run_settings

SETTINGS = run_settings(percentile=0.90)
ENDED = hand_log([Row()])  # a run that came to its own end


def nanoseconds(*milliseconds):
    return np.array([round(ms * MS) for ms in milliseconds], np.int64)


def limit_of_100_ms(*ms):
    return tail_limit("ttft", nanoseconds(*ms), np.arange(len(ms)), 100 * MS, SETTINGS, ENDED)


# ---- length


@pytest.mark.parametrize(("reached_ns", "status"), [(10 * S, "PASS"), (10 * S - 1, "FAIL")])
def test_a_run_must_reach_the_minimum_duration_to_the_nanosecond(reached_ns, status):
    found = min_duration(reached_ns, run_settings(min_duration_ns=10 * S), ENDED)
    assert (found.status, found.limit, found.unit) == (status, 10.0, "s")
    assert found.measured == reached_ns / 1e9


def test_a_short_minimum_says_that_it_is_not_official():
    assert min_duration(S, run_settings(min_duration_ns=S), ENDED).detail == "MLPerf requires 600 s"
    assert min_duration(600 * S, run_settings(min_duration_ns=600 * S), ENDED).detail == ""


def test_enough_queries_that_all_came_back_pass():
    found = min_queries(hand_log([Row()] * 64), run_settings(min_queries=64), 64)
    assert (found.status, found.measured, found.limit, found.detail) == ("PASS", 64, 64, "")


def test_one_query_short_fails():
    found = min_queries(hand_log([Row()] * 63), run_settings(min_queries=64), 64)
    assert (found.status, found.measured, found.limit) == ("FAIL", 63, 64)


@pytest.mark.parametrize(
    "lost", [Row(latency=None, finish=""), Row(finish="error", error="gave up")]
)
def test_a_sample_that_never_came_back_fails_and_is_counted(lost):
    found = min_queries(hand_log([Row()] * 63 + [lost]), run_settings(min_queries=64), 64)
    assert (found.status, found.measured) == ("FAIL", 64)
    assert found.detail == "only 63 of 64 samples completed"


def test_offline_counts_samples_not_queries():
    log = hand_log([Row(query=0)] * 70)
    assert min_queries(log, run_settings(min_queries=1), 70, unit="samples").status == "PASS"
    assert min_queries(log, run_settings(min_queries=1), 71, unit="samples").status == "FAIL"


# ---- tails


def test_a_percentile_at_the_limit_passes_and_above_it_fails():
    assert limit_of_100_ms(*[50] * 8, 100, 100).status == "PASS"
    failed = limit_of_100_ms(*[50] * 8, 100, 100.000001)
    assert (failed.rule, failed.status, failed.measured, failed.limit) == (
        "ttft_p90",
        "FAIL",
        100.000001,
        100.0,
    )
    assert (failed.detail, failed.evidence) == ("1 of 10 over the limit", (9,))


def test_a_tail_names_the_worst_samples_and_counts_those_over():
    found = limit_of_100_ms(10, 300, 20, 500, 400, 30)
    assert found.evidence == (3, 4, 1)
    assert found.detail == "3 of 6 over the limit"
    assert found.remedy


def test_a_passing_tail_still_shows_who_was_over():
    found = limit_of_100_ms(*[50] * 99, 900)
    assert (found.status, found.evidence) == ("PASS", (99,))


def test_evidence_is_sample_ids_not_positions():
    found = tail_limit("tpot", nanoseconds(1, 900), np.array([12, 40]), 100 * MS, SETTINGS, ENDED)
    assert found.evidence == (40,)


def test_no_values_fail_and_say_so():
    found = limit_of_100_ms()
    assert (found.status, found.measured, found.detail) == (
        "FAIL",
        None,
        "no answer reported its first token",
    )


def test_too_few_queries_cannot_be_certain_even_if_all_were_fast():
    found = tail_is_certain("ttft", nanoseconds(*[1] * 43), 100 * MS, SETTINGS, ENDED)
    assert (found.rule, found.status, found.measured, found.limit) == (
        "ttft_early_stopping",
        "FAIL",
        43,
        44,
    )
    assert found.detail == (
        "0 over the limit; too few queries to allow any;"
        " 1 more queries under the limit would decide it"
    )


def test_a_tail_within_its_limit_may_still_be_uncertain():
    values = nanoseconds(*[1] * 58, *[900] * 6)
    assert tail_limit("ttft", values, np.arange(64), 100 * MS, SETTINGS, ENDED).status == "PASS"
    found = tail_is_certain("ttft", values, 100 * MS, SETTINGS, ENDED)
    assert (found.status, found.measured, found.limit) == ("FAIL", 64, 142)
    assert (
        found.detail
        == "6 over the limit; 64 queries allow 1; 78 more queries under the limit would decide it"
    )


@given(st.integers(1, 3000), st.integers(0, 300))
def test_certainty_agrees_with_the_allowance(n, over):
    over = min(n, over)
    values = np.array([2] * over + [1] * (n - over), np.int64)
    passes = tail_is_certain("tpot", values, 1, SETTINGS, ENDED).status == "PASS"
    allowed = over_allowed(n, SETTINGS.percentile)
    assert passes == (allowed is not None and over <= allowed)


def test_a_value_at_the_limit_is_not_over_it():
    assert (
        tail_is_certain("ttft", nanoseconds(*[100] * 44), 100 * MS, SETTINGS, ENDED).status
        == "PASS"
    )


def test_an_estimate_bounds_the_percentile():
    found = tail_estimate(nanoseconds(*range(64)), SETTINGS, ENDED)
    assert (found.status, found.detail) == ("PASS", "p90 is at most 63 ms at 99 % confidence")


def test_more_queries_discard_the_highest_latencies():
    values = nanoseconds(*range(81))
    assert (
        tail_estimate(values[::-1].copy(), SETTINGS, ENDED).detail
        == "p90 is at most 79 ms at 99 % confidence"
    )


def test_too_few_queries_have_no_estimate():
    found = tail_estimate(nanoseconds(*range(63)), SETTINGS, ENDED)
    assert (found.status, found.measured, found.limit) == ("FAIL", 63, 64)
    assert found.detail == "too few queries to bound the percentile; 1 more would"
    assert found.more_queries == 1


# ---- the driver itself


def lags(*ms):
    return driver_on_time(
        hand_log([Row(lag=lag) for lag in ms]), run_settings(lag_limit_ns=10 * MS)
    )


def test_a_driver_at_its_limit_is_on_time():
    found = lags(*[10] * 100)
    assert (found.status, found.measured, found.evidence) == ("PASS", 10.0, ())


def test_a_late_driver_fails_and_names_what_it_issued_late():
    found = lags(*[0] * 97, 11, 30, 20)
    assert (found.status, found.measured, found.limit, found.evidence) == (
        "FAIL",
        30.0,
        10.0,
        (98, 99, 97),
    )
    assert found.detail == "3 of 100 issued later than the limit"


def test_one_late_issue_in_more_than_a_hundred_is_forgiven_but_shown():
    found = lags(*[0] * 100, 30)
    assert (found.status, found.evidence) == ("PASS", (100,))


def test_a_run_without_samples_has_no_lag():
    found = lags()
    assert (found.status, found.measured) == ("PASS", None)


def test_the_drivers_own_lag_is_our_rule_and_not_loadgens():
    assert not lags(0).loadgen
    assert min_duration(0, SETTINGS, ENDED).loadgen
    assert tail_estimate(nanoseconds(1), SETTINGS, ENDED).loadgen


@given(st.lists(st.integers(0, 10**12), max_size=30))
def test_the_worst_are_the_five_highest_and_ties_keep_their_order(values):
    ids = worst(np.array(values, np.int64), np.arange(len(values)))
    assert list(ids) == sorted(range(len(values)), key=lambda i: -values[i])[:5]
