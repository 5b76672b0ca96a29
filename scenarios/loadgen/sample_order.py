"""Which samples, in what order, and when: LoadGen's schedule, made whole before the clock starts.

The rules are those of LoadGen 6.0.17 (its source and its observed output): the loaded set is a
shuffle by the QSL seed, the order is drawn with the sample-index seed, arrivals with the schedule
seed. Same settings, same schedule, bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import accumulate

import numpy as np

from harness.kernel.types import AfterInFlight, At, Int64s, RunSettings
from scenarios.loadgen.mt19937 import Mt19937, shuffle_bounds


@dataclass(frozen=True, slots=True)
class Shape:
    """How a scenario asks for queries: samples in each, how many, for how long, spaced how."""

    samples_per_query: int
    min_queries: int
    duration_ns: int  # keep generating until the schedule is this long
    poisson: bool = False
    arrive: Callable[[int], Int64s] | None = None  # not LoadGen's: when the first n queries come
    contiguous: bool = False  # multi-stream: neighbours of the drawn sample (the set is padded)
    whole_set: bool = False  # offline: copies of the set, not draws


@dataclass(frozen=True, slots=True)
class LoadedSet:
    """Samples that are loaded together, and what is generated from them. A performance run has one
    set, an accuracy run one for each part of the library.
    """

    loaded: list[int]  # in loading order, padding included
    query_count: int
    samples_per_query: int
    duration_ns: int  # one step past its last query


@dataclass(frozen=True, slots=True)
class Schedule:
    """Every query of a run: its samples, and when it is due (in a closed loop: the pace that
    LoadGen would log).
    """

    sets: tuple[LoadedSet, ...]
    indices: Int64s  # (samples,) positions in the dataset, query after query
    offsets_ns: Int64s  # (queries,)
    min_issued: int = 0  # a closed loop issues at least so many, if that is more than `min_queries`

    def __len__(self) -> int:
        return len(self.offsets_ns)

    @property
    def loaded(self) -> list[int]:
        return [index for part in self.sets for index in part.loaded]

    @property
    def duration_ns(self) -> int:
        return sum(part.duration_ns for part in self.sets)

    @property
    def samples_per_query(self) -> int:
        """Of the first set: only offline has others, whose last set may be smaller."""
        return self.sets[0].samples_per_query

    def rows(self) -> Iterator[tuple[int, list[int]]]:
        """Yield (offset_ns, sample indices) per query; lists of Python integers, made block by
        block.
        """
        query = sample = 0
        for part in self.sets:
            queries, per_query = part.query_count, part.samples_per_query
            indices = self.indices[sample : sample + queries * per_query].reshape(-1, per_query)
            offsets = self.offsets_ns[query : query + queries]
            for start in range(0, queries, 8192):
                block = slice(start, start + 8192)
                yield from zip(offsets[block].tolist(), indices[block].tolist(), strict=True)
            query, sample = query + queries, sample + indices.size

    def timed_rows(self) -> Iterator[tuple[At | AfterInFlight, list[int]]]:
        """Yield (when it may go, sample indices) per query of a timed scenario. A set waits for the
        end of the one before, as LoadGen's do, and its moments count from there.
        """
        starts = set(accumulate(part.query_count for part in self.sets[:-1]))
        for query, (offset_ns, indices) in enumerate(self.rows()):
            if query in starts:
                yield AfterInFlight(1, offset_ns), indices
            else:
                yield At(offset_ns), indices


def make_schedule(settings: RunSettings, shape: Shape) -> Schedule:
    """Return all queries of a run. In accuracy mode: every sample once, set by set (multi-stream
    fills up its last query).
    """
    parts = [_one_set(settings, shape, *part) for part in loaded_sets(settings, shape)]
    ends = accumulate((part.duration_ns for part in parts), initial=0)
    return Schedule(
        sets=tuple(loaded for part in parts for loaded in part.sets),
        indices=np.concatenate([part.indices for part in parts]),
        offsets_ns=np.concatenate(
            [part.offsets_ns + end for part, end in zip(parts, ends, strict=False)]
        ),
    )


def loaded_sets(settings: RunSettings, shape: Shape) -> list[tuple[list[int], int]]:
    """Yield per set: (samples in loading order with their padding, how many are distinct). A
    performance run has one set.
    """
    size = min(settings.performance_samples, settings.num_samples)
    accuracy_samples = settings.accuracy_samples or settings.num_samples
    count = min(accuracy_samples, settings.num_samples) if settings.mode == "accuracy" else size
    order = list(range(count))
    Mt19937(settings.seeds.qsl).shuffle(order)
    padding = shape.samples_per_query - 1 if shape.contiguous else 0
    sets = [order[start : start + size] for start in range(0, count, size)]
    return [(part + [part[i % len(part)] for i in range(padding)], len(part)) for part in sets]


def _one_set(settings: RunSettings, shape: Shape, loaded: list[int], distinct: int) -> Schedule:
    """Generate what is issued of one set. The order of draws is LoadGen's, and draws that nobody
    uses are drawn all the same.
    """
    n, accuracy, per_query = len(loaded), settings.mode == "accuracy", shape.samples_per_query
    min_queries, duration_ns = shape.min_queries, shape.duration_ns
    if accuracy and shape.whole_set:
        per_query = distinct
    if accuracy or settings.issue == "unique":
        min_queries, duration_ns = n // per_query, 0

    rng = Mt19937(settings.seeds.sample_index)
    starts = range(0, distinct, per_query if shape.contiguous else 1)
    once = _shuffled(rng, list(starts)) if accuracy else []
    once_unique = _shuffled(rng, list(starts))
    table = _equal_table(rng, n, min_queries, used=settings.equal_issue)

    equal = settings.equal_issue and not accuracy
    if equal and shape.whole_set:
        per_query = _ceil_div(per_query, n) * n
    elif equal:
        min_queries = _ceil_div(min_queries, n) * n
    multiple_of = n if equal and not shape.whole_set else 1
    offsets_ns, end_ns = _offsets(settings, shape, min_queries, duration_ns, multiple_of)
    count = len(offsets_ns)

    if settings.issue == "same":
        first = np.full(count, settings.same_index)
    elif shape.whole_set:
        first = np.empty(0, np.int64)
    elif settings.issue == "unique":
        first = np.resize(once_unique, count)
    elif settings.equal_issue and not shape.contiguous:  # in accuracy mode too
        first = np.resize(table, count)  # exhausted, it starts again
    elif accuracy:
        first = np.array(once[:count], np.int64)
    else:
        first = rng.integers(distinct, count)

    if shape.whole_set and settings.issue != "same":
        picks = _whole_sets(rng, n, per_query, count, settings.equal_issue)
    elif shape.contiguous:
        picks = first[:, None] + np.arange(per_query)
    else:
        picks = np.repeat(first, per_query)
    part = LoadedSet(loaded, count, per_query, end_ns)
    return Schedule((part,), np.array(loaded, np.int64)[picks.ravel()], offsets_ns)


def _offsets(
    settings: RunSettings, shape: Shape, min_queries: int, duration_ns: int, multiple_of: int
) -> tuple[Int64s, int]:
    """Return the offsets of enough queries for both the count and the duration, and the moment
    after the last.
    """
    if not shape.poisson:
        period_ns = int(1 / settings.target_qps * 1e9)  # this order: LoadGen rounds twice
        count = max(min_queries, _ceil_div(duration_ns, period_ns) + 1 if duration_ns > 0 else 0)
        count = max(_ceil_div(count, multiple_of) * multiple_of, 1)
        offsets = np.arange(count, dtype=np.int64) * period_ns
        return offsets, count * period_ns
    if shape.arrive is not None:
        return _arrivals(shape.arrive, min_queries, duration_ns, multiple_of)
    rng = Mt19937(settings.seeds.schedule)
    block = max(min_queries, int(duration_ns / 1e9 * settings.target_qps)) + 2
    gaps = rng.exponential_ns(settings.target_qps, block)
    ends = np.cumsum(gaps)  # ends[k] is the offset of query k + 1
    while True:
        long_enough = int(np.searchsorted(ends, duration_ns)) + 2 if duration_ns > 0 else 1
        count = _ceil_div(max(min_queries, long_enough), multiple_of) * multiple_of
        if count <= len(ends):
            return np.concatenate(([0], ends[: count - 1])), int(ends[count - 1])
        more = max(count - len(ends), block // 16)
        ends = np.concatenate(
            (ends, ends[-1] + np.cumsum(rng.exponential_ns(settings.target_qps, more)))
        )


def _arrivals(
    arrive: Callable[[int], Int64s], min_queries: int, duration_ns: int, multiple_of: int
) -> tuple[Int64s, int]:
    """Return the same of an arrival process that is not LoadGen's."""
    known = min_queries + 2
    while True:
        moments_ns = arrive(known)
        long_enough = int(np.searchsorted(moments_ns, duration_ns)) + 1 if duration_ns > 0 else 1
        count = _ceil_div(max(min_queries, long_enough), multiple_of) * multiple_of
        if count < known and moments_ns[-1] >= duration_ns:
            return moments_ns[:count], int(moments_ns[count])
        known = max(2 * known, count + 1)


def _whole_sets(rng: Mt19937, n: int, per_query: int, queries: int, shuffled: bool) -> Int64s:
    """Return (queries, per_query) positions: copies of the set, each shuffled under equal issue,
    then its beginning.
    """
    rows = []
    for _ in range(queries):
        picks: list[int] = []
        for _ in range(per_query // n):
            copy = list(range(n))
            picks += _shuffled(rng, copy) if shuffled else copy
        rows.append(picks + list(range(per_query - len(picks))))
    return np.array(rows, np.int64)


def _equal_table(rng: Mt19937, n: int, min_queries: int, used: bool) -> Int64s:
    """Return a table with each sample once per round, every round a further shuffle of the last.
    Its words are consumed even if unused.
    """
    rounds = _ceil_div(min_queries, n)
    if not used:
        rng.draws(np.tile(shuffle_bounds(n), rounds))
        return np.empty(0, np.int64)
    order, table = list(range(n)), []
    for _ in range(rounds):
        rng.shuffle(order)
        table += order
    return np.array(table, np.int64)


def _shuffled(rng: Mt19937, items: list[int]) -> list[int]:
    rng.shuffle(items)
    return items


def _ceil_div(a: int, b: int) -> int:
    return -(-a // b)
