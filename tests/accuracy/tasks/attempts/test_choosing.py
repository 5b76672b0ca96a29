"""pass@k against the mean over all k-subsets in exact fractions, votes against a Counter."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from itertools import combinations
from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accuracy.tasks.attempts.choosing import NO_ANSWER, Vote, best, labels, majority, pass_at_k


@settings(deadline=None)
@given(st.lists(st.booleans(), min_size=1, max_size=9), st.data())
def test_pass_at_k_is_the_mean_over_all_sets_of_k(rights, data):
    k = data.draw(st.integers(1, len(rights)))
    sets = [any(some) for some in combinations(rights, k)]
    expected = Fraction(sum(sets), len(sets))
    assert pass_at_k(len(rights), sum(rights), k) == pytest.approx(float(expected), abs=1e-12)


@settings(deadline=None)
@given(st.integers(1, 1024), st.data())
def test_pass_at_k_is_exact_for_many_attempts(n, data):
    right, k = data.draw(st.integers(0, n)), data.draw(st.integers(1, n))
    expected = 1 - Fraction(comb(n - right, k), comb(n, k))
    assert pass_at_k(n, right, k) == pytest.approx(float(expected), rel=1e-9, abs=1e-12)


def test_more_attempts_than_there_are_cannot_be_drawn():
    with pytest.raises(ValueError, match="3 attempts cannot be drawn from 2"):
        pass_at_k(2, 1, 3)


@settings(deadline=None)
@given(st.lists(st.sampled_from([NO_ANSWER, 0, 1, 2, 3]), max_size=12))
def test_a_vote_is_the_most_common_answer(votes):
    counts = Counter(vote for vote in votes if vote != NO_ANSWER)
    found = majority(votes)
    if not counts:
        assert found == Vote(None)
        return
    most = max(counts.values())
    winners = {vote for vote, count in counts.items() if count == most}
    assert found.is_tied == (len(winners) > 1)
    assert found.at is not None
    assert found.at == min(votes.index(winner) for winner in winners), "the first of equal ones"


def test_numbers_are_one_answer_by_value_and_nothing_read_is_no_vote():
    found = labels(["1,234", "", "1234.00", "12", ""], "number")
    assert found == [0, NO_ANSWER, 0, 1, NO_ANSWER]


def test_other_answers_are_compared_as_words():
    assert labels(["Paris", "paris ", "Rome"], "letter") == [0, 0, 1]


def test_the_best_is_the_first_of_the_highest_and_the_unknown_is_never_best():
    assert best(np.array([np.nan, -2.0, -1.0, -1.0])) == 2
    assert best(np.array([np.nan, np.nan])) is None
