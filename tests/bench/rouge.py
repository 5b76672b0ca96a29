"""ROUGE beside the package that defines it: the same pairs in one run, one core, in turn; every
F-measure must be equal. Then as many pairs as MLPerf scores, on two cores beside one.

The pairs are drawn: a reference of about 220 words is made of sentences of the embedded answers;
its candidate has another order of sentences, a fifth of them strangers, and nearly half of the
words replaced. The package gets its sentences split; ours splits them as well. Our stems are known
after the first round, as they are after the first hundreds of a long run. Two cores begin anew:
the other process and what it learns are in their time. Both must give the same figures to the last
bit. Other work of the machine takes from two cores more than from one, so the processor time of
both is shown beside the seconds.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import numpy as np

from tests.bench.rows import Row, compared

PAIRS, WORDS, ROUNDS = 300, 220, 3
OPENORCA = 24_576  # what MLPerf's llama2-70b scores
T = TypeVar("T")


def rows() -> Iterator[Row]:
    from rouge_score.rouge_scorer import RougeScorer

    from accuracy.metrics.rouge import KINDS, Prepared, by_sentence, scores

    texts, references = zip(*drawn(PAIRS, WORDS), strict=True)
    lines = [
        (by_sentence(reference), by_sentence(text))
        for text, reference in zip(texts, references, strict=True)
    ]
    scorer = RougeScorer(list(KINDS), use_stemmer=True)
    prepared = [Prepared(reference) for reference in references]

    def official() -> list[list[float]]:
        found = [scorer.score(*pair) for pair in lines]
        return [[each[kind].fmeasure for kind in KINDS] for each in found]

    ours_s, again_s, theirs_s = [], [], []
    for _ in range(ROUNDS):
        seconds, ours = _timed(lambda: scores(texts, references))
        ours_s.append(seconds)
        again_s.append(_timed(lambda: scores(texts, prepared))[0])
        seconds, theirs = _timed(official)
        theirs_s.append(seconds)
        assert np.array_equal(ours, theirs), "both must be rouge-score's"
    rate, again, peer = PAIRS / min(ours_s), PAIRS / min(again_s), PAIRS / min(theirs_s)
    words = sum(len(text.split()) for text in (*texts, *references)) / (2 * PAIRS)
    yield compared(
        f"ROUGE, pairs of {words:.0f} words/s",
        rate,
        peer,
        rate / peer,
        "at least 20x",
        rate >= 20 * peer,
        "{:,.0f}",
    )
    yield compared("  the references prepared", again, peer, again / peer, "", True, "{:,.0f}")
    yield compared(
        f"  {OPENORCA:,} pairs, s",
        OPENORCA / rate,
        OPENORCA / peer,
        peer / rate,
        "",
        True,
        "{:,.0f}",
    )
    yield from _on_two_cores()


def _on_two_cores() -> Iterator[Row]:
    """Score OPENORCA pairs with one process and with two, in turn (A B B A)."""
    from accuracy import spread
    from accuracy.metrics import rouge

    pairs = drawn(2_048, WORDS) * (OPENORCA // 2_048)
    texts, references = (list(texts) for texts in zip(*pairs, strict=True))
    one, two = [], []
    for processes in (1, 2, 2, 1):
        with _processors(processes):
            seconds, found = _used(lambda: spread.rows(rouge.scores, texts, references))
        (one if processes == 1 else two).append((*seconds, found))
    assert len({found.tobytes() for *_, found in (*one, *two)}) == 1, "not the same figures"
    (one_s, one_cpu_s), (two_s, two_cpu_s) = (min(each[:2] for each in way) for way in (one, two))
    yield compared(
        f"{OPENORCA:,} pairs on two cores, s: one core", two_s, one_s, one_s / two_s,
        "at least 1.80x", one_s >= 1.8 * two_s, "{:.1f}",
    )  # fmt: skip
    yield compared(
        "  processor time of both, s", two_cpu_s, one_cpu_s, one_cpu_s / two_cpu_s, "", True,
        "{:.1f}",
    )  # fmt: skip


def _used(work: Callable[[], T]) -> tuple[tuple[float, float], T]:
    """Return (seconds, processor seconds of this process and of its children that are gone)."""
    before = sum(os.times()[:4])
    seconds, made = _timed(work)
    return (seconds, sum(os.times()[:4]) - before), made


@contextmanager
def _processors(count: int) -> Iterator[None]:
    """Let this process and its children run on so many processors."""
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(allowed)[:count])
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)


def drawn(pairs: int, words: int, seed: int = 1) -> list[tuple[str, str]]:
    """(candidate, reference), always the same ones."""
    from accuracy.datasets.files import load_dataset
    from accuracy.metrics.sentences import sentences

    known = [
        sentence
        for sample in load_dataset("qa", 128).samples
        for sentence in sentences(sample.reference or "")
    ]
    vocabulary = " ".join(known).split()
    draw = random.Random(seed)

    def reference() -> list[str]:
        chosen: list[str] = []
        while sum(sentence.count(" ") + 1 for sentence in chosen) < words - 10:
            chosen.append(draw.choice(known))
        return chosen

    def rewritten(sentence: str) -> str:
        *some, last = (draw.choice(known) if draw.random() < 0.2 else sentence).split()
        words = [
            *(word if draw.random() < 0.55 else draw.choice(vocabulary) for word in some),
            last,
        ]
        return " ".join([words[0].capitalize(), *words[1:]])

    made = []
    for _ in range(pairs):
        wanted = reference()
        given = [rewritten(sentence) for sentence in wanted]
        draw.shuffle(given)
        made.append((" ".join(given), " ".join(wanted)))
    return made


def _timed(work: Callable[[], T]) -> tuple[float, T]:
    start = time.perf_counter()
    made = work()
    return time.perf_counter() - start, made
