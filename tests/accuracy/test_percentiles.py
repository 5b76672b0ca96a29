"""Intervals of percentiles: how often they hold the truth, and when they have no upper end."""

import numpy as np
import pytest

from accuracy.percentiles import inflation, samples_for_an_end, tail


@pytest.mark.parametrize(("n", "p"), [(400, 0.5), (400, 0.9), (1000, 0.99)])
def test_intervals_hold_the_true_percentile_in_95_percent(n, p):
    """Against the known percentile of an exponential distribution, 400 times."""
    rng, truth = np.random.default_rng(7), -np.log(1 - p)
    held = 0
    for _ in range(400):
        low, high = tail(rng.exponential(size=n), p).estimate[1:]
        held += low <= truth <= high
    assert held >= 0.93 * 400


def test_samples_that_lean_on_one_another_count_for_fewer():
    """An autoregressive series: a tenth of the samples of the queue are slow together."""
    rng = np.random.default_rng(3)
    noise = rng.normal(size=4000)
    slow = np.zeros(4000)
    for i in range(1, 4000):
        slow[i] = 0.9 * slow[i - 1] + noise[i]
    alone = rng.permutation(slow)
    wide, narrow = (tail(values, 0.9).estimate for values in (slow, alone))
    assert wide.high - wide.low > 1.5 * (narrow.high - narrow.low)
    assert inflation(slow > np.quantile(slow, 0.9)) > 3 > inflation(alone > np.quantile(alone, 0.9))


def test_a_percentile_beyond_the_samples_has_no_upper_end():
    found = tail(np.arange(100.0), 0.99).estimate
    assert found.value == 99.0
    assert found.low is not None
    assert found.high is None


@pytest.mark.parametrize(("p", "needed"), [(0.9, 36), (0.99, 368), (0.999, 3688)])
def test_how_many_samples_have_one_beyond_the_percentile(p, needed):
    assert samples_for_an_end(p) == needed
    assert p**needed <= 0.025 < p ** (needed - 1)


def test_nothing_has_no_percentile():
    assert tail(np.empty(0), 0.5).estimate == (None, None, None)


def test_equal_samples_have_an_exact_percentile():
    assert tail(np.full(500, 3), 0.5).estimate == (3.0, 3.0, 3.0)


@pytest.mark.parametrize("p", [0.5, 0.9, 0.99])
@pytest.mark.parametrize("n", range(1, 8))
def test_an_interval_of_few_samples_holds_its_value_and_stays_among_them(n, p):
    values = np.arange(n, dtype=np.float64)
    found = tail(values, p).estimate
    low = values[0] if found.low is None else found.low
    high = values[-1] if found.high is None else found.high
    assert values[0] <= low <= found.value <= high <= values[-1]
