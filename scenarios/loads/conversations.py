"""Conversations of several turns: the next one is sent when the answer to the last has come, and
its user has thought for a while.

Conversations begin by a Poisson process, at --target-qps divided by their mean number of turns, so
that the rate of queries is --target-qps once as many go on as end. They are taken in an order drawn
with the sample-index seed, and from the beginning again if there are too few of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from harness.kernel.types import AfterQuery, At, Int64s, Query, QuerySample, RunSettings
from scenarios.loadgen.sample_order import LoadedSet, Schedule
from scenarios.loads.gamma import random_state
from scenarios.loads.load import Load, whole_ns
from scenarios.loads.ramp import unit_arrivals
from scenarios.loads.trace import seconds

_THINK = re.compile(r"@([0-9.]+(?:ms|s|min|m|h)?)$")  # the file may have an @ itself
_MOST_TURNS = 10_000_000  # of a run


class Talks(NamedTuple):
    """Turns of all conversations, one after the other: sample i of the library is turn i.

    `starts`: (k + 1,) the first turn of each. `think_ns`: (n,) from the answer before it to the
    turn; NEVER where the file does not say.
    """

    starts: Int64s
    think_ns: Int64s

    @property
    def mean_turns(self) -> float:
        return float(self.starts[-1]) / (len(self.starts) - 1)


@dataclass(frozen=True, slots=True)
class ConversationLoad(Load):
    """`conversations:FILE[@THINK]`; the time to think where the file has none."""

    file: str
    think_s: float = 0.0
    brings_samples = True

    @classmethod
    def read(cls, words: str) -> ConversationLoad:
        match = _THINK.search(words)
        file = words[: match.start()] if match else words
        if not file:
            raise ValueError("the file is missing")
        return cls(file, seconds(match[1]) if match else 0.0)

    @property
    def has_peak(self) -> bool:
        return False

    def schedule(self, settings: RunSettings, rows: Any = None) -> Schedule:
        """Return turns in the order of the conversations; a turn's moment is that at which its
        conversation begins, which is the earliest that it may go.
        """
        talks: Talks = rows
        lengths = np.diff(talks.starts)
        order, begin_ns = self._begun(settings, talks)
        chosen = [np.arange(talks.starts[k], talks.starts[k + 1]) for k in order]
        indices = np.concatenate(chosen)
        offsets_ns = np.repeat(begin_ns, lengths[order])
        loaded = list(range(int(talks.starts[-1])))
        part = LoadedSet(loaded, len(indices), 1, int(begin_ns[-1]) + 1)
        return Schedule((part,), indices, offsets_ns)

    def _begun(self, settings: RunSettings, talks: Talks) -> tuple[Int64s, Int64s]:
        """Return (k,) conversations and when each begins: enough for the number of queries and for
        the duration.
        """
        rate = settings.target_qps / talks.mean_turns
        count, known = len(talks.starts) - 1, 16
        lengths = np.diff(talks.starts)
        while True:
            order = self._order(count, known, settings.seeds.sample_index)
            begin_ns = whole_ns(unit_arrivals(settings.seeds.schedule, known) / rate)
            turns = np.cumsum(lengths[order])
            enough = (turns >= settings.min_queries) & (begin_ns >= settings.min_duration_ns)
            if enough.any() or turns[-1] >= _MOST_TURNS:
                last = int(np.argmax(enough)) + 1 if enough.any() else known
                return order[:last], begin_ns[:last]
            known *= 2

    def _order(self, count: int, wanted: int, seed: int) -> Int64s:
        rng = random_state(seed)
        rounds = [rng.permutation(count) for _ in range(-(-wanted // count))]
        return np.concatenate(rounds)[:wanted].astype(np.int64)

    def plan(self, schedule: Schedule, rows: Any = None) -> Iterator[Query]:
        talks: Talks = rows
        begins = set(talks.starts[:-1].tolist())
        think_ns = np.where(talks.think_ns < 0, round(self.think_s * 1e9), talks.think_ns).tolist()
        pairs = zip(schedule.offsets_ns.tolist(), schedule.indices.tolist(), strict=True)
        for i, (offset_ns, index) in enumerate(pairs):
            release = At(offset_ns) if index in begins else AfterQuery(i - 1, think_ns[index])
            yield Query(i, (QuerySample(i, index),), release)
