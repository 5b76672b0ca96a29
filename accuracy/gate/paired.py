"""Two systems answered the same questions, each right or wrong. How much of what the first solves
does the second solve, and may chance alone have made the difference?

Of n questions both solve some, one system alone solves others. The share kept is the candidate's
right answers over the reference's. Only the questions that one of them alone solves tell the two
apart: if neither is better, each of these is a fair coin (McNemar 1947; the exact test is the
binomial one of Dixon and Mood 1946).

The interval of the share is the score interval for a ratio of two paired shares (Nam and
Blackwelder 2002; Tang, Tang and Carey 2003): all shares that the score test does not reject, where
the variance is that of the likeliest shares under the hypothesis. A bootstrap is no substitute:
where all questions end alike, every draw has a share of exactly 1, however few they are.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from accuracy import means
from accuracy.resampling import CONFIDENCE, Estimate, Floats

_MOST = 10**9  # questions: more than anybody has
_FINE = 1e-9  # relative, of an end of an interval


class Paired(NamedTuple):
    """Counts of questions; real numbers where more of the same kind are imagined."""

    both: float
    only_reference: float
    only_candidate: float
    neither: float

    @property
    def n(self) -> float:
        return sum(self)

    @property
    def reference(self) -> float:
        """What the reference solves."""
        return self.both + self.only_reference

    @property
    def candidate(self) -> float:
        """What the candidate solves."""
        return self.both + self.only_candidate

    @property
    def flips(self) -> float:
        """Questions that end otherwise."""
        return self.only_reference + self.only_candidate

    @property
    def kept(self) -> float | None:
        """The share of the reference's right answers; None where there is none."""
        return self.candidate / self.reference if self.reference else None

    @property
    def p_value(self) -> float:
        """McNemar's exact test, of two sides: the chance of flips as uneven as these, or more so,
        if neither system is better.
        """
        from scipy.stats import binomtest

        if not self.flips:
            return 1.0
        return float(binomtest(round(self.only_candidate), round(self.flips), 0.5).pvalue)

    def times(self, factor: float) -> Paired:
        """Return the counts of more questions like these."""
        return Paired(*(factor * count for count in self))


def paired(candidate: Floats, reference: Floats) -> Paired:
    """Return the counts of scores (n,) that are 0 or 1, of the same questions."""
    ours, theirs = _right(candidate), _right(reference)
    if len(ours) != len(theirs):
        raise ValueError(f"{len(ours)} scores beside {len(theirs)}")
    return Paired(
        both=int((ours & theirs).sum()),
        only_reference=int((~ours & theirs).sum()),
        only_candidate=int((ours & ~theirs).sum()),
        neither=int((~ours & ~theirs).sum()),
    )


def difference(counts: Paired, confidence: float = CONFIDENCE) -> Estimate:
    """Return the share that the candidate solves less the reference's. The interval covers two:
    Newcombe's (1998, method 10), and that of the share of the flips that are for the candidate
    (Clopper and Pearson 1934), so that it never excludes 0 where McNemar's exact test does not.
    """
    one, other = int(counts.only_candidate), int(counts.only_reference)
    value, low, high = means.paired_difference(int(counts.both), one, other, int(counts.n))
    ends = [end for end in (value, low, high, *_by_flips(counts, confidence)) if end is not None]
    return Estimate(value, min(ends), max(ends))


def _by_flips(counts: Paired, confidence: float) -> tuple[float, float]:
    from scipy.stats import binomtest

    if not counts.flips:
        return 0.0, 0.0
    test = binomtest(round(counts.only_candidate), round(counts.flips))
    low, high = test.proportion_ci(confidence / 100, method="exact")
    share = counts.flips / counts.n
    return (2 * low - 1) * share, (2 * high - 1) * share


def _right(scores: Floats) -> NDArray[np.bool_]:
    if not np.isin(scores, (0.0, 1.0)).all():
        raise ValueError("a score is neither 0 nor 1")
    return scores == 1


# ---- the interval


def score(counts: Paired, share: float) -> float:
    """Return how many standard errors the share kept lies above `share`, if that is the truth."""
    over = counts.candidate - share * counts.reference
    variance = counts.n * share * _discordance(counts, share)
    if variance <= 0:
        return math.copysign(math.inf, over) if over else 0.0
    return over / math.sqrt(variance)


def _discordance(counts: Paired, share: float) -> float:
    """Return the likeliest share of questions that one system alone solves, if what is kept is
    `share`: the larger root of the likelihood's derivative in that of the reference alone.
    """
    n, solved = counts.n, (counts.n - counts.neither) / counts.n
    a = n * (1 + share)
    b = (1 - share**2) * counts.reference + counts.flips
    c = counts.only_reference * (1 - share) * solved
    alone = (b + math.sqrt(max(b * b - 4 * a * c, 0.0))) / (2 * a)
    other = max((alone - (1 - share) * solved) / share, 0.0)
    return alone + other


def interval(counts: Paired, confidence: float = CONFIDENCE) -> tuple[float, float] | None:
    """Return the ends of the share kept; None where the reference solves nothing."""
    from scipy.special import ndtri

    kept = counts.kept
    if kept is None:
        return None
    z = float(ndtri((1 + confidence / 100) / 2))
    high = 2 * max(kept, 1.0)
    while score(counts, high) > -z:
        high *= 2
    top = _root(counts, -z, max(kept, _FINE), high)
    return (_root(counts, z, _FINE * kept, kept) if kept else 0.0), top


def _root(counts: Paired, z: float, low: float, high: float) -> float:
    """Return the share from which the one that was seen lies `z` standard errors away."""
    from scipy.optimize import brentq

    def beyond(share: float) -> float:
        return max(min(score(counts, share) - z, 1e6), -1e6)

    if beyond(low) * beyond(high) > 0:  # no share between them is that far away
        return low if z > 0 else high
    return float(brentq(beyond, low, high, rtol=_FINE))


# ---- how many would decide


def needed(counts: Paired, share: float, confidence: float = CONFIDENCE) -> int | None:
    """Return how many questions like these would decide at a share; None if no number would."""
    kept = counts.kept
    if kept is None or kept == share:
        return None
    from scipy.special import ndtri

    z = float(ndtri((1 + confidence / 100) / 2))

    def is_decided(factor: float) -> bool:
        distance = score(counts.times(factor), share)
        return distance > z if kept > share else distance < -z

    high = 1.0
    while not is_decided(high):
        high *= 2
        if high * counts.n > _MOST:
            return None
    low = high / 2
    while high / low > 1.001:
        middle = math.sqrt(low * high)
        low, high = (low, middle) if is_decided(middle) else (middle, high)
    return max(round(counts.n) + 1, math.ceil(high * counts.n))
