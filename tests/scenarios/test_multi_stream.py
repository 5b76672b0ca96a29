"""N samples at once: plan, tail of the query latency and the conditions of a valid multi-stream
run.
"""

import pytest

from harness.kernel.types import AfterInFlight
from scenarios.multi_stream import MultiStream, query_latency_ns
from tests.scenario_helpers import MS, Row, S, hand_log, run_settings, verdict, virtual_run


def run(n=8, slots=16, **changes):
    settings = run_settings(samples_per_query=n, **changes)
    log = virtual_run(MultiStream(), settings, slots=slots)
    return log, {v.rule: v for v in MultiStream().judge(log, settings)}


def plan(**changes):
    settings = run_settings(samples_per_query=8, **changes)
    schedule = MultiStream().schedule(settings)
    return list(MultiStream().plan(settings, schedule)), schedule


def test_every_query_has_n_samples_with_dense_ids_behind_the_same_gate():
    queries, _ = plan()
    assert [s.id for q in queries for s in q.samples] == list(range(64 * 8))
    assert {(len(q.samples), q.release) for q in queries} == {(8, AfterInFlight(1))}


def test_a_query_is_a_stretch_of_the_loaded_set():
    queries, schedule = plan()
    first = [s.index for s in queries[0].samples]
    at = schedule.loaded.index(first[0])
    assert first == schedule.loaded[at : at + 8]


def test_twice_as_many_are_planned_as_the_expected_rate_needs():
    assert len(plan(min_queries=1, target_qps=10.0, min_duration_ns=30 * S)[0]) == 2 * 300 + 1


def test_accuracy_mode_covers_every_sample_once_and_pads_the_last_query():
    queries, _ = plan(mode="accuracy", num_samples=100, performance_samples=100)
    indices = [s.index for q in queries for s in q.samples]
    assert len(queries) == 13
    assert set(indices) == set(range(100))


def test_the_next_query_is_due_when_the_whole_last_one_is_complete():
    log, _ = run(slots=4)  # each query needs two rounds of four
    assert log.due_ns[::8].tolist() == [i * 410 * MS for i in range(64)]
    assert query_latency_ns(log).tolist() == [410 * MS] * 64


def test_a_query_takes_as_long_as_its_slowest_sample():
    log = hand_log(
        [
            Row(query=0, latency=30),
            Row(query=0, latency=70),
            Row(query=1, latency=5),
            Row(query=1, latency=4),
        ]
    )
    assert query_latency_ns(log).tolist() == [70 * MS, 5 * MS]


@pytest.mark.parametrize(
    "lost", [Row(query=0, latency=None, finish=""), Row(query=0, finish="error")]
)
def test_a_query_with_a_lost_sample_has_no_latency(lost):
    log = hand_log([Row(query=0), lost, Row(query=1, latency=5), Row(query=1, latency=4)])
    assert query_latency_ns(log).tolist() == [5 * MS]


def test_the_result_is_the_judged_percentile_over_queries():
    log = hand_log([Row(query=i // 2, latency=10.0 * (i // 2) + i % 2) for i in range(20)])
    result = MultiStream().result(log, run_settings(percentile=0.99))
    assert (result.name, result.value, result.unit, result.n) == (
        "p99 query latency",
        91.0,
        "ms",
        10,
    )


def test_nothing_completed_is_no_result():
    assert (
        MultiStream().result(hand_log([Row(latency=None, finish="")]), run_settings()).value is None
    )


def test_a_healthy_run_passes_every_condition():
    _, verdicts = run()
    assert {v.status for v in verdicts.values()} == {"PASS"}
    assert list(verdicts) == ["min_duration", "min_queries", "early_stopping", "driver_lag"]
    assert verdicts["early_stopping"].detail == "p90 is at most 205 ms at 99 % confidence"


def test_the_tail_is_counted_in_queries_not_in_samples():
    _, verdicts = run(min_queries=63)
    found = verdicts["early_stopping"]
    assert (found.status, found.measured, found.limit) == ("FAIL", 63, 64)


def test_p99_needs_662_queries():
    _, verdicts = run(n=2, percentile=0.99, min_queries=661)
    assert (verdicts["early_stopping"].status, verdicts["early_stopping"].limit) == ("FAIL", 662)
    _, verdicts = run(n=2, percentile=0.99, min_queries=662)
    assert verdicts["early_stopping"].status == "PASS"


def test_a_lost_sample_leaves_too_few_samples():
    rows = [Row(query=i // 8) for i in range(64 * 8)]
    rows[100] = Row(query=100 // 8, finish="error")
    found = verdict(
        MultiStream().judge(hand_log(rows), run_settings(samples_per_query=8)), "min_queries"
    )
    assert (found.status, found.measured, found.limit) == ("FAIL", 64, 64)
    assert found.detail == "only 511 of 512 samples completed"


def test_a_plan_that_runs_out_is_too_short():
    _, verdicts = run(min_queries=1, target_qps=1.0, min_duration_ns=2 * S)
    found = verdicts["min_duration"]
    assert (found.status, found.measured, found.limit) == ("FAIL", 4 * 0.205, 2.0)
    assert "raise --target-qps" in found.remedy


def test_a_driver_slower_than_its_limit_fails():
    rows = [Row(query=i // 8, lag=250.0 if i >= 504 else 0.0) for i in range(512)]
    found = verdict(
        MultiStream().judge(hand_log(rows), run_settings(samples_per_query=8)), "driver_lag"
    )
    assert (found.status, found.measured, found.evidence) == (
        "FAIL",
        250.0,
        (504, 505, 506, 507, 508),
    )


def test_an_empty_run_fails_and_has_no_latencies():
    verdicts = MultiStream().judge(hand_log([]), run_settings(samples_per_query=8))
    assert query_latency_ns(hand_log([])).tolist() == []
    assert verdict(verdicts, "min_queries").status == "FAIL"
    assert verdict(verdicts, "early_stopping").status == "FAIL"
