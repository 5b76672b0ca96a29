"""BLEU and chrF are figures of all answers together, not means of scores.

Each answer adds counts to a pool; the figure is made of their sums, over all answers or over those
that a bootstrap drew, as sacrebleu's own paired bootstrap does (Koehn 2004). The score of a single
answer is shown beside it and decides nothing.

chrF: Popovic 2015, with sacrebleu's defaults (`nrefs:1|case:mixed|eff:yes|nc:6|nw:0|space:no`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from accuracy import resampling
from accuracy.metrics import bleu as metric
from accuracy.resampling import NOTHING, Estimate, Floats
from accuracy.tasks.scoring.mark import Given, Mark, marked
from harness.kernel.types import Sample

ORDERS = 6  # of characters
_RECALL_WEIGHT = 4  # beta squared: recall counts twice as much as precision


class Pooled(NamedTuple):
    """`figure` makes (B,) figures in [0, 1] of B sums (B, k) of the answers' counts."""

    title: str
    figure: Callable[[Floats], Floats]

    def of(self, counts: Floats) -> float:
        """Return the figure of all answers (n, k)."""
        return float(self.figure(counts.sum(axis=0, keepdims=True))[0])

    def estimate(self, counts: Floats) -> Estimate:
        """Return the figure of all answers (n, k) with its 95 % interval."""
        if not len(counts):
            return NOTHING
        draws = self.figure(resampling.resampled(counts))
        return resampling.interval(self.of(counts), draws, len(counts))


def bleu(given: Given, sample: Sample) -> Mark:
    """Take the answer's word groups that the expected text has (`accuracy.metrics.bleu`)."""
    text, reference = given.text.strip(), sample.reference or ""
    score, counts = metric.scored(text, reference)
    return marked(text == reference.strip(), text)._replace(score=score, counts=counts)


def chrf(given: Given, sample: Sample) -> Mark:
    """Take the answer's groups of characters that the expected text has."""
    text, reference = given.text.strip(), sample.reference or ""
    counts = _chrf_counts(text, reference)
    score = float(_chrf_of_sums(np.array([counts], np.float64))[0])
    return marked(text == reference.strip(), text)._replace(score=score, counts=counts)


def _chrf_counts(text: str, reference: str) -> tuple[int, ...]:
    """Return what one pair adds: per order the groups of the answer, of the reference, and those
    that both have. Groups of an order that the reference lacks do not count.
    """
    from sacrebleu.metrics.helpers import extract_all_char_ngrams

    both = (extract_all_char_ngrams(one, ORDERS) for one in (text, reference))
    found = list[int]()
    for ours, theirs in zip(*both, strict=True):
        found += [ours.total() if theirs else 0, theirs.total(), (ours & theirs).total()]
    return tuple(found)


def _chrf_of_sums(sums: Floats) -> Floats:
    """Return the chrF (B,) of B sums (B, 18): precision and recall are means over the orders that
    both sides have.
    """
    ours, theirs, matches = (sums[:, k::3] for k in range(3))
    known = (ours > 0) & (theirs > 0)
    orders = known.sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        precision = np.where(known, matches / ours, 0).sum(axis=1) / orders
        recall = np.where(known, matches / theirs, 0).sum(axis=1) / orders
        under = _RECALL_WEIGHT * precision + recall
        found = (1 + _RECALL_WEIGHT) * precision * recall / under
    return np.where(under > 0, found, 0.0)


POOLED = {"bleu": Pooled("BLEU", metric.of_sums), "chrf": Pooled("chrF", _chrf_of_sums)}
