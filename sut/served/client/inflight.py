"""What is in flight, over which connections, and what is given up? A worker's bookkeeping.

A sample is due, may wait for a slot, goes out over a connection that is open already, or else over
a new one, and ends: whole, or in one of the other ways (`harness.kernel.answers.Ending`). A
connection that the server closed between two requests is opened again. One that closes without a
byte of an answer, just after a request went out on it as not the first, was closed before the
server saw that request: it is sent once more.
"""

from __future__ import annotations

import heapq
import select
from array import array
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from harness.kernel.answers import Ending, Window
from harness.kernel.clock import RealClock
from sut.served.client.connection import BUSY, CONNECTING, IDLE, SHAKING, Connection
from sut.served.client.frames import PART, READY, Raw
from sut.served.client.heads import NUMBER
from sut.served.client.http import retry_after_ns
from sut.served.client.plan import Progress, empty
from sut.served.client.server import Server, met
from sut.served.salt import MARK, Salt

_FILL = 8  # requests that are sent before it is looked whether something has come
_CLOSED_EARLY_NS = 100_000_000  # a server that closes takes no longer to say so
_LASTING_NS = 1_000_000_000  # a connection that lived longer is opened again
_RETRY_NS = 1_000_000_000  # where the server names no time
_LONGEST_RETRY_NS = 60_000_000_000  # whatever it names
_NO_PLAN = Progress(empty(), Window(), 0)
now_ns = RealClock.now_ns
Say = Callable[..., None]


class Sample(NamedTuple):
    id: int
    row: int  # of the requests: the index of a sample of the dataset
    place: int
    retries: int = 0
    was_sent: bool = False  # over a connection that had been closed


class InFlight:
    """`connections` by descriptor; `done` and `rows` wait to be shipped; `next_ns` is when `act`
    must be called next.
    """

    def __init__(self, epoll: select.epoll, say: Say) -> None:
        self._epoll, self._say = epoll, say
        self._server = Server()
        self._requests: dict[int, tuple[bytes, bytes, bytes, bytes]] = {}
        self.salt: Salt | None = None
        self.connections: dict[int, Connection] = {}
        self._idle: list[Connection] = []
        self._timers: list[tuple[int, int, Connection | None, Sample | None]] = []
        self._count = 0
        self.waiting: deque[Sample] = deque()
        self.done: deque[Raw] = deque()
        self.rows = array("q")
        self.progress = _NO_PLAN
        self.is_live = False  # events are told as they come
        self.broke = ""
        self._retries = 0
        self._open = self._sent = 0  # samples that have not ended; requests that wait for an answer
        self._warming = 0
        self._why: tuple[str, str] = ("", "")  # of the latest connection that was not made
        self._heard_ns = 0
        self.delays_ns = array("q")
        self.counts = Counter[str]()

    # ---- before the clock starts

    def meet(self, server: Mapping[str, Any]) -> tuple[str, str]:
        """Find the server; return why it cannot be reached, and the system's words."""
        self._server, why = met(server)
        return why

    def prepare(self, requests: Sequence[tuple[int, bytes]]) -> None:
        """Keep the requests by the index of their sample, cut where number and salt go."""
        mark = self.salt.mark if self.salt is not None else MARK
        for index, data in requests:
            before, _, rest = data.partition(NUMBER)
            self._requests[index] = before, *rest.partition(mark)

    def warm(self, connections: int) -> None:
        """Open so many; READY follows once each is open, or is not."""
        self._why = "", ""
        missing = connections - len(self._idle)
        self._warming = max(missing, 0)
        for _ in range(missing):
            self._connect(None)
        self._is_warm()

    def _is_warm(self) -> None:
        if not self._warming:
            self._say(READY, *(("", "") if self._idle else self._why))

    def begin(self, progress: Progress, retries: int) -> None:
        """Follow a plan."""
        self.progress, self._retries, self.broke = progress, retries, ""
        self._heard_ns = progress.begun_ns
        self.is_live = False
        del self.delays_ns[:]
        self.counts.clear()

    # ---- what is due

    def next_ns(self) -> int:
        timers = self._timers
        due_ns = self.progress.due_ns
        return min(due_ns, timers[0][0]) if timers else due_ns

    def act(self, now: int) -> None:
        """Send what is due, give up what has lasted too long."""
        if now >= self.progress.due_ns:
            self.release(now)
        timers = self._timers
        while timers and timers[0][0] <= now:
            _, _, connection, sample = heapq.heappop(timers)
            if connection is None:
                assert sample is not None
                self.waiting.append(sample)
            elif connection.sample is sample:
                self._look_at(connection, now)

    def release(self, now: int) -> None:
        """Send the queries that are due."""
        progress, rows = self.progress, self.rows
        while now >= progress.due_ns:
            place, due_ns, samples = progress.take()
            self._open += len(samples)
            if len(samples) == 1 and not self.waiting and self._has_slot():
                issued_ns = self._send(Sample(*samples[0], place))
            else:
                issued_ns = now
                self.waiting.extend(Sample(i, index, place) for i, index in samples)
            rows.extend((place, due_ns, issued_ns))
            progress.issued_ns = issued_ns
            progress.look()
            now = now_ns()

    def fill(self) -> None:
        """Send what waits for a slot."""
        for _ in range(_FILL):
            if not self.waiting or not self._has_slot():
                return
            self._send(self.waiting.popleft())

    def send_now(self, samples: Sequence[tuple[int, int]]) -> None:
        """Send samples that LoadGen asks for."""
        self.is_live = True
        for i, index in samples:
            self._open += 1
            self.waiting.append(Sample(i, index, -1))
        self.fill()

    def _has_slot(self) -> bool:
        return self._sent < self._server.in_flight

    def _send(self, sample: Sample) -> int:
        """Send it, or open the connection that it goes over; return the moment right before."""
        self._sent += 1
        if not self._idle:
            self.counts["opened"] += 1
            return self._connect(sample)
        connection = self._idle.pop()
        self._write(connection, sample)
        return connection.issued_ns

    def _write(self, connection: Connection, sample: Sample) -> None:
        before, middle, mark, after = self._requests[sample.row]
        salt = self.salt.of(sample.id) if mark and self.salt is not None else mark
        data = b"%b%010d%b%b%b" % (before, sample.id, middle, salt, after) if middle else before
        connection.send(sample, data, self.is_live)
        server = self._server
        self._call_at(connection.issued_ns + min(server.stall_ns, server.total_ns), connection)

    def _connect(self, sample: Sample | None, issued_ns: int = 0) -> int:
        """Open a connection for a sample; return the moment right before, if it was not issued
        before that.
        """
        server, issued_ns = self._server, issued_ns or now_ns()
        try:
            connection = Connection(self, self._epoll, server.place, server.tls, server.name)
        except OSError as error:  # no descriptor is left
            self._unmade(sample, issued_ns, error.strerror or str(error))
            return issued_ns
        connection.sample, connection.issued_ns = sample, issued_ns
        self.connections[connection.fd] = connection
        self._call_at(connection.opened_ns + server.connect_ns, connection)
        return issued_ns

    def _unmade(self, sample: Sample | None, issued_ns: int, detail: str) -> None:
        if sample is None:
            self._why = "no_connection", detail
            self._warmed()
        else:
            self._sent -= 1
            self._end(sample, issued_ns, (), "no_connection", detail)

    def _call_at(self, when_ns: int, connection: Connection | None, sample: Any = None) -> None:
        self._count += 1
        sample = connection.sample if connection is not None else sample
        heapq.heappush(self._timers, (when_ns, self._count, connection, sample))

    def _look_at(self, connection: Connection, now: int) -> None:
        """Give up a connection that is not made in time, an answer that stalls or is overdue."""
        server = self._server
        if connection.state in (CONNECTING, SHAKING):
            limit = f"no connection within {server.connect_ns / 1e9:g} s"
            self.lost(connection, "no_connection", limit)
        elif connection.state == BUSY:
            stalls_ns = connection.last_ns + server.stall_ns
            overdue_ns = connection.issued_ns + server.total_ns
            if now >= overdue_ns:
                self._break_if_silent(connection, now)
                self._give_up(connection, "overdue", f"not whole after {server.total_ns / 1e9:g} s")
            elif connection.pieces and now >= stalls_ns:
                words = f"nothing more came for {server.stall_ns / 1e9:g} s"
                self._give_up(connection, "stalled", words)
            else:
                next_ns = stalls_ns if connection.pieces else now + server.stall_ns
                self._call_at(min(next_ns, overdue_ns), connection)

    def _break_if_silent(self, connection: Connection, now: int) -> None:
        """End the whole plan where nothing at all came while one request was waited for."""
        latest = max((c.last_ns for c in self.connections.values() if c.pieces), default=0)
        if max(latest, self._heard_ns) <= connection.issued_ns and not self.is_live:
            self.broke = f"the server sent nothing for {(now - connection.issued_ns) / 1e9:.0f} s"
            self.progress.end()
            self.waiting.clear()

    # ---- what connections tell

    def opened(self, connection: Connection) -> None:
        """Send what the connection was opened for."""
        sample = connection.sample
        if sample is None:
            self._idle.append(connection)
            self._warmed()
            return
        begun_ns = connection.issued_ns
        self._write(connection, sample)
        connection.issued_ns = begun_ns

    def _warmed(self) -> None:
        if self._warming:
            self._warming -= 1
            self._is_warm()

    def part(self, connection: Connection, moment_ns: int, data: bytes) -> None:
        """Tell LoadGen's side of every read."""
        self._say(PART, connection.sample.id, connection.issued_ns, moment_ns, data)

    def finished(self, connection: Connection, moment_ns: int) -> None:
        """Take a whole answer; the connection is free for the next."""
        sample, pieces = connection.sample, connection.pieces
        connection.sample = None
        self._idle.append(connection)
        self._heard_ns = moment_ns
        self._sent -= 1
        if self._retries and pieces[0][1][9:12] in (b"429", b"503") and self._again(sample, pieces):
            return
        self._end(sample, connection.issued_ns, pieces, "whole", end_ns=moment_ns)

    def _again(self, sample: Sample, pieces: Sequence[tuple[int, bytes]]) -> bool:
        """Ask once more later, as the server wants it (accuracy mode)."""
        pause_ns = retry_after_ns(pieces, _RETRY_NS)
        if pause_ns is None or sample.retries >= self._retries:
            return False
        self.counts["retries"] += 1
        again = sample._replace(retries=sample.retries + 1)
        self._call_at(now_ns() + min(pause_ns, _LONGEST_RETRY_NS), None, again)
        return True

    def lost(self, connection: Connection, ending: Ending, detail: str) -> None:
        """Take leave of a connection."""
        state, sample = connection.state, connection.sample
        if state == BUSY and self._was_closed_before(connection, ending):
            self.counts["sent_again"] += 1
            self._drop(connection)
            self._connect(sample._replace(was_sent=True), connection.issued_ns)
        elif sample is not None:
            self._give_up(connection, ending, detail)
        elif state == IDLE:
            with suppress(ValueError):
                self._idle.remove(connection)
            self._drop(connection)
            if now_ns() - connection.opened_ns > _LASTING_NS:
                self._connect(None)
        else:
            self._why = ending, detail
            self._drop(connection)
            self._warmed()

    def _was_closed_before(self, connection: Connection, ending: Ending) -> bool:
        return (
            not connection.pieces
            and connection.num_answers > 0
            and not connection.sample.was_sent
            and ending in ("closed", "reset")
            and now_ns() - connection.issued_ns < _CLOSED_EARLY_NS
        )

    def _give_up(self, connection: Connection, ending: Ending, detail: str) -> None:
        sample = connection.sample
        self._sent -= 1
        self._drop(connection)
        self._end(sample, connection.issued_ns, connection.pieces, ending, detail)

    def _drop(self, connection: Connection) -> None:
        self.connections.pop(connection.fd, None)
        connection.close()
        connection.sample = None

    def _end(
        self,
        sample: Sample,
        issued_ns: int,
        pieces: Sequence[tuple[int, bytes]],
        ending: Ending,
        detail: str = "",
        end_ns: int = 0,
    ) -> None:
        end_ns = end_ns or now_ns()
        self._open -= 1
        self.counts["answers"] += 1
        self.counts["reads"] += len(pieces)
        self.done.append(Raw(sample.id, issued_ns, ending, end_ns, detail, sample.retries, pieces))
        if sample.place >= 0:
            self.progress.done(sample.place, end_ns)

    # ---- the end

    @property
    def is_drained(self) -> bool:
        """Is nothing to be sent and nothing open?"""
        return not self._open and self.progress.is_over

    @property
    def is_over(self) -> bool:
        """Is nothing to be shipped either?"""
        return self.is_drained and not (self.done or self.rows)

    def withdraw(self, until_ns: int) -> None:
        """Send nothing that is due later than that; what is open goes on."""
        self.progress.withdraw(until_ns)

    def give_up(self) -> None:
        """End all that is open: it is withdrawn."""
        self.progress.end()
        for sample in (*self.waiting, *(s for _, _, c, s in self._timers if c is None and s)):
            self._open -= 1
            end_ns = now_ns()
            self.done.append(Raw(sample.id, end_ns, "withdrawn", end_ns, "", sample.retries, ()))
        self.waiting.clear()
        self._timers = [row for row in self._timers if row[2] is not None]
        for connection in list(self.connections.values()):
            if connection.sample is not None:
                self._give_up(connection, "withdrawn", "")

    def figures(self) -> dict[str, Any]:
        delays_ns = self.delays_ns.tobytes()
        return {**self.counts, "connections": len(self.connections), "delays_ns": delays_ns}
