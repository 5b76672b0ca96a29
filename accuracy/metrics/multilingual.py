"""How much of the reference answer is in the output, in any language? ROUGE-1, -2, -L and -Lsum as
rouge-score computes them, over the words of every script (`words.any_script`).

MLPerf's ROUGE (`rouge`) knows the letters a-z and the digits 0-9 only: a Chinese answer beside
itself scores 0, and "naïve" is two words. Here Chinese, Japanese, Thai, Lao, Khmer and Burmese are
compared by characters, everything else by words. There are no stems and no dictionaries, so the
figures of packages that have them (XL-Sum's multilingual_rouge_scoring) differ. Sentences, for
ROUGE-Lsum, also end at the full stops of other scripts. Korean words keep their particles.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import regex
from numpy.typing import NDArray

from accuracy import spread
from accuracy.metrics import rouge
from accuracy.metrics.references import pairs, text_references
from accuracy.metrics.rouge import Prepared, by_sentence
from accuracy.metrics.words import any_script, has_letters_beyond
from harness.kernel.log import RunLog
from harness.kernel.types import Metric, Sample

KINDS = tuple(f"multilingual_{kind}" for kind in rouge.KINDS)
_MANY = 0.1  # a larger share of references with letters beyond a-z asks for this metric
_ENDS = regex.compile(r"[。｡！？।॥؟۔።။។]+[\p{Pe}\p{Pf}\p{Pi}\"']*")


def multilingual_rouge(log: RunLog, samples: Sequence[Sample], ids: NDArray[Any]) -> list[Metric]:
    """Return the mean over those of the samples `ids` that have a reference and an answer.

    Nothing where at most one reference in ten has letters beyond a-z: `rouge` says as much.
    """
    found = pairs(log, text_references(samples), ids)
    if sum(has_letters_beyond(reference) for _, reference in found) <= _MANY * len(found):
        return []
    texts, references = zip(*found, strict=True)
    lengths = [len(any_script(reference)) for reference in references]
    return rouge.figures(KINDS, spread.rows(scores, texts, references), lengths, "")


def scores(texts: Sequence[str], references: Sequence[str]) -> NDArray[np.float64]:
    """Return (n, 4): a row per pair, a column per kind, each in [0, 1]; see `rouge.scores`."""
    return rouge.scores(texts, references, score)


def score(text: str, reference: str) -> tuple[float, ...]:
    """Return the F-measures of one pair, in the order of KINDS, each in [0, 1]."""
    return rouge.score(_prepared(text), _prepared(reference))


def lines(text: str) -> list[list[str]]:
    """Return the words of each sentence that has any."""
    return [found for sentence in sentences(text) if (found := any_script(sentence))]


def sentences(text: str) -> list[str]:
    """Return the sentences of a text, whatever full stop ends them."""
    ended: str = _ENDS.sub("\\g<0>\n", by_sentence(text))
    return ended.split("\n")


@lru_cache(maxsize=16)
def _prepared(text: str) -> Prepared:
    return Prepared(text, lines)
