"""Which of several answers is taken, and what passes of k."""

from itertools import combinations
from math import nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accuracy.best_of import by_score, majority, pass_at_k
from accuracy.multiple_choice import read
from accuracy.number_match import value
from harness.errors import BadInput


def test_the_majority_speaks_through_its_first_answer():
    assert majority(["It is B", "Answer: C", "(C)", "B", "C!"], read) == "Answer: C"


def test_equal_values_vote_together():
    assert majority(["7", "0.50", "0.5"], value) == "0.50"


def test_a_tie_goes_to_the_key_that_stands_first():
    assert majority(["b1", "a1", "a2", "b2"], lambda answer: answer[0]) == "b1"


def test_what_cannot_be_read_has_no_vote():
    answers = ["who knows", "who knows", "who knows", "Answer: D"]
    assert majority(answers, read) == "Answer: D"
    assert majority(answers[:3], read) == "who knows"
    assert majority([None, None, 0], lambda answer: answer) == 0


def test_the_highest_score_wins_and_the_first_of_equals():
    assert by_score(["aa", "bbb", "ccc", "d"], len) == "bbb"


def test_nan_is_below_everything():
    assert by_score([nan, float("-inf"), nan], lambda score: score) == float("-inf")
    assert by_score(["x", "y"], lambda _: nan) == "x"


def test_no_answers_no_choice():
    assert majority([], str) is None
    assert by_score([], len) is None


@given(st.lists(st.integers(0, 3), min_size=1, max_size=12))
def test_nobody_has_more_votes_than_the_majority(answers):
    most = max(answers.count(answer) for answer in answers)
    winner = majority(answers, lambda answer: answer)
    assert answers.count(winner) == most
    assert winner == next(answer for answer in answers if answers.count(answer) == most)


@pytest.mark.parametrize("n", range(1, 7))
def test_pass_at_k_is_the_share_of_draws_with_a_right_answer(n):
    for right in range(n + 1):
        for k in range(1, n + 1):
            draws = list(combinations([True] * right + [False] * (n - right), k))
            assert pass_at_k(n, right, k) == pytest.approx(sum(map(any, draws)) / len(draws))


@pytest.mark.parametrize(
    ("n", "right", "k"), [(3, 1, 4), (3, 1, 0), (3, 4, 1), (3, -1, 1), (0, 0, 1)]
)
def test_more_draws_than_answers_cannot_be(n, right, k):
    with pytest.raises(BadInput, match="pass@k"):
        pass_at_k(n, right, k)
