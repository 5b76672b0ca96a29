"""How long are the answers? MLPerf bounds their length as well as ROUGE: a short answer is cheap.

`tokens_per_sample` is a mean of tokens; `gen_len`, MLPerf's other one, a sum of *characters*
(mlcommons/inference #2256), counted as its scripts count them: without the space around an answer
and with its sentences on lines of their own, one character between two of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accuracy.metrics.rouge import by_sentence
from harness.kernel.log import RunLog
from harness.kernel.types import Metric, Sample


def tokens_per_sample(log: RunLog, samples: Sequence[Sample], ids: NDArray[Any]) -> list[Metric]:
    """Return the mean number of tokens in the answers to the samples `ids`."""
    tokens = log.tokens[ids]
    if not tokens.any():
        return []
    return [Metric("tokens_per_sample", float(np.mean(tokens)), "tokens", len(tokens))]


def gen_len(log: RunLog, samples: Sequence[Sample], ids: NDArray[Any]) -> list[Metric]:
    """Return how many characters the answers to the samples `ids` have together, where texts are
    known.
    """
    texts = [log.texts[i] for i in ids.tolist() if i in log.texts]
    if not texts:
        return []
    return [Metric("gen_len", float(sum(map(characters, texts))), "characters", len(texts))]


def characters(text: str) -> int:
    """Count the characters of an answer as MLPerf does."""
    return len(by_sentence(text))
