"""Are the first tokens of one kind, or of two? Where some requests wait for a batch and others do
not, or some prompts were cached, the median is a time that hardly any request had.

Test: a histogram of BINS equal bins is set beside the best one with a single peak (isotonic up to
the peak, antitonic after it: the likelihood ratio of the two). LIMIT is exceeded by one in a
thousand flat histograms (20,000 were drawn), and flat is the worst of all shapes with one peak.
Then the two groups (Otsu's threshold) must each have LEAST_SHARE of the samples and be LEAST_APART
times apart.
Samples lean on one another, so that only one of as many as tell the same is taken.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from accuracy.percentiles import inflation
from accuracy.resampling import Floats
from harness.kernel.words.figure import number
from harness.result.doubts.doubt import Doubt, Known
from harness.result.doubts.samples import in_order

BINS, LIMIT = 20, 36.0
LEAST_SHARE, LEAST_APART = 0.05, 1.5
_FEWEST = 100  # samples
_ENDS = (0.005, 0.995)  # what lies beyond is no group


def two_kinds(known: Known) -> Iterator[Doubt]:
    """Yield a doubt where TTFT has two peaks; all at once, some wait for others by intention."""
    values = in_order(known.log).get("ttft")
    if known.is_at_once or values is None or len(values) < _FEWEST:
        return
    values_ms = values / 1e6
    low, high = groups(values_ms)
    share = len(low) / len(values_ms)
    if min(share, 1 - share) < LEAST_SHARE or np.median(high) < LEAST_APART * np.median(low):
        return
    alone = values_ms[:: math.ceil(inflation(values_ms > np.median(values_ms)))]
    if len(alone) < _FEWEST or ratio_of_one_peak(alone) <= LIMIT:
        return
    middles = float(np.median(low)), float(np.median(high))
    words = (
        f"TTFT is of two kinds: {100 * share:.0f} % of the samples took about"
        f" {number(middles[0])} ms, the others about {number(middles[1])} ms"
    )
    yield Doubt(
        name="two_kinds",
        severity="minor",
        words=words,
        remedy="see the plot over the run: is it cached prompts, a full batch, or two lengths of"
        " prompts? Measure each by itself",
        about=("ttft_p50_ms", "ttft_p90_ms"),
        figures={
            "low_share_percent": 100 * share,
            "low_median_ms": middles[0],
            "high_median_ms": middles[1],
        },
    )


def ratio_of_one_peak(values: Floats) -> float:
    """Return twice the logarithm of the likelihood of (n,) values' histogram over that of the best
    one with a single peak; 0 where it has one.
    """
    low, high = np.quantile(values, _ENDS)
    if high <= low:
        return 0.0
    inside = values[(values >= low) & (values <= high)]
    counts = np.histogram(inside, BINS, (low, high))[0].astype(np.float64)
    return 2 * (_likelihood(counts, counts) - _of_one_peak(counts))


def _of_one_peak(counts: Floats) -> float:
    """Return the likelihood of the best histogram that rises to a peak and falls from there."""
    from scipy.optimize import isotonic_regression

    best = -math.inf
    for peak in range(len(counts)):
        left = isotonic_regression(counts[: peak + 1]).x
        right = isotonic_regression(counts[peak:], increasing=False).x
        shape = np.concatenate((left[:-1], [max(left[-1], right[0])], right[1:]))
        shape *= counts.sum() / shape.sum()
        best = max(best, _likelihood(counts, shape))
    return best


def _likelihood(counts: Floats, shape: Floats) -> float:
    """Return the logarithm of the likelihood, but for what is the same of every shape."""
    seen = counts > 0
    return float((counts[seen] * np.log(shape[seen])).sum())


def groups(values: Floats) -> tuple[Floats, Floats]:
    """Cut values (n,) in two where the groups vary least within themselves (Otsu 1979)."""
    ordered = np.sort(values)
    n, sums = len(ordered), np.cumsum(ordered)
    sizes = np.arange(1, n)
    means = sums[:-1] / sizes, (sums[-1] - sums[:-1]) / (n - sizes)
    at = int(np.argmax(sizes * (n - sizes) * (means[1] - means[0]) ** 2)) + 1
    return ordered[:at], ordered[at:]
