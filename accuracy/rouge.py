"""How much of the reference answer is in the output? ROUGE-1, -2, -L and -Lsum, F-measure x 100, as MLPerf scores it.

The definition is the package rouge-score with its Porter stemmer. ROUGE-Lsum wants one sentence per line.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.types import Metric, RunLog, Sample

KINDS = ("rouge1", "rouge2", "rougeL", "rougeLsum")
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[\"'(\[]?[A-Z0-9])")


def rouge(log: RunLog, samples: Sequence[Sample], ids: NDArray[Any]) -> list[Metric]:
    """Mean over those of the samples `ids` that have a text and a reference; nothing if there is none."""
    references = {s.index: s.reference for s in samples if s.reference}
    pairs = [
        (log.texts[i], references[index])
        for i, index in zip(ids.tolist(), log.index[ids].tolist(), strict=True)
        if i in log.texts and index in references
    ]
    if not pairs:
        return []
    scores = np.array([score(text, reference) for text, reference in pairs])
    return [
        Metric(kind, round(100 * float(mean), 4), "F x 100", len(pairs))
        for kind, mean in zip(KINDS, scores.mean(0), strict=True)
    ]


def score(text: str, reference: str) -> tuple[float, ...]:
    """F-measures of one pair, in the order of KINDS, each in [0, 1]."""
    from rouge_score.rouge_scorer import RougeScorer

    global _scorer
    _scorer = _scorer or RougeScorer(list(KINDS), use_stemmer=True)
    found = _scorer.score(by_sentence(reference), by_sentence(text))
    return tuple(found[kind].fmeasure for kind in KINDS)


_scorer = None


def by_sentence(text: str) -> str:
    """One sentence per line."""
    return "\n".join(_SENTENCE_END.split(text.strip()))
