"""Is the output the reference, word for word, or how many words do they share? Exact match and
token F1 as in SQuAD.

Rajpurkar et al. 2016 (the evaluation script of SQuAD v1.1): both sides in lower case, without ASCII
punctuation, without the words a, an, the, white space squeezed. Exact match: equal strings. F1: of
the two bags of words. As in v2.0, a side without words equals only another without words.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accuracy.metrics.references import of_kind, pairs
from harness.kernel.log import RunLog
from harness.kernel.types import Metric, Sample

KINDS = ("exact_match", "token_f1")
# nobody repeats a longer reference word for word: nearly all of SQuAD's, TriviaQA's, NQ's answers
# are shorter
MOST_WORDS = 20
_ARTICLE = re.compile(r"\b(?:a|an|the)\b")
_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)


def references(samples: Sequence[Sample]) -> dict[int, str]:
    """Return texts of at most 20 words; none at all where most are longer: a few short ones among
    essays say nothing of the set.
    """
    texts = of_kind(samples, "text")
    short = {index: text for index, text in texts.items() if len(text.split()) <= MOST_WORDS}
    return (
        {index: text for index, text in short.items() if plain(text)}
        if 2 * len(short) >= len(texts)
        else {}
    )


def exact_match(log: RunLog, samples: Sequence[Sample], ids: NDArray[Any]) -> list[Metric]:
    """Return the mean over those of the samples `ids` whose reference is a short text."""
    compared = pairs(log, references(samples), ids)
    if not compared:
        return []
    equal, f1 = np.mean([score(text, reference) for text, reference in compared], axis=0)
    n = len(compared)
    return [
        Metric("exact_match", round(100 * float(equal), 4), "%", n),
        Metric("token_f1", round(100 * float(f1), 4), "F x 100", n),
    ]


def score(text: str, reference: str) -> tuple[float, float]:
    """Return (exact match, token F1), each in [0, 1]."""
    ours, theirs = plain(text), plain(reference)
    equal = float(ours == theirs)
    bag, their_bag = Counter(ours.split()), Counter(theirs.split())
    words = bag.total() + their_bag.total()
    return equal, 2 * (bag & their_bag).total() / words if words else equal


def plain(text: str) -> str:
    """Write a text as SQuAD compares it."""
    return " ".join(_ARTICLE.sub(" ", text.lower().translate(_NO_PUNCTUATION)).split())
