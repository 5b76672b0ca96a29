"""How much more has one run than another, and may chance alone have made it? Both answered the same
questions, so the answers are compared in pairs.

A figure that is a mean over answers: the paired bootstrap of all reports (`accuracy.resampling`).
Another figure: its own draws, made of the same questions in both runs; their differences have a
standard deviation, which gives a Student interval of n - 1 degrees of freedom. Where the figure is
a mean in one run alone (all of its answers are right, say), its draws are made from its values.
"""

from __future__ import annotations

import random

import numpy as np

from accuracy import resampling
from accuracy.resampling import CONFIDENCE, FEWEST_TEXTS, NOTHING, Estimate, Floats
from harness.evaluators.answers.columns import SEED, Columns

_FEWEST_DRAWS = 50


def difference(
    first: Columns | None, other: Columns | None, metric: str, change: float, n: int
) -> Estimate:
    """Return the change from the first run with its interval; NOTHING where there is none. Both
    have answered the same n questions.
    """
    if first is None or other is None:
        return NOTHING
    if metric in first.alone and metric in other.alone:
        if not np.array_equal(first.questions, other.questions):
            return NOTHING
        gains = other.alone[metric] - first.alone[metric]
        if np.ptp(gains) == 0:
            return Estimate(change)  # every draw would say the same, however few the answers
        draws = resampling.resampled(gains[:, None])[:, 0] / n
        return resampling.interval(change, draws, n)
    count = max(len(one.draws.get(metric, ())) for one in (first, other))
    return _of_draws(_draws(first, metric, count), _draws(other, metric, count), change, n)


def _draws(columns: Columns, metric: str, count: int) -> Floats:
    """Return the draws of a figure; of a mean, those of its values."""
    if metric not in columns.alone:
        return columns.draws.get(metric, np.empty(0))
    values, draw = columns.alone[metric], random.Random(SEED)
    places = range(len(values))
    return np.array([values[draw.choices(places, k=len(values))].mean() for _ in range(count)])


def _of_draws(ours: Floats, theirs: Floats, change: float, n: int) -> Estimate:
    from scipy.special import stdtrit

    count = min(len(ours), len(theirs))
    if count < _FEWEST_DRAWS or n < FEWEST_TEXTS:
        return NOTHING
    std = float(np.std(theirs[:count] - ours[:count], ddof=1))
    if std == 0:
        return Estimate(change)
    reach = -float(stdtrit(n - 1, (1 - CONFIDENCE / 100) / 2)) * std
    return Estimate(change, change - reach, change + reach)
