"""How does the pool speak with a worker on another machine? As with one here, over TCP; moments are
translated from their clock to ours on the way in, and from ours to theirs on the way out.

An answer's latency is a difference of two stamps of the same clock, so an error of the offset does
not touch it: it moves all requests of a worker by the same time against the plan.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from harness.kernel.errors import RunBroke, SetupFailed
from harness.kernel.protocols import Clock
from sut.served.client import frames
from sut.served.client.link import Channel
from sut.served.client.remote.address import Place
from sut.served.client.remote.clocks import QUESTIONS, Asked, Offset, error_ns, offset
from sut.served.client.remote.greeting import TIMEOUT_S, Refused, met_by_driver
from sut.served.client.remote.listening import lasting

_FINE = "expected `harness client --listen` there"
_UNKNOWN = Offset(0, 0)


class RemoteLink(Channel):
    """A worker that `harness client` at `place` starts for us. Raises SetupFailed."""

    def __init__(
        self, clock: Clock, hear: Callable[[RemoteLink, list[Any]], None], place: Place
    ) -> None:
        self.place = place
        self._before = self._after = _UNKNOWN
        super().__init__(clock, hear, _connected(place))

    # ---- clocks

    def compare_clocks(self) -> None:
        """Find out what their clock shows when ours shows 0; outside the timed window."""
        self._before = self._after = self._compared()

    def facts(self) -> dict[str, Any]:
        """Compare the clocks again; return what is known of them."""
        self._after = self._compared()
        return {
            "host": str(self.place),
            "offset_ms": round(self._before.offset_ns / 1e6, 6),
            "drift_us": round((self._after.offset_ns - self._before.offset_ns) / 1e3, 3),
            "error_us": round(error_ns(self._before, self._after) / 1e3, 3),
        }

    @property
    def round_trip_ns(self) -> int:
        """How long a question and its answer took at least."""
        return 2 * self._before.error_ns

    def _compared(self) -> Offset:
        asked = []
        for _ in range(QUESTIONS):
            sent_ns = self._clock.now_ns()
            (there_ns,) = self.ask_for(frames.PONG, frames.PING)
            asked.append(Asked(sent_ns, there_ns, self._clock.now_ns()))
        return offset(asked)

    # ---- translation

    def say(self, *items: Any) -> None:
        """Send a message; moments in it are theirs from here on."""
        if items[0] in (frames.BEGIN, frames.WITHDRAW):
            items = (items[0], items[1] + self._before.offset_ns)
        super().say(*items)

    def _received(self) -> list[list[Any]]:
        return [self._ours(message) for message in super()._received()]

    def _ours(self, message: list[Any]) -> list[Any]:
        """Return a message with the moments of our clock."""
        by_ns = self._before.offset_ns
        if message[0] == frames.TOLD:
            kind, rows, exchanges = message
            return [kind, _rows(rows, by_ns), [_exchange(raw, by_ns) for raw in exchanges]]
        if message[0] == frames.PART:
            kind, sample_id, issued_ns, moment_ns, data = message
            return [kind, sample_id, issued_ns - by_ns, moment_ns - by_ns, data]
        return message

    # ---- the end

    def _death(self) -> RunBroke:
        self._clock.unwatch(self._fd)
        where = f"the client's worker on {self.place}"
        return RunBroke(where, "its connection is closed", "", "See what `harness client` says.")


def _rows(rows: bytes, by_ns: int) -> bytes:
    """Move due and issued of (place, due, issued) by an offset."""
    moved = np.frombuffer(rows, np.int64).reshape(-1, 3) - np.array([0, by_ns, by_ns])
    return moved.tobytes()


def _exchange(fields: list[Any], by_ns: int) -> list[Any]:
    """Move the moments of an exchange by an offset."""
    raw = frames.Raw(*fields)
    pieces = [(moment_ns - by_ns, data) for moment_ns, data in raw.pieces]
    issued_ns, end_ns = raw.issued_ns - by_ns, raw.end_ns - by_ns
    return list(raw._replace(issued_ns=issued_ns, end_ns=end_ns, pieces=pieces))


def _connected(place: Place) -> socket.socket:
    """Return the channel to a worker there. Raises SetupFailed."""
    doing, todo = f"--client {place}", "Start it there: python -m harness client --listen HOST:PORT"
    try:
        connection = socket.create_connection(place, TIMEOUT_S)
    except OSError as error:
        found = (error.strerror or str(error)).lower()
        raise SetupFailed(doing, found, _FINE, f"{todo}.") from None
    try:
        met_by_driver(connection)
    except Refused as why:
        connection.close()
        raise SetupFailed(doing, str(why), _FINE, "") from None
    except OSError as error:
        connection.close()
        found = (error.strerror or str(error)).lower()
        raise SetupFailed(doing, found, _FINE, f"{todo}.") from None
    lasting(connection)
    return connection


def reached(
    clock: Clock, hear: Callable[[Any, list[Any]], None], places: Sequence[Place], count: int
) -> list[RemoteLink]:
    """Have `count` workers in all, one on each place at least; all or none."""
    made = list[RemoteLink]()
    try:
        for number in range(max(count, len(places))):
            made.append(RemoteLink(clock, hear, places[number % len(places)]))
    except BaseException:
        for link in made:
            link.close()
        raise
    return made
