"""Right and wrong answers of two systems: against scipy, the likelihood itself, simulated runs."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.stats import binom, binomtest

from accuracy import means
from accuracy.gate.paired import Paired, difference, interval, needed, paired, score
from tests.accuracy.gate.calibration import Truth, by_bootstrap, by_score

COUNT = st.integers(0, 200)
COUNTS = st.builds(Paired, COUNT, COUNT, COUNT, COUNT)


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60))
def test_counts_and_mcnemar_are_those_of_the_pairs(pairs):
    theirs, ours = np.array(pairs, np.float64).T
    found = paired(ours, theirs)
    assert found.n == len(pairs)
    assert (found.reference, found.candidate) == (theirs.sum(), ours.sum())
    lost, won = int((theirs > ours).sum()), int((ours > theirs).sum())
    less = min(lost, won)
    two_sided = min(1.0, 2 * float(binom.cdf(less, lost + won, 0.5)))
    assert found.p_value == pytest.approx(two_sided)


@given(COUNTS)
def test_the_sides_may_be_exchanged(counts):
    """What the candidate keeps of the reference is the inverse of the other way round."""
    assume(counts.reference and counts.candidate)
    other = Paired(counts.both, counts.only_candidate, counts.only_reference, counts.neither)
    low, high = interval(counts)
    other_low, other_high = interval(other)
    assert low <= counts.kept * (1 + 1e-9)
    assert counts.kept <= high * (1 + 1e-9)
    assert (low, high) == pytest.approx((1 / other_high, 1 / other_low), rel=1e-5)


@given(COUNTS, st.floats(0.5, 0.999))
def test_the_variance_is_that_of_the_likeliest_shares(counts, share):
    """Maximise the likelihood under the hypothesis directly, over the one share that is left."""
    assume(counts.reference and counts.flips and counts.n > 3)
    n = counts.n
    solved = (n - counts.neither) / n

    def loss(alone):
        other = (alone - (1 - share) * solved) / share
        both = (solved - (1 + share) * alone) / share
        terms = [(counts.both, both), (counts.only_reference, alone)]
        total = 0.0
        for count, p in [*terms, (counts.only_candidate, other)]:
            total -= count * math.log(max(p, 1e-300)) if count else 0.0
        return total

    bounds = ((1 - share) * solved, solved / (1 + share))
    best = minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-12}).x
    discordance = best + (best - (1 - share) * solved) / share
    over = counts.candidate - share * counts.reference
    expected = over / math.sqrt(n * share * discordance)
    assert score(counts, share) == pytest.approx(expected, rel=1e-3, abs=1e-3)


def test_equal_marks_say_as_much_as_their_number_allows():
    """Where 18 of 18 are kept, an exact one-sided bound of 97.5 % is 0.025^(1/18)."""
    low, _ = interval(Paired(18, 0, 0, 42))
    assert low == pytest.approx(0.025 ** (1 / 18), abs=0.01)
    assert interval(Paired(0, 0, 5, 55)) is None
    assert interval(Paired(0, 3, 0, 57))[0] == 0.0


@pytest.mark.parametrize("counts", [Paired(18, 0, 0, 42), Paired(40, 6, 1, 13)])
def test_the_number_that_would_decide_decides_and_fewer_do_not(counts):
    z, share = 1.959964, 0.99
    n = needed(counts, share)
    assert abs(score(counts.times(n / counts.n), share)) >= z
    assert abs(score(counts.times(0.98 * n / counts.n), share)) < z
    assert needed(Paired(99, 1, 0, 0), 0.99) is None, "exactly at the target"


@given(st.integers(1, 400), st.data())
def test_a_share_has_wilsons_interval(n, data):
    right = data.draw(st.integers(0, n))
    ends = binomtest(right, n).proportion_ci(method="wilson")
    found = means.mean(np.array([1.0] * right + [0.0] * (n - right)))
    assert tuple(found) == pytest.approx((right / n, ends.low, ends.high), abs=1e-9)


def test_a_graded_mean_has_an_interval_by_resampling():
    scores = np.linspace(0, 1, 101)
    value, low, high = means.mean(scores)
    wide = 1.96 * scores.std(ddof=1) / math.sqrt(101)
    assert (value, low, high) == pytest.approx((0.5, 0.5 - wide, 0.5 + wide), abs=0.01)
    assert means.mean(np.array([])).value is None


@pytest.mark.parametrize("n", [60, 250, 1000])
@pytest.mark.parametrize("truth", [Truth(0.3, 0.04, 0.99), Truth(0.7, 0.08, 0.9)])
def test_a_verdict_at_the_boundary_is_seldom_wrong(truth, n):
    found = by_score(truth, n, 20_000)
    assert found.passed < 0.03
    assert found.failed < 0.04
    assert found.covered > 0.94


def test_the_bootstrap_would_pass_what_few_questions_cannot_tell():
    truth = Truth(0.3, 0.04, 0.99)
    assert by_bootstrap(truth, 60, 300).passed > 0.15
    assert by_score(truth, 60, 3000).passed < 0.03


@given(*[st.integers(0, 40)] * 4)
def test_a_difference_is_decided_where_mcnemars_exact_test_decides(both, lost, won, neither):
    """scipy's test of a fair coin."""
    counts = Paired(both, lost, won, neither)
    if not counts.n:
        return
    found = difference(counts)
    assert found.value == pytest.approx((won - lost) / counts.n)
    assert found.excludes_zero == (counts.p_value < 0.05)
    assert found.low is not None
    assert found.high is not None
    assert found.low <= found.value <= found.high
