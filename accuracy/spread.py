"""Who scores many pairs of texts? All processors of this machine, a part each
(`harness.kernel.process.spread`); one alone where they are too few to be worth the start of others.

A pair's row does not depend on the others, so the rows are the same to the last bit. Whatever is
scored is scored after a timed window or before the next one, never beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from harness.kernel.process.spread import each

# Characters of texts and references. A processor scores 2 to 5 million a second with ROUGE; another
# process needs about 1.5 s of it to begin.
LEAST = 8_000_000
OF_A_PART = 50_000
Texts = Sequence[str]
Score = Callable[[Texts, Texts], NDArray[Any]]  # (n, k): a row per pair; a function of a module
Progress = Callable[[int], object]  # hears how many pairs are done
Bar = Callable[[int], AbstractContextManager[Progress]]  # shows what is done of how many pairs


def _no_bar(pairs: int) -> AbstractContextManager[Progress]:
    return nullcontext(lambda done: None)


_bar: ContextVar[Bar] = ContextVar("bar", default=_no_bar)


class _Part(NamedTuple):
    score: Score
    texts: Texts
    references: Texts


def rows(
    score: Score, texts: Texts, references: Texts, progress: Progress | None = None
) -> NDArray[Any]:
    """Return what `score` makes of all pairs, in their order. `progress` hears of them; or the bar
    of `shown`, where they take a while.
    """
    is_much = sum(map(len, texts)) + sum(map(len, references)) >= LEAST
    if progress is None:
        with (_bar.get() if is_much else _no_bar)(len(texts)) as progress:
            return rows(score, texts, references, progress)
    slices = list(cut(texts, references, OF_A_PART))
    parts = [_Part(score, texts[some], references[some]) for some in slices]
    found, done = [score((), ())] * len(parts), 0
    for number, scored in each(_scored, parts, None if is_much else 1):
        found[number] = scored
        done += len(scored)
        progress(done)
    return np.concatenate(found) if found else score((), ())


def _scored(part: _Part) -> NDArray[Any]:
    return part.score(part.texts, part.references)


def cut(texts: Texts, references: Texts, size: int) -> Iterator[slice]:
    """Cut the pairs where `size` characters are full."""
    start = characters = 0
    for end, (text, reference) in enumerate(zip(texts, references, strict=True), 1):
        characters += len(text) + len(reference)
        if characters >= size or end == len(texts):
            yield slice(start, end)
            start, characters = end, 0


@contextmanager
def shown(bar: Bar) -> Iterator[None]:
    """Show with `bar` how far whoever scores inside is, if nobody else hears of it."""
    before = _bar.set(bar)
    try:
        yield
    finally:
        _bar.reset(before)
