"""Everything at once: one query, throughput, and the conditions of a valid offline run."""

import pytest

from harness.kernel.types import At
from scenarios.offline import Offline
from tests.scenario_helpers import Row, S, hand_log, run_settings, verdict, virtual_run


def run(options=None, **changes):
    settings = run_settings(**changes)
    log = virtual_run(Offline(), settings, **(options or {}))
    return log, {v.rule: v for v in Offline().judge(log, settings)}


def plan(**changes):
    settings = run_settings(**changes)
    return list(Offline().plan(settings, Offline().schedule(settings)))


def test_one_query_holds_every_sample_at_the_start():
    (query,) = plan(min_queries=250)
    assert query.release == At(0)
    assert [s.id for s in query.samples] == list(range(250))


@pytest.mark.parametrize(
    ("min_queries", "qps", "seconds", "samples"), [(64, 10.0, 60, 660), (64, 1.0, 50, 64)]
)
def test_the_query_is_a_tenth_larger_than_the_expected_rate_needs(
    min_queries, qps, seconds, samples
):
    settings = run_settings(min_queries=min_queries, target_qps=qps, min_duration_ns=seconds * S)
    assert Offline().num_samples(settings) == samples
    assert (
        len(plan(min_queries=min_queries, target_qps=qps, min_duration_ns=seconds * S)[0].samples)
        == samples
    )


def test_the_query_repeats_the_loaded_set_in_order():
    settings = run_settings(min_queries=250)
    loaded = Offline().schedule(settings).loaded
    assert [s.index for s in plan(min_queries=250)[0].samples] == [*loaded, *loaded, *loaded[:50]]


def test_equal_issue_rounds_up_to_whole_sets_and_shuffles_each():
    indices = [s.index for s in plan(min_queries=250, equal_issue=True)[0].samples]
    sets = [indices[k : k + 100] for k in (0, 100, 200)]
    assert [sorted(s) for s in sets] == [list(range(100))] * 3
    assert sets[0] != sets[1] != sets[2]


def test_accuracy_mode_issues_the_library_once():
    (query,) = plan(mode="accuracy", min_queries=250)
    assert sorted(s.index for s in query.samples) == list(range(100))


def test_every_sample_is_due_and_issued_at_the_start():
    log, _ = run()
    assert set(log.due_ns.tolist()) == set(log.issued_ns.tolist()) == {0}


def test_the_result_is_samples_over_the_longest_latency():
    log, _ = run({"slots": 16})  # 64 samples in four rounds of 205 ms
    result = Offline().result(log, run_settings())
    assert (result.name, result.value, result.unit, result.n) == (
        "samples",
        64 / 0.82,
        "samples/s",
        64,
    )


@pytest.mark.parametrize("rows", [[], [Row(latency=None, finish="")]])
def test_nothing_completed_is_no_result(rows):
    assert Offline().result(hand_log(rows), run_settings()).value is None


def test_a_healthy_run_passes_every_condition():
    _, verdicts = run()
    assert {rule: v.status for rule, v in verdicts.items()} == {
        "min_duration": "PASS",
        "min_queries": "PASS",
        "driver_lag": "PASS",
    }
    assert (verdicts["min_queries"].measured, verdicts["min_queries"].unit) == (64, "samples")


@pytest.mark.parametrize(("qps", "status"), [(78.0, "PASS"), (1.0, "FAIL")])
def test_the_longest_latency_must_reach_the_minimum_duration(qps, status):
    """64 samples take 0.82 s; at an expected rate of 78 per second the query is large enough for 2
    s.
    """
    log, verdicts = run(target_qps=qps, min_duration_ns=2 * S)
    found = verdicts["min_duration"]
    assert (found.status, found.limit) == (status, 2.0)
    assert found.measured == log.latency_ns.max() / 1e9
    assert "raise --target-qps" in found.remedy


def test_waiting_for_a_sample_that_is_given_up_does_not_make_a_run_long_enough():
    """64 samples take 0.82 s; the lost one is waited for two minutes more."""
    _, verdicts = run({"fault": "lost_sample"}, min_duration_ns=2 * S)
    assert (verdicts["min_duration"].status, verdicts["min_duration"].measured < 1) == (
        "FAIL",
        True,
    )


def test_a_lost_sample_leaves_too_few():
    _, verdicts = run({"fault": "lost_sample"})
    found = verdicts["min_queries"]
    assert (found.status, found.measured, found.limit) == ("FAIL", 64, 64)
    assert found.detail == "only 63 of 64 samples completed"


def test_too_small_a_query_fails():
    log = hand_log([Row(query=0)] * 63)
    found = verdict(Offline().judge(log, run_settings()), "min_queries")
    assert (found.status, found.measured, found.limit) == ("FAIL", 63, 64)


def test_a_driver_slower_than_its_limit_fails():
    found = verdict(
        Offline().judge(hand_log([Row(query=0, lag=300.0)] * 64), run_settings()), "driver_lag"
    )
    assert (found.status, found.measured, found.limit) == ("FAIL", 300.0, 200.0)


def test_the_tail_is_not_judged():
    slow = hand_log([Row(query=0, ttft=10**6, latency=2 * 10**6)] * 64)
    assert {v.status for v in Offline().judge(slow, run_settings())} == {"PASS"}
