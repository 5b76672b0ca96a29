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
    pool.give_up()                               # close what is open, and tell it as "withdrawn"

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

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from harness.kernel.answers import Answer, Exchange, Hearer, Window
from harness.kernel.protocols import Clock, Sink
from harness.kernel.types import Query
from sut.served.address import Address

Read = Callable[[Exchange], Answer]
SECOND_NS = 1_000_000_000


class Limits(NamedTuple):
    """How long a worker waits, and how much it has in flight."""

    connect_ns: int = 10 * SECOND_NS
    stall_ns: int = 60 * SECOND_NS  # between two reads of an answer that has begun
    total_ns: int = 600 * SECOND_NS  # from the sending to the end of the answer
    in_flight: int = 0  # at most, over all workers; the rest waits in the worker. 0: no limit


class Pool:
    """Start `workers` processes that speak to the server at `address`."""

    def __init__(
        self,
        clock: Clock,
        address: Address,
        read: Read,
        workers: int = 1,
        limits: Limits = Limits(),  # noqa: B008 (a tuple)
    ) -> None:
        raise NotImplementedError

    @property
    def pids(self) -> tuple[int, ...]:
        """The processes of the workers, whose load counts as the client's."""
        raise NotImplementedError

    def prepare(self, requests: Mapping[int, bytes]) -> None:
        """Hand over the whole request of each sample index, head and body
        (`sut.served.client.heads.request`).
        """
        raise NotImplementedError

    def warm(self, connections: int) -> None:
        """Open so many connections before the clock starts. Raises SetupFailed."""
        raise NotImplementedError

    def dispatch(self, queries: Iterable[Query], window: Window, hearer: Hearer) -> int:
        """Hand the plan over; return the moment that its times count from. Nothing is sent
        before it.
        """
        raise NotImplementedError

    def withdraw(self) -> None:
        """Send no more of the plan."""
        raise NotImplementedError

    def give_up(self) -> None:
        """Close what is open; it is told as "withdrawn"."""
        raise NotImplementedError

    def listen(self, sink: Sink) -> None:
        """Tell what comes of `issue` to a sink, as it comes."""
        raise NotImplementedError

    def issue(self, query: Query) -> None:
        """Send its samples now."""
        raise NotImplementedError

    def facts(self) -> dict[str, Any]:
        """Return what the workers say of themselves: their capacity, how busy they were, how late
        they sent and stamped, what the scheduler took.
        """
        raise NotImplementedError

    def close(self) -> None:
        """End the workers."""
        raise NotImplementedError
