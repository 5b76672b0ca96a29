"""How much can one worker take on this machine? It is measured against an echo on loopback, before
the clock starts: some thousand answers in one write, and as many whose tokens come apart.

What counts is the processor time that an answer takes, so that other programs on the machine change
little, and an echo that is slower than the worker nothing. The figures are kept for this machine,
so that only a first run pays for them.
"""

from __future__ import annotations

from harness.kernel.answers import Answer, Exchange, Window
from harness.kernel.errors import SetupFailed
from harness.kernel.machine import waits
from harness.kernel.process import children
from harness.kernel.protocols import Clock
from harness.kernel.types import At, Query, QuerySample
from sut.border import channel
from sut.served.address import Address
from sut.served.client import frames
from sut.served.client.calibration.echo import APART, IN_ONE
from sut.served.client.calibration.kept import Capacity, keep, known
from sut.served.client.heads import request
from sut.served.client.pool import Limits, Pool

_CONNECTIONS = 64
_ANSWERS = 6_000, 1_500  # of each kind
_EASY = Capacity(500, 10_000)  # far below what any machine has shown
_PATIENCE_NS = 60_000_000_000
_DOING = "measuring the client"


def capacity(clock: Clock) -> Capacity:
    """Return what a worker can take here, measured now or before. Raises SetupFailed."""
    found = known()
    if found is None:
        found = measured(clock)
        keep(found)
    return found


def workers_for(clock: Clock, answers_per_s: float, chunks_per_s: float) -> int:
    """Return how many workers such a load takes. What any worker can take costs no measurement.
    Raises SetupFailed.
    """
    if answers_per_s <= _EASY.answers_per_s and chunks_per_s <= _EASY.chunks_per_s:
        return 1
    return capacity(clock).workers(answers_per_s, chunks_per_s)


def measured(clock: Clock) -> Capacity:
    """Measure it now. Raises SetupFailed."""
    with Echoing() as echo:
        pool = Pool(clock, echo.address, _unread, limits=Limits(in_flight=_CONNECTIONS))
        try:
            pool.warm(_CONNECTIONS)
            answers_per_s, _ = _rates(clock, pool, echo.address, IN_ONE, _ANSWERS[0])
            _, chunks_per_s = _rates(clock, pool, echo.address, APART, _ANSWERS[1])
        finally:
            pool.close()
    return Capacity(round(answers_per_s), round(chunks_per_s))


class Echoing:
    """An echo for as long as the block lasts; `address` is where it listens. Raises SetupFailed."""

    def __enter__(self) -> Echoing:
        offer = channel.offer()
        self._child = children.Child(
            "sut.served.client.calibration.echo",
            offer.argument,
            env=offer.environment,
            **offer.started,
        )
        self._held = offer.accept(self._child)
        try:
            self.address = Address("127.0.0.1", self._port(), False, "")
        except BaseException:
            self.__exit__()
            raise
        return self

    def _port(self) -> int:
        """Wait until the echo says where it listens."""
        wait = waits.Wait(self._child.pid, waits.STARTING)
        try:
            while not channel.wait(self._held, False, wait.pause_s):
                wait.look()
        except waits.Overdue as overdue:
            raise SetupFailed(_DOING, f"its echo did not start: {overdue}") from None
        said = list(frames.Reader().feed(self._held.recv(64)))
        if not said:
            raise SetupFailed(_DOING, "its echo ended before it had begun")
        port: int = said[0][1]
        return port

    def __exit__(self, *_: object) -> None:
        self._held.close()
        waits.leave(self._child)


class _Ends:
    """Hears only of the end."""

    def __init__(self) -> None:
        self.is_over = False

    def sent(self, place: int, due_ns: int, issued_ns: int) -> None:
        """Nothing is late that waits for a slot."""

    def answered(self, answer: Answer) -> None:
        """They are counted by the worker."""

    def ended(self, reason: str = "") -> None:
        self.is_over = True


def _rates(
    clock: Clock, pool: Pool, address: Address, path: bytes, count: int
) -> tuple[float, float]:
    """Return answers and reads per second of the worker's processor time."""
    pool.prepare({0: request(address, path.decode(), b"{}")})
    query = Query(0, [QuerySample(i, 0) for i in range(count)], At(0))
    ends = _Ends()
    until_ns = pool.dispatch([query], Window(), ends) + _PATIENCE_NS
    while not ends.is_over and clock.wait(until_ns) < until_ns:
        pass
    facts = pool.facts()
    if not ends.is_over or facts["cpu_s"] <= 0:
        raise SetupFailed(_DOING, f"it did not take {count} answers in 60 s")
    return count / facts["cpu_s"], facts["reads"] / facts["cpu_s"]


def _unread(exchange: Exchange) -> Answer:
    return Answer(exchange.sample_id, exchange.issued_ns, exchange.end_ns)
