"""What is to be sent, and when? A worker's share of a plan, as columns, and where it stands in it.

The rules of release and of the end are those of `harness.engine.driver`: a query goes out at its
moment, or once fewer than so many are open. A share is made of the pool's plan: all of it, every
n-th query, or a part of the samples of one large query.
"""

from __future__ import annotations

import heapq
from array import array
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from harness.kernel.answers import Window
from harness.kernel.clock import FAR_FUTURE_NS
from harness.kernel.types import NEVER, AfterInFlight, AfterQuery, At, Query


class Share(NamedTuple):
    """Columns of queries: where each stands in the plan, how it is released, its samples.
    `offsets` NEVER: the times that follow do not count from it. `after` NEVER: it waits for no
    query; else for that one of the plan, and `offsets` is how long after its end it goes.
    """

    places: array[int]
    offsets: array[int]
    below: array[int]  # 0: at its moment; else once fewer are open
    starts: array[int]  # of each query's samples; one more than queries
    samples: array[int]  # ids
    indices: array[int]
    after: array[int]

    def packed(self) -> list[bytes]:
        return [column.tobytes() for column in self]


def empty() -> Share:
    places, offsets, below, samples, indices, after = (array("q") for _ in range(6))
    return Share(places, offsets, below, array("q", (0,)), samples, indices, after)


def unpacked(columns: Sequence[bytes]) -> Share:
    """Return the share whose columns came as bytes."""
    return Share(*(array("q", data) for data in columns))


def shares(queries: Iterable[Query], window: Window, workers: int) -> list[Share]:
    """Deal a plan out. What waits for other queries stays with one worker, which alone knows."""
    plan = list(queries)
    gated = any(not isinstance(query.release, At) for query in plan)
    made = [empty() for _ in range(1 if gated else workers)]
    if not gated:
        plan = _limited(plan, window)
    if len(plan) == 1:
        _split(plan[0], made)
    else:
        for place, query in enumerate(plan):
            _add(made[place % len(made)], place, query, query.samples)
    return made + [empty() for _ in range(workers - len(made))]


def _limited(plan: list[Query], window: Window) -> list[Query]:
    """Leave out what comes after the end, judged by the moments at which queries are due."""
    if window.max_queries != NEVER:
        plan = plan[: window.max_queries]
    if window.max_duration_ns != NEVER:
        late = (i for i, query in enumerate(plan) if _offset(query) > window.max_duration_ns)
        plan = plan[: next(late, len(plan)) + 1]
    return plan


def _offset(query: Query) -> int:
    assert isinstance(query.release, At)
    return query.release.offset_ns


def _split(query: Query, made: Sequence[Share]) -> None:
    for number, share in enumerate(made):
        if samples := query.samples[number :: len(made)]:
            _add(share, 0, query, samples)


def _add(share: Share, place: int, query: Query, samples: Sequence[Any]) -> None:
    release = query.release
    share.places.append(place)
    share.after.append(release.query_id if isinstance(release, AfterQuery) else NEVER)
    if isinstance(release, AfterQuery):
        share.offsets.append(release.think_ns)
    else:
        share.offsets.append(NEVER if release.offset_ns is None else release.offset_ns)
    share.below.append(release.below if isinstance(release, AfterInFlight) else 0)
    share.samples.extend(sample.id for sample in samples)
    share.indices.extend(sample.index for sample in samples)
    share.starts.append(len(share.samples))


class Progress:
    """Where a worker stands in its share. `due_ns` is when it must look next."""

    def __init__(self, share: Share, window: Window, start_ns: int) -> None:
        self._share, self._window = share, window
        self._start_ns = self.begun_ns = self.gate_ns = self.issued_ns = start_ns
        self._at, self.until_ns = 0, FAR_FUTURE_NS
        self.open_queries = 0
        self._left: dict[int, int] = {}  # of queries with more than one sample
        self.due_ns = FAR_FUTURE_NS
        self.look()

    @property
    def is_over(self) -> bool:
        return self._at >= len(self._share.places)

    def look(self) -> None:
        """Set `due_ns` to when the next query may go: its moment, now (0), or not yet."""
        share, i = self._share, self._at
        if i >= len(share.places):
            self.due_ns = FAR_FUTURE_NS
        elif not share.below[i]:
            self.due_ns = self._start_ns + share.offsets[i]
            if self.due_ns > self.until_ns:
                self.end()
        elif self._has_enough():
            self.end()
        else:
            is_free = self.open_queries < share.below[i]
            self.due_ns = self.begun_ns if is_free else FAR_FUTURE_NS

    def _has_enough(self) -> bool:
        window = self._window
        if self.until_ns < FAR_FUTURE_NS:
            return True
        if window.max_queries != NEVER and self._at >= window.max_queries:
            return True
        since_ns = self.issued_ns - self.begun_ns
        if window.max_duration_ns != NEVER and since_ns > window.max_duration_ns:
            return True
        if window.min_queries == NEVER or self._at < window.min_queries:
            return False
        return since_ns >= window.min_duration_ns

    def end(self) -> None:
        """Release nothing more."""
        self._at, self.due_ns = len(self._share.places), FAR_FUTURE_NS

    def withdraw(self, until_ns: int) -> None:
        """Release nothing that is due after that moment, nor anything that waits."""
        self.until_ns = until_ns
        self.look()

    def take(self) -> tuple[int, int, Sequence[tuple[int, int]]]:
        """Release the next query: its place, when it was due, (id, index) of its samples. The
        caller sets `issued_ns`, and calls `look` once it is sent.
        """
        share, i = self._share, self._at
        self._at = i + 1
        self.open_queries += 1
        first, end = share.starts[i], share.starts[i + 1]
        due_ns = self.due_ns
        if share.below[i]:
            due_ns = self.gate_ns
            if share.offsets[i] != NEVER:  # the schedule goes on from here
                self._start_ns = due_ns - share.offsets[i]
        if end - first == 1:
            return share.places[i], due_ns, ((share.samples[first], share.indices[first]),)
        self._left[share.places[i]] = end - first
        samples = zip(share.samples[first:end], share.indices[first:end], strict=True)
        return share.places[i], due_ns, list(samples)

    def done(self, place: int, now_ns: int) -> None:
        """Note that a sample of that query has come back."""
        if self._left and place in self._left:
            self._left[place] -= 1
            if self._left[place]:
                return
            del self._left[place]
        self.open_queries -= 1
        self.gate_ns = now_ns
        if self.due_ns == FAR_FUTURE_NS:
            self.look()


def progress_of(share: Share, window: Window, start_ns: int) -> Progress:
    """Return how a share is followed: in its own order, or turn by turn."""
    has_turns = any(after != NEVER for after in share.after)
    return (Turns if has_turns else Progress)(share, window, start_ns)


class Turns(Progress):
    """Conversations: queries of one sample each go in the order in which they are due, turns some
    time after the answer before them (as `harness.engine.turns`).
    """

    def __init__(self, share: Share, window: Window, start_ns: int) -> None:
        self._due: list[tuple[int, int]] = []
        self._next: dict[int, int] = {}  # by the place of a query: the row of who waits for it
        for row, after in enumerate(share.after):
            if after == NEVER:
                self._due.append((start_ns + share.offsets[row], row))
            else:
                self._next[after] = row
        heapq.heapify(self._due)
        self._taken = 0
        super().__init__(share, window, start_ns)

    @property
    def is_over(self) -> bool:
        return not self._due

    def look(self) -> None:
        due_ns = self._due[0][0] if self._due else FAR_FUTURE_NS
        window = self._window
        has_enough = window.max_queries != NEVER and self._taken >= window.max_queries
        since_ns = self.issued_ns - self.begun_ns
        is_long = window.max_duration_ns != NEVER and since_ns > window.max_duration_ns
        if due_ns != FAR_FUTURE_NS and (due_ns > self.until_ns or has_enough or is_long):
            self.end()
        else:
            self.due_ns = due_ns

    def end(self) -> None:
        self._due.clear()
        self._next.clear()
        self.due_ns = FAR_FUTURE_NS

    def withdraw(self, until_ns: int) -> None:
        super().withdraw(until_ns)
        self._next.clear()

    def take(self) -> tuple[int, int, Sequence[tuple[int, int]]]:
        due_ns, row = heapq.heappop(self._due)
        share, self._taken = self._share, self._taken + 1
        self.open_queries += 1
        return share.places[row], due_ns, ((share.samples[row], share.indices[row]),)

    def done(self, place: int, now_ns: int) -> None:
        self.open_queries -= 1
        self.gate_ns = now_ns
        row = self._next.pop(place, None)
        if row is not None:
            heapq.heappush(self._due, (now_ns + self._share.offsets[row], row))
            self.look()
