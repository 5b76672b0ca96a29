"""How many of the output's word groups stand in the reference? Corpus BLEU with brevity penalty, by
sacrebleu.

Papineni et al. 2002, with sacrebleu's defaults (Post 2018):
`nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp`. Precisions of 1- to 4-grams are pooled over the run,
not averaged per sample; an order without a match is smoothed. The penalty is exp(1 - reference
length / output length) where the outputs are the shorter side. 13a separates words at spaces and
punctuation: for Chinese, Japanese or Thai it says little.

A reference shorter than four words has no 4-gram, and scores 0 beside itself. Where no reference
is longer there is no figure; where most are shorter, a note says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from accuracy import spread
from accuracy.metrics.references import of_kind, pairs
from harness.kernel.log import RunLog
from harness.kernel.types import Metric, Sample

if TYPE_CHECKING:
    from sacrebleu.metrics.bleu import BLEU, BLEUScore

KINDS = ("bleu",)
ORDERS = 4
_scorer: BLEU | None = None


def references(samples: Sequence[Sample]) -> dict[int, str]:
    """Return references that are texts; a letter or a marked number has no word groups."""
    return of_kind(samples, "text")


def bleu(log: RunLog, samples: Sequence[Sample], ids: NDArray[Any]) -> list[Metric]:
    """Return BLEU x 100 of all samples `ids` together, its precisions in percent and its brevity
    penalty.
    """
    compared = pairs(log, references(samples), ids)
    if not compared:
        return []
    texts, answers = zip(*compared, strict=True)
    rows = spread.rows(all_counts, texts, answers).tolist()
    found, n = corpus(rows), len(compared)
    orders = [Metric(f"bleu_p{k}", round(p, 4), "%", n) for k, p in enumerate(found.precisions, 1)]
    short = sum(row[-1] < ORDERS for row in rows)
    score = None if short == n else round(found.score, 4)
    return [
        Metric("bleu", score, "BLEU", n, _why(short, n)),
        *orders,
        Metric("bleu_bp", round(found.bp, 4), "factor", n),
    ]


def _why(short: int, n: int) -> str:
    """Say how many references are too short; nothing unless most of them are."""
    if 2 * short <= n:
        return ""
    return (
        f"{short} of {n} reference answers have fewer than {ORDERS} words as BLEU separates them"
        " (at spaces and punctuation)"
    )


def counts(text: str, reference: str) -> tuple[int, ...]:
    """Return what one pair adds to the corpus: matches per order, n-grams per order, words of the
    output and of the reference.
    """
    return _counts(_sentence(text, reference))


def scored(text: str, reference: str) -> tuple[float, tuple[int, ...]]:
    """Return (sentence BLEU in [0, 1], `counts`)."""
    found = _sentence(text, reference)
    return min(found.score / 100, 1.0), _counts(found)


def _counts(found: BLEUScore) -> tuple[int, ...]:
    return (*found.counts, *found.totals, found.sys_len, found.ref_len)


def all_counts(texts: Sequence[str], references: Sequence[str]) -> NDArray[np.int64]:
    """Return (n, 10): `counts` of each pair."""
    found = [counts(*pair) for pair in zip(texts, references, strict=True)]
    return np.array(found, np.int64).reshape(-1, 2 * ORDERS + 2)


def corpus(rows: Iterable[Sequence[int]]) -> BLEUScore:
    """Return the score of pooled `counts`: of all samples, or of those that a bootstrap drew."""
    from sacrebleu.metrics.bleu import BLEU

    pooled = [sum(column) for column in zip(*rows, strict=True)]
    *orders, words, reference_words = pooled or [0] * (2 * ORDERS + 2)
    return BLEU.compute_bleu(
        orders[:ORDERS], orders[ORDERS:], words, reference_words, smooth_method="exp"
    )


def of_sums(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the BLEU (B,) in [0, 1] of each of B sums (B, 10) of `counts`, as `corpus` does."""
    matches, totals = sums[:, :ORDERS], sums[:, ORDERS : 2 * ORDERS]
    words, reference_words = sums[:, -2], sums[:, -1]
    has_none = matches == 0
    smoothed = 0.5 ** np.cumsum(has_none, axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        precisions = np.where(has_none, smoothed, matches) / totals
        penalty = np.exp(np.minimum(1 - reference_words / words, 0))
        found = penalty * np.exp(np.log(precisions).mean(axis=1))
    return np.where(matches.any(axis=1) & (totals > 0).all(axis=1), found, 0.0)


def score(text: str, reference: str) -> tuple[float]:
    """Return sentence BLEU in [0, 1]: of as many orders as the output has, smoothed. Its mean is
    not the corpus BLEU.
    """
    return (scored(text, reference)[0],)


def _sentence(text: str, reference: str) -> BLEUScore:
    from sacrebleu.metrics.bleu import BLEU

    global _scorer
    _scorer = _scorer or BLEU(effective_order=True)
    return _scorer.sentence_score(text, [reference])
