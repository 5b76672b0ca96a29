"""How far is a variant from its reference, in one table? Positions of many texts in, figures with
their intervals out.

The names are those of llama.cpp's `llama-perplexity --kl-divergence`, in snake case, so that the
two can be compared: Q is the variant, base the reference, KLD is KL(base || Q) in nats, dp is the
change of the right token's probability in percentage points, "same top" the share of positions
where both rank the same token first. As there, quantiles are interpolated linearly and `cor_ln_ppl`
correlates the losses of single positions; `cor_ln_ppl_texts` those of whole texts.

An interval is a bootstrap over texts, with the ends of `accuracy.resampling`: whole texts are drawn
with replacement, all their positions with them, since positions of one text resemble one another.
(llama.cpp takes positions as independent, its margins are narrower.) A maximum has no such
interval: no draw exceeds it. Few texts have none either.

Where the reference's tail was only sampled, `kld_low` and `kld_high` bound the KLD of each
position, and the figures `mean_kld_at_least` and `mean_kld_at_most` its mean over these positions;
`mean_kld_error` is the standard error that the sampling adds to the mean. For exact figures the
bounds are the mean itself and the error is 0.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accuracy.resampling import Estimate, Floats, quantiles, times_drawn
from harness.kernel.errors import BadInput

RESAMPLES = 2_000
QUANTILES = {
    "median_kld": 0.5,
    "p90_kld": 0.9,
    "p95_kld": 0.95,
    "p99_kld": 0.99,
    "p99_9_kld": 0.999,
}

Ends = tuple[float, float] | None  # quantiles of the draws
_NOTHING: Floats = np.empty(0)


@dataclass(frozen=True, slots=True)
class Positions:
    """Of one text, its T scored tokens. Without bounds the KLD is exact."""

    kld: NDArray[Any]
    nll_reference: NDArray[Any]
    nll_variant: NDArray[Any]
    same_top: NDArray[Any]
    kld_low: NDArray[Any] | None = None
    kld_high: NDArray[Any] | None = None
    kld_error: NDArray[Any] | None = None  # standard error of the tail's sample
    rest: NDArray[Any] | None = None  # the reference's mass beyond what a server tells


def divergence(texts: Sequence[Positions], resamples: int = RESAMPLES) -> dict[str, Estimate]:
    """Return the whole table. Texts without positions count for nothing."""
    texts = [text for text in texts if len(text.kld)]
    if not texts:
        doing, found = "divergence from the reference", "no text has a scored token"
        raise BadInput(doing, found, "at least one text with a scored token", "Use longer texts.")
    draws = np.concatenate(list(times_drawn(len(texts), resamples)))
    ends = quantiles(len(texts))
    sums = np.array([_sums(text) for text in texts])
    values, drawn = _from_sums(sums.sum(0)), _from_sums((draws @ sums).T)
    figures = {name: _figure(float(values[name]), drawn[name], ends) for name in values}
    figures["cor_ln_ppl_texts"] = _over_texts(sums, draws, ends)
    kld = np.concatenate([np.asarray(text.kld, np.float64) for text in texts])
    owners = np.repeat(np.arange(len(texts)), [len(text.kld) for text in texts])
    figures |= _quantiles(kld, owners, draws, ends)
    errors = [text.kld_error for text in texts if text.kld_error is not None]
    alone = {
        "maximum_kld": float(kld.max()),
        "mean_kld_at_least": _mean_of_bound(texts, "kld_low"),
        "mean_kld_at_most": _mean_of_bound(texts, "kld_high"),
        "mean_kld_error": math.sqrt(sum(float((one**2).sum()) for one in errors)) / len(kld),
    }
    return figures | {name: _figure(value) for name, value in alone.items()}


def _mean_of_bound(texts: Sequence[Positions], name: str) -> float:
    bounds = []
    for text in texts:
        bound = getattr(text, name)
        bounds.append(text.kld if bound is None else bound)
    return float(np.concatenate(bounds).mean())


def _figure(value: float, drawn: Floats = _NOTHING, ends: Ends = None) -> Estimate:
    if not math.isfinite(value):
        return Estimate(None)
    if ends is None or not np.isfinite(drawn).all():
        return Estimate(value)
    low, high = np.quantile(drawn, ends)
    return Estimate(value, float(low), float(high))


# ---- figures that are made of sums


def _sums(text: Positions) -> Floats:
    base, q = (np.asarray(nll, np.float64) for nll in (text.nll_reference, text.nll_variant))
    dp = 100 * (np.exp(-q) - np.exp(-base))
    columns = (
        np.ones(len(q)), np.asarray(text.kld, np.float64), np.asarray(text.same_top, np.float64),
        dp, dp**2, q, base, q**2, base**2, q * base,
    )  # fmt: skip
    return np.array([column.sum() for column in columns])


def _from_sums(sums: Floats) -> dict[str, Any]:
    """Make figures of ten sums, or ten arrays of them, one entry per draw."""
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        kld, same, dp, dp2, q, base, q2, base2, product = sums[1:] / sums[0]
        return {
            "mean_ppl_q": np.exp(q),
            "mean_ppl_base": np.exp(base),
            "mean_ppl_ratio": np.exp(q - base),
            "mean_ln_ppl_ratio": q - base,
            "mean_ppl_difference": np.exp(q) - np.exp(base),
            "cor_ln_ppl": _correlation(q, base, q2, base2, product),
            "mean_kld": kld,
            "same_top_p": same,
            "mean_dp": dp,
            "rms_dp": np.sqrt(dp2),
        }


def _correlation(x: Any, y: Any, x2: Any, y2: Any, xy: Any) -> Any:
    """Return the correlation, made of means. Variances that are only rounding count as none."""
    x_variance, y_variance = x2 - x * x, y2 - y * y
    constant = (x_variance <= 1e-12 * x2) | (y_variance <= 1e-12 * y2)
    found = np.clip((xy - x * y) / np.sqrt(x_variance * y_variance), -1.0, 1.0)
    return np.where(constant, np.nan, found)


def _over_texts(sums: Floats, draws: Floats, ends: Ends) -> Estimate:
    """Return the correlation of the texts' own ln PPL; each text counts once."""
    q, base = sums[:, 5] / sums[:, 0], sums[:, 6] / sums[:, 0]
    columns = np.array([q, base, q * q, base * base, q * base]).T
    n = len(sums)
    with np.errstate(invalid="ignore", divide="ignore"):
        value = float(_correlation(*columns.mean(0))) if n > 2 else math.nan
        return _figure(value, _correlation(*(draws @ columns / n).T), ends)


# ---- quantiles


def _quantiles(kld: Floats, owners: NDArray[Any], draws: Floats, ends: Ends) -> dict[str, Estimate]:
    order = np.argsort(kld)
    ranking = _Ranking(kld[order], owners[order], draws)
    return {
        name: _figure(float(np.quantile(kld, p)), ranking.quantile(p), ends)
        for name, p in QUANTILES.items()
    }


class _Ranking:
    """All positions, sorted once. A draw counts how often each occurs: first block by block, then
    inside one block.
    """

    def __init__(self, ordered: Floats, owners: NDArray[Any], draws: Floats) -> None:
        self._ordered, self._owners, self._draws = ordered, owners, draws
        self._size = math.isqrt(len(ordered)) + 1
        blocks = np.arange(len(ordered)) // self._size
        count, texts = int(blocks[-1]) + 1, draws.shape[1]
        in_blocks = np.bincount(owners * count + blocks, minlength=texts * count)
        # (draws, blocks): positions up to a block's end
        self._ends = np.cumsum(draws @ in_blocks.reshape(texts, count), axis=1)

    def quantile(self, p: float) -> Floats:
        """Return the quantile of each draw, interpolated between neighbours as numpy does."""
        at = (self._ends[:, -1] - 1) * p
        left, right = self._value(np.floor(at)), self._value(np.ceil(at))
        return left + (at - np.floor(at)) * (right - left)

    def _value(self, rank: Floats) -> Floats:
        """Return the value at this rank, from 0, of each draw."""
        each = np.arange(len(rank))
        block = (self._ends <= rank[:, None]).sum(1)
        before = np.where(block > 0, self._ends[each, block - 1], 0.0)
        places = block[:, None] * self._size + np.arange(self._size)
        places = np.minimum(places, len(self._ordered) - 1)
        inside = np.cumsum(self._draws[each[:, None], self._owners[places]], axis=1)
        return self._ordered[places[each, (before[:, None] + inside <= rank[:, None]).sum(1)]]
