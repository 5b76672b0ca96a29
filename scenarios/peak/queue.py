"""What rate would a queue hold? Asked of a run in which it was overloaded.

While more arrives than is served, the system is never idle, and its first tokens (or answers) leave
it as fast as it can: at C per second, with a variance of I per count (index of dispersion). What
waits is then a Brownian motion with drift r - C and variance r + C I per second, where r arrive as
Poisson has it. Below C it has a stationary distribution, and a query waits longer than x with the
probability exp(-2 (C - r) C x / (r + C I)) (heavy traffic: Kingman 1961; Whitt, "Stochastic-Process
Limits", 2002, 5.7). The rate at which a share 1 - p waits longer than x is therefore

    r = C (2 C x - g I) / (2 C x + g),  g = ln(1 / (1 - p))

It is a guess that says where to look, of a few thousand queries. That a rate holds is shown by a
run of its own.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from harness.kernel.types import Int64s

BATCHES = 20
_FEWEST = 10 * BATCHES  # departures
_MODEL_ERROR = 0.25  # of the room between the rate that holds and C


class Saturation(NamedTuple):
    """How fast an overloaded system served: per second, with the standard error and the index of
    dispersion of its departures.
    """

    qps: float
    error: float
    dispersion: float


class Guess(NamedTuple):
    """A rate that the model holds for the peak, and the standard error of its logarithm."""

    qps: float
    error: float


def saturation(due_ns: Int64s, left_ns: Int64s, limit_ns: int) -> Saturation | None:
    """Return how fast queries left while others waited: from when one had waited for half the
    limit, to the last arrival. None where too few did.

    `due_ns`: (n,) in order; `left_ns`: (n,) when each got its first token or its answer.
    """
    waited = np.flatnonzero(left_ns - due_ns > limit_ns / 2)
    if not len(waited):
        return None
    begin, end = int(left_ns[waited[0]]), int(due_ns[-1])
    left = np.sort(left_ns[(left_ns >= begin) & (left_ns <= end)])
    if len(left) < _FEWEST:
        return None
    span_s = float(left[-1] - left[0]) / 1e9 / BATCHES
    edges = np.linspace(left[0], left[-1], BATCHES + 1)
    counts = np.histogram(left, edges)[0]
    mean, variance = float(counts.mean()), float(counts.var(ddof=1))
    error = math.sqrt(variance / BATCHES) / span_s
    return Saturation(mean / span_s, error, variance / mean)


def guess(found: Saturation, p: float, limit_s: float, base_s: float) -> Guess | None:
    """Return the rate at which a share p waits no longer than a limit, of which `base_s` pass
    without any queue. None where the limit leaves no time to wait.
    """
    room_s, g, c = limit_s - base_s, math.log(1 / (1 - p)), found.qps
    if room_s <= 0 or c <= 0:
        return None
    size = 2 * c * room_s
    qps = c * (size - g * found.dispersion) / (size + g)
    if qps <= 0:
        return None
    of_model = _MODEL_ERROR * (c - qps) / qps
    return Guess(qps, math.hypot(found.error / c, of_model))
