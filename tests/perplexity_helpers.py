"""Scores without a model: texts whose losses are given or drawn, and how long their figures
take.
"""

from __future__ import annotations

import time

import numpy as np
from hypothesis import strategies as st

from accuracy.likelihood.figures import TextScores

losses = st.lists(st.floats(0, 30, width=32), max_size=12)
corpora = st.lists(losses, max_size=9)


def scored(nll, text_id="t", category="", num_bytes=None, ids=None, ends=None, correct=None):
    """A text whose tokens are four characters each, unless said otherwise."""
    n = len(nll)
    ends = np.arange(1, n + 1) * 4 if ends is None else np.asarray(ends)
    return TextScores(
        text_id,
        category,
        np.asarray(np.arange(n) if ids is None else ids, np.int32),
        np.asarray(np.concatenate([[0], ends[:-1]])[:n], np.int32),
        np.asarray(ends, np.int32),
        np.asarray(nll, np.float32),
        np.asarray(np.asarray(nll) < 1 if correct is None else correct, np.bool_),
        4 * n if num_bytes is None else num_bytes,
    )


def texts(rows, category=lambda i: ""):
    return [scored(row, f"t{i}", category(i)) for i, row in enumerate(rows)]


def drawn(num_texts, num_tokens, seed=0, mean=3.0, categories=1):
    """Texts of a difficulty of their own; those of one seed have the same lengths and tokens
    whatever their mean.
    """
    rng = np.random.default_rng(seed)
    lengths = rng.integers(num_tokens // 2, num_tokens * 3 // 2, num_texts)
    return texts(
        [rng.exponential(mean * rng.lognormal(0, 0.2), n) for n in lengths],
        lambda i: "abcdef"[i % categories],
    )


def better(given_texts, factor=0.9, seed=3):
    rng = np.random.default_rng(seed)
    return [
        scored(
            text.nll_nats * factor * rng.lognormal(0, 0.1, len(text)), text.text_id, text.category
        )
        for text in given_texts
    ]


def slowest_s(figures, given_texts):
    """Seconds of CPU that the slowest of these figures takes."""
    found = []
    for figure in figures:
        start = time.thread_time()
        figure(given_texts)
        found.append(time.thread_time() - start)
    return max(found)
