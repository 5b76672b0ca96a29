"""Do win rates, bias and kappa say what their definitions say? nltk's agreement module, scipy and
a published table are the oracles.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nltk.metrics.agreement import AnnotationTask
from scipy.stats import binomtest

from accuracy.judge.figures import Pair, kappa, mean, pairs, weighted_kappa

WIN, LOSS, TIE = Pair("b", "a"), Pair("a", "b"), Pair("tie", "tie")
FIRST, LAST, HALF = Pair("a", "a"), Pair("b", "b"), Pair("a", "tie")
LOST, EQUAL = Pair("a", None), Pair(None, None, is_equal=True)


def test_a_verdict_counts_where_both_orders_agree():
    found = pairs([WIN] * 9 + [LOSS] * 2 + [TIE] * 3 + [FIRST] * 4 + [HALF] * 2)
    assert (found.wins, found.losses, found.ties, found.turned) == (9, 2, 9, 6)
    assert found.win_rate.value == pytest.approx((9 + 9 / 2) / 20)
    assert found.win_rate.low < found.win_rate.value < found.win_rate.high
    assert found.consistent.value == pytest.approx(14 / 20)
    assert found.sign_p == pytest.approx(binomtest(9, 11).pvalue)
    first = 9 + 2 + 2 * 4 + 2  # one in each pair that is consistent and sided, two, one
    assert (found.sided, found.first.value) == (2 * 9 + 2 * 2 + 8 + 2, pytest.approx(first / 32))


def test_a_judge_who_always_takes_the_first_decides_nothing():
    for one, share in ((FIRST, 1.0), (LAST, 0.0)):
        found = pairs([one] * 20)
        assert (found.status, found.first.value) == ("INCONCLUSIVE", share)
        assert "order" in found.reason
        assert (found.win_rate.value, found.consistent.value) == (0.5, 0.0)


def test_verdicts_that_are_missing_make_it_invalid():
    found = pairs([WIN] * 8 + [LOST] * 2)
    assert (found.status, found.judged, found.asked) == ("INVALID", 8, 10)
    assert "8 of 10" in found.reason
    assert pairs([WIN] * 9 + [LOST]).status == "BETTER"
    assert pairs([]).status == "INVALID"


def test_a_difference_is_one_that_chance_seldom_makes():
    assert pairs([LOSS] * 10).status == "WORSE"
    assert pairs([WIN] * 3 + [LOSS] * 2).status == "INCONCLUSIVE"
    assert pairs([EQUAL] * 10)[:3] == (10, 10, 10)
    assert pairs([EQUAL] * 10).status == "INCONCLUSIVE"
    assert pairs([EQUAL] * 90 + [LOSS] * 10).win_rate.value == pytest.approx(0.45)


@given(st.lists(st.sampled_from([WIN, LOSS, TIE, FIRST, LAST, HALF, LOST, EQUAL])))
def test_who_wins_is_turned_round_with_the_runs(found):
    turned = {"a": "b", "b": "a", "tie": "tie", None: None}
    other = [Pair(turned[a], turned[b], is_equal) for a, b, is_equal in found]
    ours, theirs = pairs(found), pairs(other)
    assert (ours.wins, ours.losses, ours.ties) == (theirs.losses, theirs.wins, theirs.ties)
    assert ours.wins + ours.losses + ours.ties == ours.judged
    if ours.judged:
        assert ours.win_rate.value + theirs.win_rate.value == pytest.approx(1)


def test_kappa_of_a_published_table():
    """20 yes-yes, 5 yes-no, 10 no-yes, 15 no-no: 0.4."""
    ours = ["yes"] * 25 + ["no"] * 25
    theirs = ["yes"] * 20 + ["no"] * 5 + ["yes"] * 10 + ["no"] * 15
    assert kappa(ours, theirs) == pytest.approx(0.4)
    assert kappa([], []) is None
    assert kappa(["a", "a"], ["a", "a"]) is None
    assert weighted_kappa([], []) is None
    assert weighted_kappa([3.0], [3.0]) is None


RATED = st.lists(st.tuples(st.integers(1, 10), st.integers(1, 10)), min_size=2, max_size=40)


@given(RATED)
def test_kappas_are_nltk_s(rated):
    ours, theirs = zip(*rated, strict=True)
    rows = [("a", i, one) for i, one in enumerate(ours)]
    rows += [("b", i, one) for i, one in enumerate(theirs)]
    if len(set(ours) | set(theirs)) > 1:
        task = AnnotationTask(data=rows, distance=lambda a, b: float(a != b))
        assert kappa(ours, theirs) == pytest.approx(task.kappa())
        squared = AnnotationTask(data=rows, distance=lambda a, b: float(a - b) ** 2)
        expected = squared.weighted_kappa()
        assert weighted_kappa([*map(float, ours)], [*map(float, theirs)]) == pytest.approx(expected)


def test_a_mean_of_nothing_is_nothing():
    assert mean([]).value is None
    assert mean([1.0, 3.0])[:] == (2.0, None, None)
