"""Where is the highest rate that keeps all limits, after what has been seen, and how sure is that?

For each limit two things are unknown: the peak, at which a share 1 - p of the queries breaks it,
and how steeply the logarithm of that share rises with the rate. Every run tells of both
(`scenarios.peak.tails`); the further its share is from 1 - p, the less a line can be trusted, and
the wider its error. A guess of the queue's own (`scenarios.peak.queue`) counts like a run. All is
weighed on a grid. Over several limits the peak is the lowest of theirs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from scenarios.peak.queue import Guess
from scenarios.peak.tails import Tail

_POINTS, _SLOPES = 800, 24
_SLOWEST, _STEEPEST = 3.0, 600.0  # rise of ln(share) from 0 to the peak's rate, in a line
_BENT = 0.15  # error of the line, as a share of the distance from ln(1 - p)
_BENT_ABOVE = 0.4  # the same over the peak, where a run's length matters
_HIGHEST = -0.1  # ln of a share
_FREEDOM = 4  # of Student's t: one odd run does not decide
_LEAST_ERROR = 0.15
_ERROR_OF_A_BOUND = 1.0  # of a run that was ended: how far a whole one may be off

Array = NDArray[Any]


class Peak(NamedTuple):
    """The median of what the peak may be, and the ends of its 90 % interval, in queries/s."""

    value: float
    low: float
    high: float


class Belief(NamedTuple):
    """How likely each rate is to be the peak: (points,) rates in ascending order, their weights."""

    qps: Array
    weights: Array

    def quantile(self, share: float) -> float:
        """Return the rate below which the peak is with this probability."""
        return float(np.interp(share, np.cumsum(self.weights), self.qps))

    def above(self, qps: float) -> float:
        """Return the probability that the peak is higher than a rate."""
        return float(self.weights[self.qps > qps].sum())

    @property
    def peak(self) -> Peak:
        return Peak(self.quantile(0.5), self.quantile(0.05), self.quantile(0.95))


def believe(
    low: float,
    high: float,
    p: float,
    tails: Mapping[str, Sequence[Tail]],
    guesses: Mapping[str, Sequence[Guess]],
) -> Belief:
    """Weigh what was seen of each limit; the peak is between `low` and `high`."""
    qps = np.geomspace(low, high, _POINTS)
    survival = np.ones(_POINTS)
    for name in {**tails, **guesses}:
        weights = _of_limit(qps, p, tails.get(name, ()), guesses.get(name, ()))
        survival *= 1 - np.cumsum(weights) + weights  # that the peak of this limit is no lower
    weights = survival - np.append(survival[1:], 0.0)
    return Belief(qps, np.clip(weights, 0, None) / weights.sum())


def _of_limit(qps: Array, p: float, tails: Sequence[Tail], guesses: Sequence[Guess]) -> Array:
    """Return the weight of each rate, (points,)."""
    goal = math.log(1 - p)
    slopes = np.geomspace(_SLOWEST, _STEEPEST, _SLOPES)
    logs = np.zeros((_POINTS, _SLOPES))
    for seen in tails:
        line = slopes * (seen.qps / qps[:, None] - 1)  # (points, slopes): ln(share) less the goal
        logs += _likelihood(seen, np.minimum(line, _HIGHEST - goal), goal)
    for one in guesses:
        logs -= 0.5 * (np.log(qps / one.qps) / one.error)[:, None] ** 2
    weights = np.exp(logs - logs.max()).sum(axis=1)
    return np.asarray(weights / weights.sum())


def _likelihood(seen: Tail, line: Array, goal: float) -> Array:
    """Return the logarithm of how likely a run is, were ln(share) this much over the goal."""
    bent = np.where(line < 0, _BENT, _BENT_ABOVE) * line
    least = _ERROR_OF_A_BOUND if seen.at_least else _LEAST_ERROR
    error = np.sqrt(max(seen.error, least) ** 2 + bent**2)
    apart = (seen.log_share - goal - line) / error
    if seen.at_least:
        from scipy.stats import t

        return np.asarray(t.logsf(apart, _FREEDOM))
    return np.asarray(-(_FREEDOM + 1) / 2 * np.log1p(apart**2 / _FREEDOM) - np.log(error))
