"""When does the next turn of a conversation go? Some time after the answer before it has come, and
meanwhile other conversations go on: the order of the queries is known only in the run.

So queries are numbered as they are issued. `index` of a sample says which turn it was.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from typing import TYPE_CHECKING

from harness.kernel.clock import FAR_FUTURE_NS
from harness.kernel.types import AfterQuery, At, Query, QuerySample

if TYPE_CHECKING:
    from harness.engine.driver import Loop


def has_turns(queries: Iterable[Query]) -> bool:
    """Does one of them wait for the end of another?"""
    return any(isinstance(query.release, AfterQuery) for query in queries)


class Turns:
    """Queries by the moment they are due, those that wait for others among them. Made before the
    clock starts; `start_ns` is set when it does.
    """

    def __init__(self, queries: Iterable[Query]) -> None:
        self.start_ns = 0
        self._due: list[tuple[int, int]] = []  # since the start
        self._plan: dict[int, Query] = {}
        self._next: dict[int, tuple[int, int]] = {}  # by a query of the plan: who waits, how long
        for query in queries:
            self._plan[query.id] = query
            release = query.release
            if isinstance(release, AfterQuery):
                self._next[release.query_id] = query.id, release.think_ns
            else:
                assert isinstance(release, At)
                self._due.append((release.offset_ns, query.id))
        heapq.heapify(self._due)

    @property
    def due_ns(self) -> int:
        """When the next query is due; FAR_FUTURE_NS while all others wait for answers."""
        return self.start_ns + self._due[0][0] if self._due else FAR_FUTURE_NS

    def take(self) -> tuple[int, Query]:
        """Remove the query that is due first; return when that is, and the query as planned."""
        due_ns, place = heapq.heappop(self._due)
        return self.start_ns + due_ns, self._plan.pop(place)

    def ended(self, place: int, done_ns: int) -> None:
        """Hear that a query of the plan has ended: whoever waits for it may go after a while."""
        if place in self._next:
            following, think_ns = self._next.pop(place)
            heapq.heappush(self._due, (done_ns - self.start_ns + think_ns, following))


def numbered(query: Query, number: int, first_sample: int) -> Query:
    """Return a query with the next number and samples with the next ids."""
    samples = [QuerySample(first_sample + k, one.index) for k, one in enumerate(query.samples)]
    return Query(number, samples, query.release)


def issue_turns(loop: Loop, turns: Turns, start_ns: int) -> None:
    """Issue a plan with turns: `Loop.issue_all` for queries that wait for others, one sample each.
    The plan ends them all, or a maximum does.
    """
    recorder, clock, stop = loop.recorder, loop.clock, loop.stop
    _, _, max_queries, max_end_ns = loop.limits(start_ns)
    turns.start_ns, heard = start_ns, 0
    places: list[int] = []  # in the plan, of the queries that were issued
    while not stop.requests:
        now = clock.wait(0)
        for sample_id, done_ns in recorder.ended_since(heard):
            turns.ended(places[sample_id], done_ns)
            heard += 1
        if now < turns.due_ns:
            if turns.due_ns == FAR_FUTURE_NS and not recorder.open_samples:
                return
            loop.pause(turns.due_ns)
            continue
        if len(places) >= max_queries or now > max_end_ns:
            return
        due_ns, planned = turns.take()
        query = numbered(planned, len(places), recorder.num_issued)
        places.append(planned.id)
        recorder.issue(query, due_ns, clock.now_ns())
        loop.sut.issue(query)
