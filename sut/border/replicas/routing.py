"""Which replica gets the next sample? The one with the least work ahead, in tokens.

Samples wait in one queue, and a replica holds at most so many of them (`most_open`): enough that
its batch is full and never waits for the driver, and few enough that one which is slower, or gets
long answers, takes fewer in the end. Work is estimated: the prompt's tokens by its length, the
answer's by its limit; what has been told of an answer is taken off. Equal ones take turns.

Data only: no process is touched here.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from harness.kernel.types import Query, QuerySample, Sample

_CHARACTERS_PER_TOKEN = 4  # of a prompt; rough is enough to rank


class Work(NamedTuple):
    """What a sample costs, in tokens."""

    prompt: int
    answer: int

    @classmethod
    def of(cls, sample: Sample) -> Work:
        return cls(1 + len(sample.prompt) // _CHARACTERS_PER_TOKEN, sample.max_new_tokens)


_UNKNOWN = Work(1, 1)  # of a sample that was not loaded


class Open:
    """A sample that a replica has at hand: tokens ahead, and tokens told."""

    __slots__ = ("ahead", "answer", "told")

    def __init__(self, work: Work) -> None:
        self.ahead, self.answer, self.told = sum(work), work.answer, 0

    def hear(self, tokens: int) -> int:
        """Take what was told off the work ahead; return by how much that got less. With its first
        token the prompt is done; an answer that goes beyond its limit costs nothing more.
        """
        before, self.told = self.ahead, self.told + tokens
        self.ahead = max(self.answer - self.told, 0)
        return before - self.ahead


class Replica:
    """What one of them has at hand, and has had."""

    __slots__ = ("given", "open", "tokens", "work")

    def __init__(self) -> None:
        self.open: dict[int, Open] = {}  # by sample id
        self.work = 0  # tokens ahead, of all of them
        self.given = self.tokens = 0  # samples and tokens, since the load


class Router:
    """The queue, and what each replica has at hand."""

    def __init__(self, most_open: Sequence[int], work: Mapping[int, Work] | None = None) -> None:
        """`most_open` has a number for each replica; `work` is what a sample costs, by index."""
        self.replicas = [Replica() for _ in most_open]
        self._most_open, self._work = most_open, work or {}
        self._queue: deque[tuple[int, QuerySample]] = deque()  # each with the id of its query

    @property
    def waiting(self) -> int:
        return len(self._queue)

    def add(self, query: Query) -> None:
        self._queue.extend((query.id, sample) for sample in query.samples)

    def ready(self) -> list[tuple[int, int, list[QuerySample]]]:
        """Take what can be given out now off the queue: rows of (replica, query id, samples)."""
        found: dict[tuple[int, int], list[QuerySample]] = {}
        while self._queue and (number := self._next()) is not None:
            query_id, sample = self._queue.popleft()
            self._give(number, sample)
            found.setdefault((number, query_id), []).append(sample)
        return [(number, query_id, samples) for (number, query_id), samples in found.items()]

    def _next(self) -> int | None:
        free = [n for n, one in enumerate(self.replicas) if len(one.open) < self._most_open[n]]
        return min(free, key=self._rank, default=None)

    def _rank(self, number: int) -> tuple[int, int]:
        one = self.replicas[number]
        return one.work, one.given

    def _give(self, number: int, sample: QuerySample) -> None:
        one, opened = self.replicas[number], Open(self._work.get(sample.index, _UNKNOWN))
        one.open[sample.id] = opened
        one.work += opened.ahead
        one.given += 1

    def heard(self, number: int, sample_id: int, tokens: int) -> None:
        """Note that a replica has told so many more tokens of a sample."""
        one = self.replicas[number]
        if opened := one.open.get(sample_id):
            one.tokens += tokens
            one.work -= opened.hear(tokens)

    def ended(self, number: int, sample_id: int, tokens: int | None = None) -> None:
        """Note that nothing more comes of a sample; `tokens` is the length of its whole answer,
        where that is known.
        """
        one = self.replicas[number]
        if opened := one.open.pop(sample_id, None):
            one.work -= opened.ahead
            one.tokens += max((tokens or 0) - opened.told, 0)


def most_open(rows: int) -> int:
    """Return how many samples a replica with a batch of `rows` may hold: a quarter more, ready to
    join where some have ended.
    """
    return rows + rows // 4 + 1


def work_of(samples: Iterable[Sample]) -> dict[int, Work]:
    return {sample.index: Work.of(sample) for sample in samples}


def balance(tokens: Sequence[int]) -> float | None:
    """Return the tokens of the replica that gave the fewest over those of the one that gave most;
    None where none gave any.
    """
    return round(min(tokens) / max(tokens), 4) if max(tokens, default=0) else None
