"""What does one run say of a figure, and how far did each part of the run move it?

Samples lean on one another: a queue that is long now is long a moment later. So a run is cut into
up to 32 parts, one after the other, and a part is the unit (batch means; Law and Kelton, Simulation
Modeling and Analysis, chapter 9). To first order every figure is a mean over the parts:

    mean        a part adds  sum over its samples of (x - mean) / n
    percentile  a part adds  sum over its samples of (F(q) - [x < q]) / (n f(q)), where those equal
                to q count half (the share F(q) as much as each sample); the density f is the
                slope of the order statistics around q, as far apart as Hall and Sheather say
                ("On the distribution of a Studentized quantile", JRSS B 50, 1988)
    rate        the parts are equally many tokens or samples; a part adds its time above the mean

Data in, data out: a RunLog comes in, numbers go out.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from harness.kernel.log import RunLog
from harness.kernel.types import Int64s
from harness.study.effects.figures import Figure

PARTS = (32, 16, 8)
_OF_A_PART = 4  # samples: the least of one
_MOST_LEANING = 0.9
_IN_TAIL = 10  # independent samples beyond a percentile, at least
_Z = 1.959963984540054  # of a 95 % interval

Floats = NDArray[np.float64]
_NO_PARTS: Floats = np.empty(0)


class Reading(NamedTuple):
    """A figure of one run. `parts` (b,) are what each part of the run added to it by chance, in the
    figure's unit; they sum to about 0. None of them where the run is too short to tell; `fewest` is
    then how many samples would do.
    """

    value: float
    parts: Floats = _NO_PARTS
    samples: int = 0
    fewest: int = 0


def readings(
    log: RunLog, figures: Iterable[Figure], token_ns: Int64s | None = None
) -> dict[str, Reading]:
    """Return a reading of each figure that this log has, by name; `token_ns` is the log's, where
    somebody has put it in order already.
    """
    token_ns = log.token_ns if token_ns is None else token_ns
    found: dict[str, Reading] = {}
    times: dict[str, _Times] = {}
    for figure in figures:
        if figure.what:
            if figure.what not in times:
                times[figure.what] = _times(log, figure.what)
            reading = _of_latency(times[figure.what], figure.p)
        else:
            done_ns = np.sort(log.done_ns[log.completed])
            reading = _of_rate(token_ns if figure.name == "tokens_per_s" else done_ns, len(log))
        if reading is not None:
            found[figure.name] = reading
    return found


# ---- latencies


class _Times(NamedTuple):
    """A latency of the samples that have it, (n,) in the order of issue; `place` says where in the
    run each stood, 0 to 1.
    """

    ms: Floats
    place: Floats
    ordered_ms: Floats
    at_once: bool


def _times(log: RunLog, what: str) -> _Times:
    if what == "tpot":
        has, ns = log.has_tpot, log.tpot_ns
    elif what == "ttft":
        has = log.completed & (log.first_ns >= 0)
        ns = log.ttft_ns[has]
    else:
        has, ns = log.completed, log.latency_ns[log.completed]
    ms = ns / 1e6
    at_once = what != "tpot" and int(log.due_ns.min(initial=0)) == int(log.due_ns.max(initial=0))
    return _Times(ms, np.flatnonzero(has) / max(1, len(log)), np.sort(ms), at_once)


def _of_latency(times: _Times, p: float | None) -> Reading | None:
    n = len(times.ms)
    if not n:
        return None
    if p is None:
        mean = float(times.ms.mean())
        return Reading(mean, _summed(times, (times.ms - mean) / n), n, _fewest_parts(n))
    value = float(times.ordered_ms[int(n * p)])
    below = (times.ms < value) + (times.ms == value) / 2  # half of those that are equal
    parts = _summed(times, (below.mean() - below) / n)
    error = math.sqrt(raised(parts) * float(np.sum(parts**2))) if len(parts) else 0.0
    alone = n / max(1.0, error**2 * n / (p * (1 - p)))  # independent samples that tell as much
    if not len(parts) or not _has_slope(alone, p):
        fewest = max(_fewest_parts(n), math.ceil(_fewest_for(p) * n / alone))
        return Reading(value, samples=n, fewest=fewest)
    slope = _slope(times.ordered_ms, p, _bandwidth(alone, p))
    return Reading(value, max(slope, _jump(times.ordered_ms, p, error)) * parts, n)


def _fewest_parts(n: int) -> int:
    """Return how many samples the parts need; 0 if there are enough."""
    fewest = PARTS[-1] * _OF_A_PART
    return fewest if n < fewest else 0


def _summed(times: _Times, added: Floats) -> Floats:
    """Return what each part added, (b,), from what each sample did; none of too few samples, and of
    samples that were all due at once: each waits for those before it, and no part is like another.
    """
    n = len(times.ms)
    b = next((b for b in PARTS if n >= b * _OF_A_PART), 0)
    if not b or times.at_once:
        return _NO_PARTS
    summed = np.bincount((times.place * b).astype(np.int64), weights=added, minlength=b)
    return np.asarray(summed, np.float64)


def raised(parts: Floats) -> float:
    """Return by what parts that lean on their neighbours raise the variance of their mean: that of
    a first-order autoregression.
    """
    lean = leaning(parts)
    return (1 + lean) / (1 - lean)


def leaning(parts: Floats) -> float:
    """Return how much parts lean on their neighbours: their correlation, 0 to 0.9."""
    total = float(np.sum(parts**2))
    if total == 0:
        return 0.0
    b, found = len(parts), float(np.sum(parts[1:] * parts[:-1])) / total
    found = (b * found + 1) / (b - 4)  # few parts show too little of it (Kendall 1954)
    return min(max(found, 0.0), _MOST_LEANING)


def _bandwidth(n: float, p: float) -> float:
    """Return how far from p the order statistics are that tell the density there."""
    from scipy.special import ndtri

    z = float(ndtri(p))
    density = math.exp(-z * z / 2) / math.sqrt(2 * math.pi)
    wide = (1.5 * density**2 / (2 * z * z + 1)) ** (1 / 3)
    return float(n ** (-1 / 3) * _Z ** (2 / 3) * wide)


def _has_slope(n: float, p: float) -> bool:
    h = _bandwidth(n, p)
    return h < p and n * (1 - p - h) > 1 and n * min(p, 1 - p) >= _IN_TAIL


def _fewest_for(p: float) -> int:
    """Return how many independent samples have order statistics on both sides of p."""
    low, high = 1, 2
    while not _has_slope(high, p):
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if _has_slope(middle, p) else (middle, high)
    return high


def _slope(ordered: Floats, p: float, h: float) -> float:
    """Return how much the order statistics (n,) rise around p per unit of p. Where many values are
    equal, it reaches to the next other ones on both sides: the figure could have been those.
    """
    n = len(ordered)
    low, high = int(n * (p - h)), min(n - 1, int(n * (p + h)))
    if ordered[low] == ordered[high]:
        low = max(0, int(np.searchsorted(ordered, ordered[low], "left")) - 1)
        high = min(n - 1, int(np.searchsorted(ordered, ordered[high], "right")))
        at = min(max(int(n * p), low + 1), high)  # the nearer of both decides
        near = max(1, min(at - low, high - at) if low < at < high else high - low)
        return float(ordered[high] - ordered[low]) * n / near
    return float(ordered[high] - ordered[low]) * n / (high - low)


def _jump(ordered: Floats, p: float, error: float) -> float:
    """Return the slope that a jump of the order statistics (n,) near p stands for; 0 without one.

    Where most of what chance can reach is one step, as between two turns of a batch, the figure is
    on one side of it or the other, and no slope describes that: half the step is its error.
    """
    if not error:
        return 0.0
    n, reach = len(ordered), 3 * error
    low, high = max(0, int(n * (p - reach))), min(n - 1, int(n * (p + reach)) + 1)
    steps = np.diff(ordered[low : high + 1])
    if not len(steps) or steps.max() <= steps.sum() / 2:
        return 0.0
    return float(steps.max()) / 2 / error


# ---- rates


def _of_rate(moments_ns: Int64s, samples: int) -> Reading | None:
    """Return the reading of a rate of `moments_ns`, (n,) in order."""
    n = len(moments_ns)
    last_s = float(moments_ns[-1]) / 1e9 if n else 0.0
    if not last_s:
        return None
    rate = n / last_s
    b = next((b for b in PARTS if n >= b * _OF_A_PART), 0)
    if not b:
        return Reading(rate, samples=samples, fewest=PARTS[-1] * _OF_A_PART)
    last = np.linspace(0, n, b + 1).round().astype(int)[1:] - 1
    seconds = np.diff(moments_ns[last] / 1e9, prepend=0.0)
    return Reading(rate, rate * (1 / b - seconds / last_s), samples)
