"""How often is a limit broken at this rate, even if it hardly ever was in the run?

The tail of a waiting time is exponential. So where few queries broke the limit, the share is read
off an exponential from a lower threshold on, which more of them passed. What counts is its
logarithm: it falls in a line with the rate.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from scenarios.peak.evidence import design_effect

_START = 0.1  # of a run: the queue was empty when it began
_LOWEST = -60.0
_FEWEST = 40
_MOST_SKEW = 1.0


class Tail(NamedTuple):
    """The share of queries over a limit at a rate: its logarithm and the standard error of that.

    `at_least`: the run was ended because it could only fail, or failed for another reason; the
    share is this or more.
    """

    qps: float
    log_share: float
    error: float
    at_least: bool = False


def tail(qps: float, values: NDArray[Any], limit: float, p: float) -> Tail | None:
    """Return what a run tells of the share over a limit. `values`: (n,) in the order in which they
    were due, infinite where there was no answer. None if there are too few.
    """
    values = values[int(_START * len(values)) :]
    n = len(values)
    if n < _FEWEST:
        return None
    threshold_share = min(5 * (1 - p), 0.5)
    over = values > limit
    hits = int(over.sum())
    if hits >= threshold_share * n:
        return Tail(qps, math.log(hits / n), math.sqrt(design_effect(over) / hits))
    k = max(int(threshold_share * n), 1)
    threshold = float(np.partition(values, n - k - 1)[n - k - 1])
    above = values > threshold
    excess = values[above] - threshold
    excess = excess[np.isfinite(excess)]
    mean = float(excess.mean()) if len(excess) else 0.0
    if mean <= 0:
        return Tail(qps, _LOWEST, -_LOWEST / 4)
    means_away = (limit - threshold) / mean
    log_share = math.log(above.sum() / n) - means_away
    error = math.sqrt(design_effect(above) / len(excess) * (1 + means_away**2))
    # the mean of a logarithm is lower than the logarithm of the mean
    return Tail(qps, max(log_share + min(error**2 / 2, _MOST_SKEW), _LOWEST), error)
