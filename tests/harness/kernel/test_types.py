import dataclasses

import numpy as np
import pytest

from harness.kernel.log import RunLog
from harness.kernel.types import FINISHES, NEVER, AfterInFlight, QuerySample, Sample


def log_of(
    *rows: tuple[int, int, int, int, int], finish: str = "eos", reported: int = -1
) -> RunLog:
    """A RunLog of (due, issued, first, done, tokens) rows, one sample per query."""
    due, issued, first, done, tokens = (
        (np.array(column, np.int64) for column in zip(*rows, strict=True))
        if rows
        else [np.empty(0, np.int64)] * 5
    )
    n, start = len(rows), np.concatenate(([0], np.cumsum(tokens)))
    total = int(start[-1])
    return RunLog(
        query_id=np.arange(n, dtype=np.int32),
        index=np.arange(n, dtype=np.int32) + 100,
        due_ns=due,
        issued_ns=issued,
        first_ns=first,
        done_ns=done,
        first_token=np.full(n, 7, np.int32),
        reported_tokens=np.full(n, reported, np.int32),
        finish=np.full(n, FINISHES.index(finish), np.int8),
        token_start=start,
        token_ids=np.arange(total, dtype=np.int32),
        stamp_start=start,
        stamp_ns=np.arange(total, dtype=np.int64) * 10,
        completion_order=np.arange(n, dtype=np.int32),
    )


def test_times_count_from_due_not_from_issue():
    log = log_of((100, 130, 400, 900, 6))
    assert (log.latency_ns[0], log.ttft_ns[0], log.issue_lag_ns[0]) == (800, 300, 30)


def test_tpot_is_the_integer_division_of_mlperf():
    log = log_of((0, 0, 100, 1_000_109, 6))
    assert log.tpot_ns.tolist() == [1_000_009 // 5]


def test_tpot_of_one_token_is_left_out_not_zero():
    log = log_of((0, 0, 100, 100, 1), (0, 0, 100, 100_100, 2))
    assert log.has_tpot.tolist() == [False, True]
    assert log.tpot_ns.tolist() == [100_000]


def test_tpot_of_an_answer_that_came_whole_is_left_out_not_zero():
    """Six tokens within 50 us of one another are one message."""
    log = log_of((0, 0, 100, 100, 6), (0, 0, 100, 250_100, 6), (0, 0, 100, 250_101, 6))
    assert log.came_whole.tolist() == [True, True, False]
    assert log.tpot_ns.tolist() == [50_000]


def test_tpot_needs_a_first_token():
    assert log_of((0, 0, NEVER, 200, 5)).tpot_ns.tolist() == []


def test_tpot_needs_a_completed_sample():
    assert log_of((0, 0, 100, NEVER, 5)).tpot_ns.tolist() == []
    assert log_of((0, 0, 100, 200, 5), finish="error").tpot_ns.tolist() == []


def test_a_sample_is_completed_when_done_without_error():
    assert log_of((0, 0, 1, 2, 1)).completed.tolist() == [True]
    assert log_of((0, 0, 1, NEVER, 1), finish="").completed.tolist() == [False]
    assert log_of((0, 0, 1, 2, 1), finish="error").completed.tolist() == [False]


def test_a_sample_done_at_moment_zero_is_completed():
    assert log_of((0, 0, 0, 0, 1)).completed.tolist() == [True]


def test_tokens_are_counted_by_us_even_if_the_sut_reports_another_number():
    assert log_of((0, 0, 1, 2, 4), reported=9).tokens.tolist() == [4]


def test_the_reported_count_is_taken_where_no_ids_were_sent():
    assert log_of((0, 0, 1, 2, 0), reported=9).tokens.tolist() == [9]
    assert log_of((0, 0, 1, 2, 0), reported=-1).tokens.tolist() == [0]


def test_length_and_number_of_queries():
    log = log_of((0, 0, 1, 2, 1), (0, 0, 1, 2, 1), (0, 0, 1, 2, 1))
    log.query_id = np.array([0, 0, 1], np.int32)
    assert (len(log), log.num_queries) == (3, 2)


def test_an_empty_log_has_no_queries_and_no_figures():
    log = log_of()
    assert (len(log), log.num_queries) == (0, 0)
    assert log.tpot_ns.tolist() == log.tokens.tolist() == []


def test_a_record_is_one_row_with_its_own_tokens_and_stamps():
    log = log_of((10, 11, 12, 13, 2), (20, 21, 22, 23, 3))
    log.texts[1] = "hello"
    row = log.record(1)
    assert (row.sample_id, row.query_id, row.index, row.due_ns, row.issued_ns) == (
        1,
        1,
        101,
        20,
        21,
    )
    assert (row.first_ns, row.done_ns, row.first_token, row.finish) == (22, 23, 7, "eos")
    assert (row.token_ids.tolist(), row.chunk_ns.tolist()) == ([2, 3, 4], [20, 30, 40])
    assert (row.text, row.error) == ("hello", "")


def test_the_record_of_a_failed_sample_says_why():
    log = log_of((10, 11, NEVER, 13, 0), finish="error")
    log.errors[0] = "lost"
    assert (log.record(0).finish, log.record(0).error) == ("error", "lost")


@pytest.mark.parametrize("value", [Sample(0, "why?"), AfterInFlight(5)])
def test_values_cannot_be_changed(value):
    field = dataclasses.fields(value)[0].name
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(value, field, 9)


def test_values_made_in_the_timed_window_carry_no_dict():
    assert not hasattr(QuerySample(0, 0), "__dict__")
