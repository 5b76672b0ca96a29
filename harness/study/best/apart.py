"""Is one candidate better than another by a figure, or can nobody tell?

The interval of a difference comes from the two intervals (MOVER, Zou and Donner 2008, "Construction
of confidence limits about effect measures"): with a = 10 (9 to 12) and b = 7 (6 to 8)

    a - b = 3,  from 3 - sqrt((10 - 9)^2 + (8 - 7)^2)  to 3 + sqrt((12 - 10)^2 + (7 - 6)^2)

It holds for measurements that lean on nothing common; those of the same answers lean on one another
and `accuracy.ranking` tells them apart better: its word is taken where the intervals alone decide
nothing (`Beside`). A figure without an interval decides nothing, unless it is counted.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Literal

from accuracy.resampling import NOTHING, Estimate
from harness.kernel.words.judged import Judged
from harness.study.best.candidates import Candidate

Call = Literal["better", "worse", "tie", "same", "open"]
# By figure: how one label stands to another, as a difference (one less the other) or None.
Beside = Mapping[str, Callable[[str, str], Estimate | None]]
NO_PAIRS: Beside = {}


def call(figure: Judged, one: Candidate, other: Candidate, beside: Beside = NO_PAIRS) -> Call:
    """Say how `one` stands to `other`: open where a figure or its interval is not known."""
    ours, theirs = one.figures.get(figure.name), other.figures.get(figure.name)
    if ours is None or theirs is None:
        return "open"
    if ours.value == theirs.value:
        return "same"
    alone = decided(figure, difference(ours, theirs))
    paired = beside.get(figure.name)
    if paired is None or alone in ("better", "worse"):
        return alone
    between = paired(one.label, other.label)
    return alone if between is None else decided(figure, between)


def decided(figure: Judged, between: Estimate) -> Call:
    """Say what the interval of a difference decides."""
    if between.low is None or between.high is None:
        return "open"
    if not between.excludes_zero:
        return "tie"
    return "better" if (between.low > 0) == (figure.better == "higher") else "worse"


def difference(one: Estimate, other: Estimate) -> Estimate:
    """Return one less the other, of measurements that lean on nothing common."""
    if one.value is None or other.value is None:
        return NOTHING
    value = one.value - other.value
    if one.low is None or one.high is None or other.low is None or other.high is None:
        return Estimate(value)
    below = math.hypot(one.value - one.low, other.high - other.value)
    above = math.hypot(one.high - one.value, other.value - other.low)
    return Estimate(value, value - below, value + above)


def is_better(figure: Judged, value: float, than: float) -> bool:
    """Compare two values by themselves."""
    return value > than if figure.better == "higher" else value < than
