"""How long will the rest of a study take, and how often is that right?"""

from __future__ import annotations

import numpy as np
import pytest

from harness.kernel.process.board import Left, span, time_left
from harness.live import left


def test_nothing_is_said_before_the_first_cell_has_ended_and_when_none_is_left():
    assert left.time_left([], 5) is None
    assert left.time_left([1.0, 2.0], 0) is None


def test_one_cell_gives_the_rest_within_a_half_and_a_double():
    assert left.time_left([10.0], 4) == Left(40.0, 20.0, 80.0)


def test_cells_that_take_as_long_as_one_another_leave_no_doubt():
    assert left.time_left([10.0, 10.0, 10.0], 4) == Left(40.0, 40.0, 40.0)


def test_what_is_running_has_less_to_go_and_several_at_once_share_the_rest():
    assert left.time_left([10.0, 10.0], 4, [4.0]).expected_s == 46.0
    assert left.time_left([10.0, 10.0], 4, [4.0, 10.0]).expected_s == 23.0
    assert left.time_left([10.0, 10.0], 0, [99.0]).expected_s == 0.0


@pytest.mark.parametrize(("known", "rest"), [(2, 1), (2, 20), (5, 10), (40, 3)])
def test_nine_of_ten_rests_are_within_the_spread(known, rest):
    draws = np.random.default_rng(16).normal(100, 20, (1000, known + rest))
    inside = 0
    for row in draws:
        told = left.time_left(list(row[:known]), rest)
        inside += told.low_s <= row[known:].sum() <= told.high_s
    assert 870 <= inside <= 930


@pytest.mark.parametrize(
    ("told", "passed_s", "words"),
    [
        (Left(360, 240, 540), 0, "about 6 min left (4 to 9 min)"),
        (Left(100, 50, 200), 0, "about 2 min left (50 s to 3 min)"),
        (Left(100, 50, 200), 60, "about 40 s left (0 s to 2 min)"),
        (Left(8000, 5400, 200_000), 0, "about 2.2 h left (1.5 h to 2 days)"),
        (Left(5, 1, 9), 20, "nearly done"),
    ],
)
def test_the_time_left_is_in_words_a_person_would_use(told, passed_s, words):
    assert time_left(told, passed_s) == words


def test_spans_have_the_unit_that_fits():
    spans = [span(seconds) for seconds in (0.4, 89, 90, 3600, 5400, 86_400, 200_000)]
    assert spans == ["0 s", "89 s", "2 min", "60 min", "1.5 h", "24.0 h", "2 days"]
