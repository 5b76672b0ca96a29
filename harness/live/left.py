"""How long will the rest of a study take? Durations of the cells that have ended in, an expectation
with its spread out.

The cells that are left are taken for draws from the same distribution as those that have ended.
With k of these, of mean m and deviation s, the sum of n more is about n m, and 9 of 10 such sums
are within

    n m ± t s sqrt(n + n² / k)        t: the 95th percentile of Student's t with k - 1 degrees

(the prediction interval of a sum: its own chance, and what k cells leave open of the mean). One
cell tells nothing of the spread; a half and a double are said then.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt

import numpy as np

from harness.kernel.process.board import Left

_SHARE = 0.95


def time_left(
    durations_s: Sequence[float], waiting: int, running_for_s: Sequence[float] = ()
) -> Left | None:
    """Return the seconds that `waiting` cells and those that are running will take; None before
    the first cell has ended.

    As many cells as are running now are taken to run side by side until the end.
    """
    if not durations_s or not waiting + len(running_for_s):
        return None
    mean = float(np.mean(durations_s))
    begun = sum(max(mean - passed, 0.0) for passed in running_for_s)
    count, beside = waiting + len(running_for_s), max(len(running_for_s), 1)
    expected = (waiting * mean + begun) / beside
    if len(durations_s) < 2:
        return Left(expected, expected / 2, 2 * expected)
    known = len(durations_s)
    deviation = float(np.std(durations_s, ddof=1))
    spread = _student(known - 1) * deviation * sqrt(count + count**2 / known) / beside
    return Left(expected, max(expected - spread, 0.0), expected + spread)


def _student(degrees: int) -> float:
    from scipy.special import stdtrit

    return float(stdtrit(degrees, _SHARE))
