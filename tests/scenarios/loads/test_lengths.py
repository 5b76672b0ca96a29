"""Do lengths follow their distributions? Held against scipy's."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from harness.kernel.errors import BadInput
from scenarios.loads.lengths import lengths_of

N = 20_000


def p_value(text, continuous):
    """Test drawn whole numbers against a continuous distribution, rounded."""
    drawn = lengths_of(text).draw(N, 7)
    values, counts = np.unique(drawn, return_counts=True)
    shares = continuous.cdf(values + 0.5) - continuous.cdf(values - 0.5)
    kept = N * shares >= 5
    rest = 1 - shares[kept].sum()
    observed = np.append(counts[kept], N - counts[kept].sum())
    return stats.chisquare(observed, np.append(shares[kept], rest) * N).pvalue


@pytest.mark.parametrize(
    ("text", "distribution"),
    [
        ("normal:512/16", stats.norm(512, 16)),
        ("lognormal:64/0.3", stats.lognorm(0.3, scale=64)),
        ("normal:3/2", stats.truncnorm((0.5 - 3) / 2, np.inf, 3, 2)),
    ],
)
def test_lengths_follow_scipys_distribution(text, distribution):
    assert p_value(text, distribution) > 0.001


def test_uniform_and_fixed_are_exact():
    drawn = lengths_of("uniform:3..7").draw(N, 7)
    _, counts = np.unique(drawn, return_counts=True)
    assert (drawn.min(), drawn.max(), len(counts)) == (3, 7, 5)
    assert stats.chisquare(counts).pvalue > 0.001
    assert set(lengths_of("fixed:9").draw(50, 1).tolist()) == {9}


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(["fixed:1", "normal:1/500", "lognormal:1/8", "uniform:1..1000000"]),
    st.integers(0, 2**64 - 1),
    st.integers(1, 200),
)
def test_lengths_are_whole_positive_and_the_same_again(text, seed, n):
    drawn = lengths_of(text).draw(n, seed)
    assert drawn.shape == (n,)
    assert drawn.min() >= 1
    assert drawn.max() <= 1_000_000
    assert (drawn == lengths_of(text).draw(n, seed)).all()


@pytest.mark.parametrize(
    "text", ["", "norm:1/2", "normal:5", "normal:a/2", "normal:0/1", "uniform:5..2", "fixed:0"]
)
def test_what_is_no_distribution_is_refused(text):
    with pytest.raises(BadInput, match="expected fixed:512"):
        lengths_of(text)
