"""Was the second half of the run like the first? Where the system heats up, a cache fills or a
queue grows, one figure for the whole run is the figure of neither half.

The halves are cut into ten stretches each, and their means, of the values and of the logarithms,
are set beside one another (t-tests). How much a stretch varies by itself, and how much it leans on
its neighbour, is seen in what a step between the halves or a straight line leaves over, whichever
fits better.
There is a doubt where chance alone would do that once in a thousand runs, and the halves are more
than LEAST apart. Of a run whose samples are all issued at once, the pace of the tokens is taken in
place of latencies, without its first and last twentieths, in which batches fill up and run dry.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from accuracy.ranking import pace_of
from accuracy.resampling import Floats
from harness.kernel.words.figure import number
from harness.result.doubts.doubt import Doubt, Known
from harness.result.doubts.samples import in_order

LEAST, MOST_CHANCE = 0.05, 0.001
_STRETCHES = 20
_FEWEST = 5 * _STRETCHES  # samples
_CHANGING = ("ramp", "step", "trace", "conversations")  # loads that are not one load throughout
_LABELS = {"ttft": "TTFT", "tpot": "TPOT", "latency": "latency"}


def drift(known: Known) -> Iterator[Doubt]:
    """Yield a doubt for the figure that drifted most."""
    if known.settings.load.partition(":")[0] in _CHANGING:
        return
    changes = [(name, found) for name, of in _series(known).items() if (found := change(of))]
    if not changes:
        return
    name, ratio = max(changes, key=lambda pair: abs(math.log(pair[1])))
    is_rate = name == "tokens/s"
    words = f"{name} was {100 * abs(ratio - 1):.3g} % {'higher' if ratio > 1 else 'lower'} in the"
    about = ("tokens_per_s",) if is_rate else tuple(
        f"{key}_{percentile}_ms" for key in _LABELS if _LABELS[key] == name
        for percentile in ("p50", "p90", "p99")
    )  # fmt: skip
    yield Doubt(
        name="drift",
        severity="serious" if abs(ratio - 1) > 0.2 else "minor",
        words=f"{words} second half of the run than in the first (x {number(ratio)})",
        remedy="run longer, after a warm-up; if latencies rise, lower the rate: the queue grows",
        about=about,
        figures={"second_half_ratio": ratio},
    )


def _series(known: Known) -> dict[str, Floats]:
    """Return positive values in the order of time, by what people call them."""
    log = known.log
    if known.is_at_once:
        pace = pace_of(np.sort(log.done_ns[log.completed]))
        inner = pace.seconds[1:-1]
        return {"tokens/s": 1 / inner} if len(inner) and inner.min() > 0 else {}
    return {
        _LABELS[name]: values.astype(np.float64)
        for name, values in in_order(log).items()
        if len(values) >= _FEWEST and values.min() > 0
    }


def change(values: Floats) -> float | None:
    """Return the second half's (geometric) mean over the first's; None if they do not differ."""
    parts = np.array_split(values, min(_STRETCHES, len(values)))
    logs = np.array([np.log(part).mean() for part in parts])
    plain = np.array([part.mean() for part in parts])
    middle = len(parts) // 2
    ratio = math.exp(float(logs[middle:].mean() - logs[:middle].mean()))
    chance = min(_chance(means[:middle], means[middle:]) for means in (logs, plain))
    return ratio if abs(ratio - 1) > LEAST and chance < MOST_CHANCE else None


def _chance(first: Floats, second: Floats) -> float:
    """Return the p-value of equal means, with as many stretches as lean on no other."""
    from scipy.special import stdtr

    left = _left_over(first, second)
    alone = max(1 - _leaning(left), 0.1) * len(left)
    freedom = max(alone - 2, 1.0)
    variance = float((left**2).sum()) / (len(left) - 2)
    if not variance:
        return 0.0
    t = abs(float(second.mean() - first.mean())) / math.sqrt(4 * variance / alone)
    return float(2 * stdtr(freedom, -t))


def _left_over(first: Floats, second: Floats) -> Floats:
    """Return what a step or a line, whichever fits better, leaves of both halves (stretches,)."""
    whole = np.concatenate((first, second))
    step = np.concatenate([side - side.mean() for side in (first, second)])
    at = np.arange(len(whole))
    line = whole - np.polyval(np.polyfit(at, whole, 1), at)
    return min((step, line), key=lambda left: float((left**2).sum()))


def _leaning(left: Floats) -> float:
    """Return by how much n is to be cut: 2r / (1 + r) for neighbours that are correlated by r."""
    total = float((left**2).sum())
    r = float((left[1:] * left[:-1]).sum()) / total if total else 0.0
    r = min(max(r + 1 / len(left), 0.0), 0.9)  # a correlation of few is estimated too low
    return 2 * r / (1 + r)
