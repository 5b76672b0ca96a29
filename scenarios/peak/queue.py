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

_PER_BATCH = 100  # departures, so that neighbouring batches tell little of one another
_FEWEST = 400  # departures
_FEWEST_BATCHES = 10
_ALWAYS = 0.95  # of the queries: so many wait while the system is overloaded
_MODEL_ERROR = 0.15  # of the room between the rate that holds and C


class Saturation(NamedTuple):
    """How fast an overloaded system served: per second, with the standard error and the index of
    dispersion of its departures.
    """

    qps: float
    error: float
    dispersion: float
    batches: int  # that these were told from


class Guess(NamedTuple):
    """A rate that the model holds for the peak, and the standard error of its logarithm."""

    qps: float
    error: float


def saturation(due_ns: Int64s, left_ns: Int64s, limit_ns: int) -> Saturation | None:
    """Return how fast queries left while others waited: from when one had waited for half the
    limit, to the last arrival. None where too few did, or where the queue shrank again.

    `due_ns`: (n,) in order; `left_ns`: (n,) when each got its first token or its answer.
    """
    waited = left_ns - due_ns > limit_ns / 2
    if not waited.any():
        return None
    first = int(np.argmax(waited))
    if waited[first:].mean() < _ALWAYS:
        return None
    begin, end = int(left_ns[first]), int(due_ns[-1])
    left = np.sort(left_ns[(left_ns >= begin) & (left_ns <= end)])
    if len(left) < _FEWEST:
        return None
    batches = max(len(left) // _PER_BATCH, _FEWEST_BATCHES)
    span_s = float(left[-1] - left[0]) / 1e9 / batches
    edges = np.linspace(left[0], left[-1], batches + 1)
    counts = np.histogram(left, edges)[0]
    mean, variance = float(counts.mean()), float(counts.var(ddof=1))
    error = math.sqrt(variance / batches) / span_s
    return Saturation(mean / span_s, error, variance / mean, batches)


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
    of_variance = math.sqrt(2 / found.batches) * found.dispersion / (1 + found.dispersion)
    room = (c - qps) / qps
    return Guess(qps, math.hypot(found.error / c, _MODEL_ERROR * room, of_variance * room))
