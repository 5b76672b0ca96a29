"""Intervals over texts: where their ends are, how often they hold the truth, and where there is
none.
"""

import math

import numpy as np
import pytest
from scipy import stats

from accuracy.resampling import (
    FEWEST_TEXTS,
    LARGEST_EXPONENT,
    NOTHING,
    Estimate,
    divided,
    exp,
    interval,
    quantiles,
    ratio,
    resampled,
)


def of_sums(over, under, resamples=10_000):
    sums = np.stack([over, under], axis=1).astype(np.float64)
    draws, total = resampled(sums, resamples), sums.sum(axis=0)
    return ratio(*total, draws[:, 0], draws[:, 1], len(sums))


def test_the_interval_is_scipy_s_percentile_bootstrap_at_student_s_tail():
    rng = np.random.default_rng(4)
    rows = [rng.exponential(2, rng.integers(5, 40)).astype(np.float32) for _ in range(12)]
    tail = stats.norm.cdf(math.sqrt(12 / 11) * stats.t.ppf(0.025, 11))
    sums, counts = np.array([row.sum() for row in rows]), np.array([len(row) for row in rows])
    found = of_sums(sums, counts)
    official = stats.bootstrap(
        (sums, counts), lambda s, c, axis: s.sum(axis) / c.sum(axis), paired=True, vectorized=True,
        method="percentile", n_resamples=10_000, confidence_level=1 - 2 * tail,
        rng=np.random.default_rng(1),
    ).confidence_interval  # fmt: skip
    width = official.high - official.low
    assert found.low == pytest.approx(official.low, abs=0.03 * width)
    assert found.high == pytest.approx(official.high, abs=0.03 * width)


@pytest.mark.parametrize("n", [6, 20])
def test_intervals_hold_the_truth_about_as_often_as_they_say(n):
    rng, hits = np.random.default_rng(8), 0
    for _ in range(300):
        found = of_sums(100 * rng.lognormal(1, 0.25, n), np.full(n, 100), 1_000)
        hits += found.low <= math.exp(1 + 0.25**2 / 2) <= found.high
    assert 0.90 <= hits / 300 <= 0.99


def test_the_ends_are_further_out_for_few_texts_and_none_for_fewer_than_five():
    assert quantiles(10) == pytest.approx((0.009, 0.991), abs=5e-4)
    assert quantiles(10**6) == pytest.approx((0.025, 0.975), abs=1e-5)
    assert quantiles(10, 90)[0] > quantiles(10)[0]
    assert quantiles(FEWEST_TEXTS - 1) is None
    assert resampled(np.ones((FEWEST_TEXTS - 1, 3))).shape == (0, 3)
    assert of_sums(np.arange(4), np.ones(4)) == (1.5, None, None)


def test_as_many_texts_are_drawn_as_there_are_and_all_columns_together():
    sums = np.stack([np.ones(7), np.arange(7), 10 * np.arange(7)], axis=1)
    draws = resampled(sums)
    assert draws.shape == (10_000, 3)
    assert (draws[:, 0] == 7).all()
    assert (draws[:, 2] == 10 * draws[:, 1]).all()
    assert len(np.unique(draws[:, 1])) > 20
    assert draws[:, 1].mean() == pytest.approx(21, abs=0.2)
    assert np.array_equal(resampled(sums[:, 1:]), draws[:, 1:])  # the same n, the same draws
    assert 500 <= len(resampled(np.ones((5_000, 1)))) < 1_000


def test_draws_that_are_no_numbers_are_left_out():
    draws = np.array([1.0, np.nan, 2.0, 3.0, np.inf])
    assert interval(2.0, draws, 9) == interval(2.0, draws[[0, 2, 3]], 9)
    assert interval(2.0, draws[[1, 4]], 9) == Estimate(2.0)
    assert interval(math.inf, draws, 9) == Estimate(math.inf)


def test_an_interval_holds_its_figure_where_rounding_would_not():
    assert interval(1.0, np.full(9, np.nextafter(1.0, 2)), 9) == (1.0, 1.0, np.nextafter(1.0, 2))


def test_nothing_divides_by_zero():
    assert divided(np.array([1.0, 2.0]), np.array([0.0, 4.0])) == pytest.approx(
        [math.nan, 0.5], nan_ok=True
    )
    assert ratio(1.0, 0.0, np.ones(9), np.ones(9), 9) == NOTHING


def test_only_an_interval_on_one_side_excludes_zero():
    assert Estimate(1, 0.5, 2).excludes_zero
    assert Estimate(-1, -2, -0.5).excludes_zero
    assert not Estimate(1, -0.5, 2).excludes_zero
    assert not Estimate(1, 0, 2).excludes_zero
    assert not Estimate(1).excludes_zero


def test_an_exponent_beyond_floats_is_infinite():
    assert exp(1.0) == math.e
    assert exp(LARGEST_EXPONENT * 0.999) < exp(LARGEST_EXPONENT * 1.001) == math.inf
