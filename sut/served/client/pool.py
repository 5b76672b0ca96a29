"""How do many requests reach a server on time, and how do their answers come back with the moments
at which they came? A pool of worker processes (`sut.served.client.worker`) sends and listens; this
process hands the plan over, and reads what came back.

    pool = Pool(clock, address, read, workers=1, limits=Limits())     # starts the workers
    pool.prepare({sample.index: request(address, "/completions", body) for …})   # untimed
    pool.warm(64)                                # open connections. Raises SetupFailed

Then either the pool is the driver's arm (`harness.kernel.protocols.Dispatcher`), or LoadGen says
one by one what is to be sent:

    start_ns = pool.dispatch(queries, window, hearer)    # returns at once; the clock runs
    pool.withdraw()                              # send no more; what is open goes on
    pool.give_up()                               # close what is open, which is told to nobody

    pool.listen(sink)                            # from now on, events go to an ordinary Sink
    pool.issue(query)                            # sent at once

    pool.facts()                                 # for `facts.driver["client"]`
    pool.close()

A SUT keeps one pool, passes these calls on, and says `read`: what makes an Answer of an Exchange,
such as `partial(sut.served.answers.read.answer, options=…)`. It is called in this process, outside
the timed path of the workers. `prepare` may be called again: it replaces the requests.

What came is told in `clock.wait`. Exchanges of which nothing came back (refused, stalled, …) are
told like the others. If a worker dies, `clock.wait` raises RunBroke.
"""

from __future__ import annotations

import select
from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from harness.kernel.answers import FAILURES, Answer, Exchange, Hearer, Window
from harness.kernel.errors import SetupFailed
from harness.kernel.protocols import Clock, Sink
from harness.kernel.types import Query
from sut.served.address import Address
from sut.served.client import frames
from sut.served.client.figures import summary
from sut.served.client.frames import Raw
from sut.served.client.http import exchange
from sut.served.client.link import Channel, started
from sut.served.client.live import Live
from sut.served.client.plan import shares
from sut.served.client.remote.address import Place
from sut.served.client.remote.link import reached
from sut.served.client.server import described
from sut.served.salt import Salt

Read = Callable[[Exchange], Answer]
SECOND_NS = 1_000_000_000
_LEAD_NS = 5_000_000  # from the word to begin to the first moment of a plan
_TRIPS = 10  # round trips of the network, for that word to reach other machines
_ROWS = 256  # requests in one message


class Limits(NamedTuple):
    """How long a worker waits, and how much it has in flight."""

    connect_ns: int = 10 * SECOND_NS
    stall_ns: int = 60 * SECOND_NS  # between two reads of an answer that has begun
    total_ns: int = 600 * SECOND_NS  # from the sending to the end of the answer
    in_flight: int = 0  # at most, over all workers; the rest waits in the worker. 0: no limit


class Pool:
    """Start `workers` processes that speak to the server at `address`, here or on the machines
    that are named as `clients`, one at least on each. Raises SetupFailed.
    """

    def __init__(
        self,
        clock: Clock,
        address: Address,
        read: Read,
        workers: int = 1,
        limits: Limits = Limits(),  # noqa: B008 (a tuple)
        clients: Sequence[Place] = (),
    ) -> None:
        self._clock, self._read, self._address = clock, read, address
        self._window = Window()
        self._hearer: Hearer | None = None
        self._live: Live | None = None
        self._figures: dict[Channel, dict[str, Any]] = {}
        self._lags_ns = array("q")
        self._is_waiting = limits.in_flight > 0  # for a slot: no lag then
        self._next = 0
        if not hasattr(select, "epoll"):
            fine = "they sleep on epoll, which Linux has"
            raise SetupFailed("starting the client's workers", "this is no Linux", fine)
        self._remote = reached(clock, self._hear, clients, workers) if clients else []
        self._links: Sequence[Channel] = self._remote or started(clock, self._hear, workers)
        each = limits._replace(in_flight=-(-limits.in_flight // len(self._links)))
        try:
            for link in self._links:
                self._refuse(*link.ask(frames.SERVER, described(address, each._asdict())))
        except BaseException:
            self.close()
            raise

    @property
    def pids(self) -> tuple[int, ...]:
        """The processes of the workers here, whose load counts as the client's."""
        return tuple(link.waited_for for link in self._links if link.waited_for is not None)

    def prepare(self, requests: Mapping[int, bytes], salt: Salt | None = None) -> None:
        """Hand over the whole request of each sample index, head and body
        (`sut.served.client.heads.request`); each is sent with a salt of its own.
        """
        rows = list(requests.items())
        for link in self._links:
            link.ask(frames.SALT, salt)
        for first in range(0, len(rows), _ROWS):
            for link in self._links:
                link.ask(frames.REQUESTS, rows[first : first + _ROWS])

    def warm(self, connections: int) -> None:
        """Open so many connections before the clock starts. Raises SetupFailed if there is none."""
        each = max(-(-connections // len(self._links)), 1)
        for link in self._links:
            link.say(frames.WARM, each)
        for link in self._links:
            self._refuse(*link.answer())

    def _refuse(self, failure: str, detail: str) -> None:
        if failure:
            found = FAILURES.get(failure, failure) + (f" ({detail})" if detail else "")
            fine, todo = "expected a server that answers", "Is it running there?"
            raise SetupFailed(f"reaching {self._address.root}", found, fine, todo)

    # ---- the driver's arm

    def dispatch(self, queries: Iterable[Query], window: Window, hearer: Hearer) -> int:
        """Hand the plan over; return the moment that its times count from. Nothing is sent
        before it.
        """
        self._window, self._hearer, self._live = window, hearer, None
        self._figures.clear()
        del self._lags_ns[:]
        for remote in self._remote:
            remote.compare_clocks()
        dealt = shares(queries, window, len(self._links))
        for link, share in zip(self._links, dealt, strict=True):
            link.say(frames.PLAN, share.packed(), window)
        for link in self._links:
            link.answer()
            link.is_done = False
        trip_ns = max((remote.round_trip_ns for remote in self._remote), default=0)
        start_ns = self._clock.now_ns() + _LEAD_NS + _TRIPS * trip_ns
        for link in self._links:
            link.say(frames.BEGIN, start_ns)
        return start_ns

    def withdraw(self) -> None:
        """Send no more of the plan: nothing that is due from now on."""
        until_ns = self._clock.now_ns()
        for link in self._links:
            link.say(frames.WITHDRAW, until_ns)

    def give_up(self) -> None:
        """Close what is open. Nobody is told of it but that it has ended."""
        for link in self._links:
            link.say(frames.GIVE_UP)

    # ---- LoadGen's

    def listen(self, sink: Sink) -> None:
        """Tell what comes of `issue` to a sink, as it comes."""
        self._hearer, self._live = None, Live(sink, self._read)

    def issue(self, query: Query) -> None:
        """Send its samples now."""
        links = self._links
        rows: list[list[tuple[int, int]]] = [[] for _ in links]
        for sample in query.samples:
            rows[self._next % len(links)].append((sample.id, sample.index))
            self._next += 1
        for link, samples in zip(links, rows, strict=True):
            if samples:
                link.say(frames.SEND, samples)

    # ---- what workers say

    def _hear(self, link: Channel, message: list[Any]) -> None:
        kind, *body = message
        if kind == frames.TOLD:
            self._told(*body)
        elif kind == frames.PART and self._live is not None:
            self._live.part(*body)
        elif kind == frames.FACTS:
            self._figures[link] = body[0]
        elif kind == frames.ENDED:
            link.is_done = True
            self._ended(body[0])

    def _told(self, rows: bytes, exchanges: list[list[Any]]) -> None:
        hearer, moments = self._hearer, array("q", rows)
        if hearer is not None:
            for place, due_ns, issued_ns in zip(*[iter(moments)] * 3, strict=True):
                self._lags_ns.append(issued_ns - due_ns)
                hearer.sent(place, due_ns, issued_ns)
        for fields in exchanges:
            raw = Raw(*fields)
            if raw.ending == "withdrawn":
                continue
            answer = self._read(exchange(raw))
            if raw.retries:
                answer.seen = answer.seen._replace(retries=raw.retries)
            if hearer is not None:
                hearer.answered(answer)
            elif self._live is not None:
                self._live.whole(answer)

    def _ended(self, reason: str) -> None:
        if self._hearer is None or not (reason or all(link.is_done for link in self._links)):
            return
        hearer = self._hearer
        if reason:
            self.give_up()
        hearer.ended(reason)

    def facts(self) -> dict[str, Any]:
        """Return what the workers say of themselves: their capacity, how busy they were, how late
        they sent and stamped, what the scheduler took; of those on other machines, how sure it is
        what their clocks show.
        """
        for link in self._links:
            if link not in self._figures:
                self._figures[link] = link.ask_for(frames.FACTS, frames.FACTS)[0]
        found = summary(list(self._figures.values()), self._lags_ns)
        if self._remote:
            found["clocks"] = [remote.facts() for remote in self._remote]
        return found

    def close(self) -> None:
        """End the workers."""
        for link in self._links:
            link.close()
