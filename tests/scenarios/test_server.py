"""Many users: Poisson arrivals, latency from the moment a query was due, and the conditions of a
valid server run.
"""

import pytest

from harness.kernel.types import At
from scenarios.server import Server
from tests.scenario_helpers import (
    BlocksInIssue,
    Row,
    S,
    hand_log,
    run_settings,
    verdict,
    virtual_run,
)


def run(sut_class=None, options=None, **changes):
    settings = run_settings(**changes)
    log = virtual_run(Server(), settings, *([sut_class] if sut_class else []), **(options or {}))
    return log, {v.rule: v for v in Server().judge(log, settings)}


def judge(rows, **changes):
    return {v.rule: v for v in Server().judge(hand_log(rows), run_settings(**changes))}


def plan(**changes):
    settings = run_settings(**changes)
    return list(Server().plan(settings, Server().schedule(settings)))


# ---- plan


def test_every_query_is_one_sample_at_its_moment():
    settings = run_settings()
    schedule = Server().schedule(settings)
    queries = list(Server().plan(settings, schedule))
    assert [q.release for q in queries] == [At(t) for t in schedule.offsets_ns.tolist()]
    assert [(q.id, q.samples[0].id, q.samples[0].index) for q in queries] == [
        (i, i, index) for i, index in enumerate(schedule.indices.tolist())
    ]


def test_the_schedule_lasts_for_the_minimum_duration():
    offsets = [q.release.offset_ns for q in plan(min_queries=1, min_duration_ns=30 * S)]
    assert offsets[-1] >= 30 * S > offsets[-2]


def test_queries_are_issued_when_due_whatever_is_still_open():
    log, _ = run(options={"slots": 1})
    assert log.issued_ns.tolist() == log.due_ns.tolist()
    assert log.due_ns.tolist() == [q.release.offset_ns for q in plan()]
    assert log.done_ns[0] > log.due_ns[1]  # the second arrived before the first was complete


# ---- result


def test_the_result_is_loadgens_completed_samples_per_second():
    """(n - 1) over the completion of the last *issued* query, though another may finish later."""
    log = hand_log([Row(due=0, latency=9000), Row(due=1000), Row(due=3980, latency=20)])
    result = Server().result(log, run_settings())
    assert (result.name, result.value, result.unit, result.n) == (
        "completed samples",
        0.5,
        "samples/s",
        3,
    )


@pytest.mark.parametrize("rows", [[], [Row(latency=None, finish="")]])
def test_nothing_completed_is_no_result(rows):
    assert Server().result(hand_log(rows), run_settings()).value is None


# ---- tails


def test_a_healthy_run_passes_every_condition():
    _, verdicts = run()
    assert list(verdicts) == [
        "ttft_p90",
        "tpot_p90",
        "ttft_early_stopping",
        "tpot_early_stopping",
        "min_duration",
        "min_queries",
        "driver_lag",
    ]
    assert {v.status for v in verdicts.values()} == {"PASS"}
    assert (verdicts["ttft_p90"].measured, verdicts["tpot_p90"].measured) == (50.0, 5.0)


def test_waiting_in_the_queue_shows_up_in_ttft():
    log, verdicts = run(options={"slots": 1}, target_qps=8.0)  # 205 ms each: at most 4.9 per second
    found = verdicts["ttft_p90"]
    slowest = sorted(range(64), key=lambda i: -log.ttft_ns[i])[:5]
    assert (found.status, found.limit, found.evidence) == ("FAIL", 2000.0, tuple(slowest))
    assert found.measured == sorted(log.ttft_ns.tolist())[57] / 1e6
    assert found.detail == f"{(log.ttft_ns > 2 * S).sum()} of 64 over the limit"
    assert "lower --target-qps" in found.remedy
    assert verdicts["tpot_p90"].status == "PASS"


def test_slow_tokens_fail_tpot_alone():
    _, verdicts = run(options={"per_token_ms": 201, "slots": 999})
    assert (verdicts["tpot_p90"].status, verdicts["tpot_p90"].measured) == ("FAIL", 201.0)
    assert verdicts["tpot_early_stopping"].detail.startswith(
        "64 over the limit; 64 queries allow 1"
    )
    assert verdicts["ttft_p90"].status == "PASS"


def test_the_judged_percentile_is_that_of_the_settings():
    rows = [Row(ttft=10)] * 97 + [Row(ttft=9000, latency=9001)] * 3
    assert judge(rows)["ttft_p90"].status == "PASS"
    assert judge(rows, percentile=0.99)["ttft_p99"].status == "FAIL"


def test_a_tail_within_its_limit_may_be_uncertain():
    verdicts = judge([Row(ttft=10)] * 58 + [Row(ttft=9000, latency=9001)] * 6)
    assert (verdicts["ttft_p90"].status, verdicts["ttft_p90"].evidence) == (
        "PASS",
        (58, 59, 60, 61, 62),
    )
    found = verdicts["ttft_early_stopping"]
    assert (found.status, found.measured, found.limit) == ("FAIL", 64, 142)
    assert found.detail.endswith(
        "64 queries allow 1; 78 more queries under the limit would decide it"
    )


def test_single_token_samples_give_no_tpot_and_are_skipped():
    rows = [Row(ids=(2,), ttft=20, latency=20)] * 40 + [
        Row(ids=(5, 6, 2), ttft=10, latency=20)
    ] * 60
    verdicts = judge(rows)
    assert verdicts["tpot_early_stopping"].measured == 60
    assert verdicts["tpot_p90"].measured == 5.0  # (20 - 10) / (3 - 1), never a zero among them
    assert verdicts["ttft_early_stopping"].measured == 100


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({}, "every answer ended with its first token"),
        ({"max_new_tokens": 1}, "--max-new-tokens is 1"),
    ],
)
def test_tpot_is_not_judged_where_no_answer_has_a_second_token(changes, why):
    _, verdicts = run(options={"tokens": 1}, **changes)
    found, certain = verdicts["tpot_p90"], verdicts["tpot_early_stopping"]
    assert (found.status, found.measured, found.limit) == ("SKIPPED", None, 200.0)
    assert (found.detail, certain.status) == (f"no answer has a second token: {why}", "SKIPPED")
    assert "--target-latency" in found.remedy
    assert "more queries" not in certain.detail
    assert certain.more_queries is None
    assert {v.status for v in verdicts.values()} == {"PASS", "SKIPPED"}


@pytest.mark.parametrize(
    ("rows", "figure", "detail", "todo"),
    [
        ([Row(ttft=None)], "ttft", "no answer reported its first token", "report its first token"),
        ([Row(ttft=None)], "tpot", "no answer reported its first token", "report its first token"),
        (
            [Row(ids=(), text="some words")],
            "tpot",
            "the SUT does not say how many tokens its answers have",
            "how many tokens",
        ),
    ],
)
def test_a_figure_that_the_sut_keeps_to_itself_fails_and_names_both_ways_out(
    rows, figure, detail, todo
):
    verdicts = judge(rows * 64)
    found, certain = verdicts[f"{figure}_p90"], verdicts[f"{figure}_early_stopping"]
    assert (found.status, found.measured, found.detail) == ("FAIL", None, detail)
    assert todo in found.remedy
    assert "--target-latency" in found.remedy
    assert certain.status == "SKIPPED"
    assert certain.detail.startswith(detail)


def test_answers_that_keep_their_first_token_back_count_as_over_the_limit():
    rows = [Row()] * 60 + [Row(ttft=None)] * 40
    found = judge(rows)["ttft_p90"]
    assert (found.status, found.measured, found.margin) == ("FAIL", 10.0, None)
    assert found.detail == "0 of 60 over the limit; 40 more reported no first token"
    assert "report its first token" in found.remedy
    few = judge([Row()] * 95 + [Row(ttft=None)] * 5)["ttft_p90"]
    assert few.status == "PASS"
    assert few.detail.endswith("5 more reported no first token")


def test_the_remedy_asks_for_so_many_queries_that_enough_of_them_have_a_tpot():
    rows = [Row(ids=(2,), ttft=20, latency=20)] * 90 + [Row()] * 10
    found = judge(rows)["tpot_early_stopping"]
    assert (found.measured, found.limit, found.remedy) == (10, 44, "raise --min-queries to 440")
    assert found.detail.endswith("34 more answers with a TPOT under the limit would decide it")


def test_a_run_that_completed_nothing_still_asks_to_be_finished():
    verdicts = judge([Row(ttft=None, latency=None, finish="")] * 64)
    assert verdicts["ttft_p90"].status == verdicts["tpot_early_stopping"].status == "FAIL"
    assert "--target-latency" not in verdicts["ttft_p90"].remedy


def test_evidence_of_tpot_is_the_sample_id_though_some_samples_are_skipped():
    rows = [Row(ids=(2,))] * 50 + [Row()] * 13 + [Row(ttft=10, latency=1000)]
    assert judge(rows)["tpot_p90"].evidence == (63,)


def test_failed_samples_have_no_part_in_the_tails():
    rows = [Row()] * 64 + [Row(ttft=9000, latency=9001, finish="error")] * 30
    verdicts = judge(rows)
    assert (verdicts["ttft_p90"].status, verdicts["ttft_early_stopping"].measured) == ("PASS", 64)


def test_a_sut_that_reports_no_first_token_cannot_be_judged():
    found = judge([Row(ttft=None)] * 64)["ttft_p90"]
    assert (found.status, found.measured, found.limit) == ("FAIL", None, 2000.0)
    assert "report its first token" in found.remedy


# ---- length and driver


def test_duration_is_the_last_scheduled_moment_not_the_last_completion():
    rows = [Row(due=i * 100.0) for i in range(63)] + [Row(due=9_999.0, latency=5_000)]
    found = judge(rows, min_duration_ns=10 * S)["min_duration"]
    assert (found.status, found.measured, found.limit) == ("FAIL", 9.999, 10.0)


def test_a_long_enough_schedule_passes():
    _, verdicts = run(min_duration_ns=30 * S)
    assert verdicts["min_duration"].status == "PASS"
    assert verdicts["min_duration"].measured >= 30.0


def test_a_capped_run_has_too_few_queries():
    _, verdicts = run(max_queries=10)
    assert (verdicts["min_queries"].status, verdicts["min_queries"].measured) == ("FAIL", 10)
    assert verdicts["ttft_early_stopping"].detail.startswith(
        "0 over the limit; too few queries to allow any"
    )


def test_a_lost_sample_is_counted_as_missing():
    _, verdicts = run(options={"fault": "lost_sample"})
    assert verdicts["min_queries"].status == "FAIL"
    assert verdicts["min_queries"].detail == "only 63 of 64 samples completed"


def test_a_sut_that_blocks_in_issue_makes_the_driver_late_and_is_charged_for_it():
    log, verdicts = run(BlocksInIssue)  # 300 ms per call at 10 queries per second
    found = verdicts["driver_lag"]
    assert (found.status, found.limit) == ("FAIL", 200.0)
    assert found.measured == log.issue_lag_ns.max() / 1e6
    assert sorted(found.evidence) == [59, 60, 61, 62, 63]  # it falls ever further behind
    assert log.ttft_ns[63] > log.issue_lag_ns[63] > 2 * S  # counted from due, not from issue
    assert verdicts["ttft_p90"].status == "FAIL"


def test_an_empty_run_fails():
    verdicts = judge([], min_duration_ns=1)
    assert {
        verdicts[rule].status for rule in ("ttft_p90", "tpot_p90", "min_duration", "min_queries")
    } == {"FAIL"}


def test_only_the_drivers_lag_is_not_a_condition_of_loadgen():
    verdicts = Server().judge(hand_log([Row()]), run_settings())
    assert [v.rule for v in verdicts if not v.loadgen] == ["driver_lag"]
    assert verdict(verdicts, "min_queries").unit == "queries"


def test_a_run_that_took_no_time_has_no_rate():
    log = hand_log([Row(ttft=0, latency=0), Row(ttft=0, latency=0)])
    assert Server().result(log, run_settings()).value is None
