"""By how much does a figure differ between two sets of runs, and may that be chance?

One run on each side: its parts are the units (`readings`). Part j of one run is set beside part j
of the other, so that what both runs share (a filling queue, the same arrivals) cancels. Parts that
lean on their neighbours tell less than their number, and the variance is raised by what they do.
Such an interval covers how a figure varies within a run, and not what differs from run to run.

Several runs on a side: a run is the unit. Welch's t-test; one run beside several is held against
the spread of the several.

Changes are ratios where both sides are above zero (the test is on logarithms), else differences.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from harness.study.effects.readings import PARTS, Floats, Reading, leaning, raised

CONFIDENCE = 0.95
POWER = 0.8
_ASSURED = 0.9  # with which the spread is not larger than a size was made for
_LEANING = 0.2  # of parts on their neighbours: then they are made longer
_MOST_LEANING = 0.6  # beyond that they say nothing


class Effect(NamedTuple):
    """A change from `before` to `after`, both in the figure's unit: means over the runs of a side.

    `change`, `error` and all that is made of them are logarithms of the ratio if `is_ratio`, else
    differences. `error` is None where nothing tells how far chance goes; `fewest` samples would.
    """

    before: float
    after: float
    is_ratio: bool
    change: float
    error: float | None
    freedom: float  # degrees of it
    unit: str  # samples or runs: what there would have to be more of
    size: int  # how many of these a side had, at least
    fewest: int = 0
    has_parts: bool = True

    @property
    def why(self) -> str:
        """Say why nothing tells how far chance goes; empty if something does."""
        if self.error is not None:
            return ""
        if self.fewest > self.size:
            return (
                f"too few samples ({self.size:,}) to tell; about {rounded(self.fewest):,} would do"
            )
        if self.unit == "samples" and self.fewest == 0 and not self.has_parts:
            return "one number a run; repeats would tell how far chance moves it"
        return "the run drifts: its parts lean on one another; longer runs or repeats would tell"

    def ends(self, confidence: float = CONFIDENCE) -> tuple[float, float] | None:
        """Return both ends of the interval of the change."""
        if self.error is None:
            return None
        reach = self.error * _t((1 + confidence) / 2, self.freedom)
        return self.change - reach, self.change + reach

    def p_beyond(self, limit: float, above: bool) -> float:
        """Return how often chance alone shows such a change or more, if the truth is the limit
        (one side).
        """
        distance = self.change - limit if above else limit - self.change
        if self.error is None:
            return 1.0
        if self.error == 0:
            return 1.0 if distance <= 0 else 0.0
        return _tail(distance / self.error, self.freedom)

    @property
    def p(self) -> float:
        """Return how often chance alone shows a change as large (both sides)."""
        return min(1.0, 2 * min(self.p_beyond(0.0, True), self.p_beyond(0.0, False)))

    def smallest(self, significance: float = 1 - CONFIDENCE) -> float | None:
        """Return the smallest change that as many samples or runs show in 80 % of all cases."""
        if self.error is None:
            return None
        return self.error * _reach(significance, self.freedom)

    def needed(self, change: float, significance: float = 1 - CONFIDENCE) -> int | None:
        """Return how many samples or runs a side show such a change in 80 % of all cases; the
        spread is known from few parts, so that it is taken larger than it was seen.
        """
        if self.error is None or not change:
            return None
        wide = self.error * math.sqrt(self.freedom / _chi2(1 - _ASSURED, self.freedom))
        size = self.size
        for _ in range(50):  # more runs have more degrees of freedom, so that fewer do
            freedom = self.freedom if self.unit == "samples" else max(1.0, 2.0 * (size - 1))
            reach = _reach(significance, freedom)
            again = max(2, math.ceil(self.size * (wide * reach / abs(change)) ** 2))
            if again == size or self.unit == "samples":
                return again
            size = again if again > size else (again + size) // 2
        return size


def effect(before: Sequence[Reading], after: Sequence[Reading], as_ratio: bool = True) -> Effect:
    """Return the change of a figure from the runs of one side to those of the other; a ratio if
    that is wanted and possible.
    """
    values = [np.array([reading.value for reading in side]) for side in (before, after)]
    is_ratio = as_ratio and bool(min(side.min() for side in values) > 0)
    if is_ratio:
        values = [np.log(side) for side in values]
    first, second = values
    change = float(second.mean() - first.mean())
    mean_before, mean_after = (
        math.exp(side.mean()) if is_ratio else float(side.mean()) for side in values
    )
    if len(first) == len(second) == 1:
        error, freedom = _within(before[0], after[0], is_ratio)
        size = min(before[0].samples, after[0].samples)
        fewest = max(before[0].fewest, after[0].fewest)
        has_parts = bool(len(before[0].parts) and len(after[0].parts))
        return Effect(
            mean_before,
            mean_after,
            is_ratio,
            change,
            error,
            freedom,
            "samples",
            size,
            fewest,
            has_parts,
        )
    error, freedom = _between(first, second)
    size = min(len(first), len(second))
    return Effect(mean_before, mean_after, is_ratio, change, error, freedom, "runs", size)


def rounded(count: int) -> int:
    """Round up to two digits: more are not known of how many would do."""
    unit = 10 ** max(0, len(str(count)) - 2)
    return int(-(-count // unit) * unit)


# ---- the error of a change


def _within(before: Reading, after: Reading, is_ratio: bool) -> tuple[float | None, float]:
    """Return the standard error of a change between two runs, and its degrees of freedom."""
    b = min(len(before.parts), len(after.parts))
    if not b:
        return None, 0.0
    sides = [_merged(reading.parts, b) for reading in (before, after)]
    if is_ratio:
        sides = [parts / r.value for parts, r in zip(sides, (before, after), strict=True)]
    apart = sides[1] - sides[0]
    if leaning(apart) > _MOST_LEANING:
        return None, 0.0
    variances = [_variance(apart)]
    while leaning(apart) > _LEANING and len(apart) > PARTS[-1]:
        apart = _merged(apart, len(apart) // 2)
        variances.append(_variance(apart))
    return math.sqrt(max(variances)), len(apart) - 1.0


def _variance(apart: Floats) -> float:
    """Return the variance of the sum of parts, (b,)."""
    b = len(apart)
    return float(np.sum(apart**2)) * b / (b - 1) * raised(apart)


def _merged(parts: Floats, b: int) -> Floats:
    """Return fewer, longer parts."""
    return np.asarray(parts.reshape(b, -1).sum(axis=1))


def _between(before: Floats, after: Floats) -> tuple[float | None, float]:
    """Return the same between several runs, each with a value."""
    sizes = [len(before), len(after)]
    if 1 in sizes:
        several = before if sizes[1] == 1 else after
        variance = float(several.var(ddof=1)) * (1 + 1 / len(several))
        return math.sqrt(variance), len(several) - 1.0
    shares = [float(side.var(ddof=1)) / len(side) for side in (before, after)]
    total = sum(shares)
    if total == 0:
        return 0.0, sum(sizes) - 2.0
    parts = [share**2 / (size - 1) for share, size in zip(shares, sizes, strict=True)]
    return math.sqrt(total), total**2 / sum(parts)


def _t(share: float, freedom: float) -> float:
    from scipy.special import stdtrit

    return float(stdtrit(freedom, share))


def _tail(t: float, freedom: float) -> float:
    from scipy.special import stdtr

    return float(stdtr(freedom, -t))


def _reach(significance: float, freedom: float) -> float:
    return _t(1 - significance / 2, freedom) + _t(POWER, freedom)


def _chi2(share: float, freedom: float) -> float:
    """Return the value below which this share of chi-squared lies."""
    from scipy.special import chdtri

    return float(chdtri(freedom, 1 - share))
