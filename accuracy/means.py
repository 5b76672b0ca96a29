"""What is the mean of scores, one per question, and how far may chance move it? The one place where
a score becomes a figure with its interval (95 %): a share by Wilson's, the difference of two shares
of the same questions by Newcombe's, other means by resampling.
"""

from __future__ import annotations

import math

import numpy as np

from accuracy import resampling
from accuracy.resampling import NOTHING, Estimate, Floats

_Z = 1.959963984540054  # the normal distribution's 97.5 %


def mean(scores: Floats) -> Estimate:
    """Return the mean of scores (n,): the share of ones, where each is 0 or 1."""
    n = len(scores)
    if not n:
        return NOTHING
    if np.isin(scores, (0.0, 1.0)).all():
        return share(float(scores.sum()), n)
    return of_graded(scores)


def of_graded(scores: Floats) -> Estimate:
    """Return the mean of scores (n,) of any size; questions are drawn."""
    n = len(scores)
    draws = resampling.resampled(scores[:, None])[:, 0] / n
    return resampling.interval(float(scores.mean()), draws, n)


def share(count: float, n: int) -> Estimate:
    """Return a share of n questions with its interval (Wilson 1927)."""
    if n < 1:
        return NOTHING
    p = count / n
    middle = p + _Z**2 / (2 * n)
    spread = _Z * math.sqrt(p * (1 - p) / n + _Z**2 / (4 * n * n))
    low, high = ((middle + sign * spread) / (1 + _Z**2 / n) for sign in (-1, 1))
    return Estimate(p, min(max(low, 0.0), p), max(min(high, 1.0), p))


def paired_difference(both: int, lost: int, gained: int, n: int) -> Estimate:
    """Return the share lost less the share gained of n pairs with its 95 % interval, of which
    `both` are right on both sides (Newcombe 1998, "Improved confidence intervals for the difference
    between binomial proportions based on paired data", method 10).
    """
    if not n:
        return NOTHING
    neither = n - both - lost - gained
    first, second = share(both + lost, n), share(both + gained, n)
    p1, low1, high1 = (end or 0.0 for end in first)
    p2, low2, high2 = (end or 0.0 for end in second)
    phi = _phi(both, lost, gained, neither)
    below = (p1 - low1) ** 2 - 2 * phi * (p1 - low1) * (high2 - p2) + (high2 - p2) ** 2
    above = (p2 - low2) ** 2 - 2 * phi * (p2 - low2) * (high1 - p1) + (high1 - p1) ** 2
    apart = p1 - p2
    return Estimate(apart, apart - math.sqrt(max(below, 0)), apart + math.sqrt(max(above, 0)))


def _phi(a: int, b: int, c: int, d: int) -> float:
    """Return how far the two sides go together, corrected for continuity."""
    size = (a + b) * (c + d) * (a + c) * (b + d)
    if not size:
        return 0.0
    over = a * d - b * c
    return (max(over - (a + b + c + d) / 2, 0) if over > 0 else over) / math.sqrt(size)
