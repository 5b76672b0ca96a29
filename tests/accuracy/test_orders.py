"""Kendall's tau and its exact p-value, held against scipy."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kendalltau, permutation_test

from accuracy.orders import FEWEST, kendall

SEEDS = st.integers(0, 2**32 - 1)


def shuffled(n: int, seed: int) -> list[int]:
    return [int(value) for value in np.random.default_rng(seed).permutation(n)]


@given(SEEDS, SEEDS)
def test_without_ties_it_is_scipys_exact_test(seed, other_seed):
    one, other = shuffled(7, seed), shuffled(7, other_seed)
    found = kendall(one, other)
    theirs = kendalltau(one, other, method="exact")
    assert found is not None
    assert found.tau == pytest.approx(theirs.statistic)
    assert found.p_value == pytest.approx(theirs.pvalue)
    assert found.least_p == pytest.approx(2 / math.factorial(7))


@given(SEEDS)
def test_many_without_ties_are_counted_as_well(seed):
    other = shuffled(12, seed)
    found, theirs = kendall(range(12), other), kendalltau(range(12), other, method="exact")
    assert found is not None
    assert (found.tau, found.p_value) == pytest.approx((theirs.statistic, theirs.pvalue))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ([1, 1, 2, 3, 4], [1, 2, 2, 5, 3]),
        ([0, 0, 0, 1], [3, 1, 2, 4]),
        ([1, 2, 3, 4, 5, 5], [2, 1, 1, 3, 4, 5]),
    ],
)
def test_with_ties_it_is_the_share_of_all_orders(one, other):
    """scipy counts the same orders, of tau-b: its denominator is the same in all of them."""
    found = kendall(one, other)

    def statistic(x: object) -> float:
        return float(kendalltau(x, other).statistic)

    theirs = permutation_test((np.array(one),), statistic, permutation_type="pairings",
                              n_resamples=np.inf, alternative="two-sided")  # fmt: skip
    assert found is not None
    assert found.tau == pytest.approx(kendalltau(one, other).statistic)
    far = np.abs(theirs.null_distribution) >= abs(found.tau) - 1e-12
    assert found.p_value == pytest.approx(far.mean())
    least = np.abs(theirs.null_distribution) >= np.abs(theirs.null_distribution).max() - 1e-12
    assert found.least_p == pytest.approx(least.mean())


def test_many_with_ties_are_drawn():
    one, other = [0, 0, 1, 2, 3, 4, 5, 6, 7, 8], [0, 1, 1, 2, 3, 4, 6, 5, 7, 8]
    found = kendall(one, other)
    assert found is not None
    assert found.tau == pytest.approx(kendalltau(one, other).statistic)
    assert found.p_value < 0.001
    assert kendall(one, other) == found  # the same figures, the same draws


def test_too_few_and_all_equal_have_no_order():
    assert kendall(range(FEWEST - 1), range(FEWEST - 1)) is None
    assert kendall([1, 1, 1, 1], [1, 2, 3, 4]) is None
