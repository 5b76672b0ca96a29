"""How do texts differ for one model? The figures of each text and of each category, their spread,
and what length does.

Of texts that are taken together (a category, a third by length) every token weighs the same, as in
the corpus; in the spread, the extremes and the trend every text does.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from accuracy.likelihood.figures import Figures, TextScores, corpus
from accuracy.resampling import (
    LARGEST_EXPONENT,
    NOTHING,
    Estimate,
    Floats,
    divided,
    exp,
    interval,
    resampled,
)


def per_text(texts: Sequence[TextScores]) -> list[Figures]:
    """Return the figures of each text, in their order, without intervals."""
    return [corpus([text]) for text in texts]


def by_category(texts: Sequence[TextScores]) -> dict[str, Figures]:
    """Return figures by category, in the order in which categories come up. Intervals draw
    among the category's own texts.
    """
    return {
        category: corpus([texts[i] for i in rows]) for category, rows in _categories(texts).items()
    }


def _categories(texts: Sequence[TextScores]) -> dict[str, list[int]]:
    rows: dict[str, list[int]] = {}
    for i, text in enumerate(texts):
        rows.setdefault(text.category, []).append(i)
    return rows


def extremes(texts: Sequence[TextScores], count: int) -> tuple[list[str], list[str]]:
    """Return the ids of the texts with the lowest and with the highest perplexity, the most extreme
    first.
    """
    scored = [text for text in texts if len(text)]
    ids = [scored[i].text_id for i in np.argsort(_losses(scored), kind="stable")]
    return ids[:count], ids[::-1][:count]


def _losses(texts: Sequence[TextScores]) -> Floats:
    return np.array([text.nll_nats.mean(dtype=np.float64) for text in texts], np.float64)


# ---- spread


@dataclass(frozen=True, slots=True)
class Spread:
    """Of the perplexities of single texts, each weighing the same.

    Quantiles are taken of the losses: between two texts lies their geometric mean. `mean` is
    infinite if one text's perplexity is beyond 1e154.
    """

    texts: int
    mean: Estimate
    geometric_mean: Estimate
    median: float | None
    deviation: float | None  # standard deviation, of a sample
    quartiles: tuple[float | None, float | None]
    lowest: float | None
    highest: float | None
    loss_deviation_nats: float | None
    between_categories: float | None  # share of the losses' variance that goes with the category


def spread(texts: Sequence[TextScores]) -> Spread:
    scored = [text for text in texts if len(text)]
    n = len(scored)
    if not n:
        return Spread(0, NOTHING, NOTHING, None, None, (None, None), None, None, None, None)
    losses = _losses(scored)
    finite = bool(losses.max() < LARGEST_EXPONENT / 2)  # their squares too
    perplexities = np.exp(losses) if finite else np.full(n, np.inf)
    draws = resampled(np.stack([losses, perplexities if finite else losses], axis=1)) / n
    log_mean = interval(float(losses.mean()), draws[:, 0], n)
    mean = interval(float(perplexities.mean()), draws[:, 1], n) if finite else Estimate(math.inf)
    lowest, first, middle, third, highest = (
        exp(float(end)) for end in np.quantile(losses, [0, 0.25, 0.5, 0.75, 1])
    )
    return Spread(
        texts=n,
        mean=mean,
        geometric_mean=log_mean.map(exp),
        median=middle,
        deviation=float(perplexities.std(ddof=1)) if n > 1 and finite else None,
        quartiles=(first, third),
        lowest=lowest,
        highest=highest,
        loss_deviation_nats=float(losses.std(ddof=1)) if n > 1 else None,
        between_categories=_between(losses, list(_categories(scored).values())),
    )


def _between(losses: Floats, groups: Sequence[Sequence[int]]) -> float | None:
    all_squares = float(((losses - losses.mean()) ** 2).sum())
    if len(groups) < 2 or all_squares <= 1e-24 * float((losses**2).sum()):
        return None
    return (
        sum(len(rows) * float(losses[rows].mean() - losses.mean()) ** 2 for rows in groups)
        / all_squares
    )


# ---- length


class Lengths(NamedTuple):
    """Texts of `shortest` to `longest` bytes."""

    shortest: int
    longest: int
    figures: Figures


def by_length(texts: Sequence[TextScores]) -> list[Lengths]:
    """Return figures of thirds by length in bytes, the short ones first. Texts of one length stay
    together, so there may be fewer.
    """
    scored = [text for text in texts if len(text)]
    if not scored:
        return []
    lengths = np.array([text.num_bytes for text in scored])
    last = np.sort(lengths)[[max(len(lengths) * k // 3 - 1, 0) for k in (1, 2)]]
    third = np.searchsorted(last, lengths)
    rows = [np.flatnonzero(third == k) for k in np.unique(third)]
    return [
        Lengths(int(lengths[i].min()), int(lengths[i].max()), corpus([scored[j] for j in i]))
        for i in rows
    ]


@dataclass(frozen=True, slots=True)
class LengthTrend:
    """Least squares of the texts' losses on log2(bytes), each text a point.

    `within`: the slope with the category held fixed. `adjusted`: what a category's mean loss would
    be for texts of `at_bytes`, along that slope, so that a category of short texts is not called
    hard for being short.
    """

    texts: int
    at_bytes: float
    slope: Estimate  # nats per token, per doubling of the text
    within: Estimate
    adjusted: dict[str, Estimate]


def length_trend(texts: Sequence[TextScores]) -> LengthTrend:
    """Fit the trend over the length in bytes, which is the same for every tokenizer, about the
    median.
    """
    scored = [text for text in texts if len(text) and text.num_bytes > 0]
    n, categories = len(scored), _categories(scored)
    if not n:
        return LengthTrend(0, 0.0, NOTHING, NOTHING, {})
    lengths = np.array([text.num_bytes for text in scored], np.float64)
    at = float(np.median(lengths))
    x, y = np.log2(lengths / at), _losses(scored)
    member = np.zeros((n, len(categories)))
    for k, rows in enumerate(categories.values()):
        member[rows, k] = 1
    moments = np.stack([np.ones(n), x, y, x * x, x * y], axis=1)  # of each text
    sums = (member[:, :, None] * moments[:, None]).reshape(n, -1)  # (n, K x 5)
    shape = (-1, len(categories), 5)
    value, draws = sums.sum(axis=0).reshape(shape), resampled(sums).reshape(shape)
    (slope,), (within,) = _slope(value.sum(1, keepdims=True)), _slope(value)
    num_free = n - len(categories)
    return LengthTrend(
        texts=n,
        at_bytes=at,
        slope=_known(slope, _slope(draws.sum(1, keepdims=True)), n - 1),
        within=_known(within, _slope(draws), num_free),
        adjusted={
            category: _known(_at_zero(value, k)[0], _at_zero(draws, k), min(len(rows), num_free))
            for k, (category, rows) in enumerate(categories.items())
        },
    )


def _slope(moments: Floats) -> Floats:
    """Return the common slope (B,) of K groups from their moments (B, K, 5); NaN where all of a
    group have one length.
    """
    count, x, y, xx, xy = (moments[:, :, i] for i in range(5))
    over, under = xy - divided(x * y, count), xx - divided(x * x, count)
    spread_out = np.nansum(under, axis=1)
    flat = spread_out <= 1e-9 * (1 + xx.sum(axis=1))
    return divided(np.nansum(over, axis=1), np.where(flat, 0.0, spread_out))


def _at_zero(moments: Floats, k: int) -> Floats:
    """Return (B,) group k's mean loss, moved along the common slope to x = 0."""
    count, x, y = (moments[:, k, i] for i in range(3))
    return divided(y, count) - _slope(moments) * divided(x, count)


def _known(value: Any, draws: Floats, n: int) -> Estimate:
    return interval(float(value), draws, n) if np.isfinite(value) else NOTHING
