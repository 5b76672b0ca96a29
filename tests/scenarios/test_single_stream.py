"""One query after another: plan, p90 latency and the conditions of a valid single-stream run."""

import pytest

from harness.kernel.types import AfterInFlight
from scenarios.single_stream import SingleStream
from tests.scenario_helpers import (
    MS,
    BlocksInIssue,
    Row,
    S,
    hand_log,
    run_settings,
    verdict,
    virtual_run,
)

LATENCY_NS = 50 * MS + 31 * 5 * MS  # the simulated SUT: first token, then 31 more


def run(sut_class=None, **changes):
    settings = run_settings(**changes)
    log = virtual_run(SingleStream(), settings, *([sut_class] if sut_class else []))
    return log, {v.rule: v for v in SingleStream().judge(log, settings)}


def plan(**changes):
    settings = run_settings(**changes)
    return list(SingleStream().plan(settings, SingleStream().schedule(settings)))


def test_every_query_is_one_sample_behind_the_same_gate():
    queries = plan(min_queries=64)
    assert [(q.id, len(q.samples), q.samples[0].id) for q in queries] == [
        (i, 1, i) for i in range(64)
    ]
    assert {q.release for q in queries} == {AfterInFlight(1)}


def test_twice_as_many_are_planned_as_the_expected_rate_needs():
    assert len(plan(min_queries=1, target_qps=10.0, min_duration_ns=30 * S)) == 2 * 300 + 1


def test_the_next_query_is_due_when_the_last_is_complete():
    log, _ = run()
    assert log.due_ns.tolist() == [i * LATENCY_NS for i in range(64)]
    assert log.due_ns[1:].tolist() == log.done_ns[:-1].tolist()


def test_a_run_ends_once_both_the_count_and_the_duration_are_reached():
    log, verdicts = run(min_queries=10, min_duration_ns=4 * S)
    assert log.issued_ns[-1] >= 4 * S > log.issued_ns[-2]
    assert verdicts["min_duration"].status == "PASS"
    assert verdicts["min_duration"].measured == log.issued_ns[-1] / 1e9


def test_the_result_is_the_judged_percentile_of_latency():
    log = hand_log([Row(latency=10.0 * (i + 1)) for i in range(10)])
    result = SingleStream().result(log, run_settings(percentile=0.9))
    assert (result.name, result.value, result.unit, result.n) == ("p90 latency", 100.0, "ms", 10)


def test_failed_samples_are_left_out_of_the_result():
    log = hand_log(
        [Row(latency=10.0), Row(latency=900.0, finish="error"), Row(latency=None, finish="")]
    )
    result = SingleStream().result(log, run_settings())
    assert (result.value, result.n) == (10.0, 1)


def test_nothing_completed_is_no_result_and_not_zero():
    result = SingleStream().result(hand_log([Row(latency=None, finish="")]), run_settings())
    assert (result.value, result.n) == (None, 0)


def test_a_healthy_run_passes_every_condition():
    _, verdicts = run()
    assert {rule: v.status for rule, v in verdicts.items()} == {
        "min_duration": "PASS",
        "min_queries": "PASS",
        "early_stopping": "PASS",
        "driver_lag": "PASS",
    }
    assert verdicts["early_stopping"].detail == "p90 is at most 205 ms at 99 % confidence"


def test_a_plan_that_runs_out_is_too_short():
    _, verdicts = run(
        min_queries=1, target_qps=1.0, min_duration_ns=2 * S
    )  # plans 5, but the SUT is much faster
    found = verdicts["min_duration"]
    assert (found.status, found.measured, found.limit) == ("FAIL", 4 * LATENCY_NS / 1e9, 2.0)
    assert "raise --target-qps" in found.remedy


def test_a_capped_run_has_too_few_queries():
    _, verdicts = run(max_queries=10)
    assert (verdicts["min_queries"].status, verdicts["min_queries"].measured) == ("FAIL", 10)
    assert verdicts["min_queries"].detail == "only 10 of 64 samples completed"
    assert verdicts["early_stopping"].status == "FAIL"


def test_sixty_three_queries_cannot_bound_p90():
    _, verdicts = run(min_queries=63)
    assert (verdicts["early_stopping"].status, verdicts["min_queries"].status) == ("FAIL", "PASS")
    assert verdicts["early_stopping"].remedy == "raise --min-queries to 64"


def test_failed_queries_do_not_count_towards_the_estimate():
    log = hand_log([Row()] * 63 + [Row(finish="error")])
    assert verdict(SingleStream().judge(log, run_settings()), "early_stopping").measured == 63


def test_a_sut_that_blocks_in_issue_cannot_hide_it():
    log, verdicts = run(BlocksInIssue, min_queries=64)
    assert verdicts["driver_lag"].status == "PASS"  # nothing was due while the only query was open
    assert set(log.latency_ns.tolist()) == {
        (300 + 31 * 5) * MS
    }  # the 300 ms in `issue` are the SUT's own loss


def test_a_driver_slower_than_its_limit_fails():
    log = hand_log([Row(lag=201.0)] * 64)
    found = verdict(SingleStream().judge(log, run_settings()), "driver_lag")
    assert (found.status, found.measured, found.evidence) == ("FAIL", 201.0, (0, 1, 2, 3, 4))


@pytest.mark.parametrize("rule", ["min_duration", "min_queries", "early_stopping"])
def test_an_empty_run_fails(rule):
    found = verdict(SingleStream().judge(hand_log([]), run_settings(min_duration_ns=1)), rule)
    assert (found.status, found.measured) == ("FAIL", 0)
