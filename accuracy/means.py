"""What is the mean of scores, one per question, and how far may chance move it? The one place where
a score becomes a figure with its interval (95 %): a share by Wilson's, other means by resampling.
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
