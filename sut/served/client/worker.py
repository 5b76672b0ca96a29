"""Who sends each request on time, and stamps what comes? One process with one thread, which does
nothing else: `python -m sut.served.client.worker CHANNEL`, started by the pool.

It has the plan before the clock starts, sleeps on one epoll until the next moment, and spins the
last 60 us. What comes is stamped and kept as it is; a finished exchange goes to the pool in bulk
when there is nothing else to do. It parses nothing in the meantime.
"""

from __future__ import annotations

import gc
import resource
import select
import sys
from contextlib import suppress
from socket import socket as Socket
from typing import Any

from harness.kernel.answers import Window
from harness.kernel.clock import RealClock, process_cpu_s, shorten_timer_slack
from harness.kernel.process import children
from sut.border import channel
from sut.served.client import frames
from sut.served.client.frames import Raw
from sut.served.client.inflight import InFlight
from sut.served.client.plan import progress_of, unpacked
from sut.served.salt import Salt

SPIN_NS = 60_000
BULK, BULK_NS = 16, 100_000_000  # so many exchanges wait, or so long, until they are shipped
SLICE_BYTES = 16_000  # that are shipped at once: 20 us of work
_CROWD = 4096  # exchanges that wait to be shipped: from here on they are, whatever else comes
_EVENTS = 64
_LONGEST_NS = 3_600_000_000_000
now_ns = RealClock.now_ns


class Worker:
    """The loop: what is due, what has come, what the pool wants, in this order."""

    def __init__(self, connection: Socket) -> None:
        self._channel = connection
        self._channel.setblocking(False)
        self._epoll = select.epoll()
        self._epoll.register(connection.fileno(), select.EPOLLIN)
        self._messages = frames.Reader()
        self._out = bytearray()
        self._flight = InFlight(self._epoll, self._say)
        self._shipped_ns, self._is_shipping = 0, False
        self._idle_ns = self._begun_ns = 0
        self._waited_s = self._used_s = 0.0
        self._is_over = True  # nothing has begun
        self._is_wanted = True

    def serve(self) -> None:
        """Work until the pool lets go."""
        flight, poll = self._flight, self._epoll.poll
        connections, channel_fd = flight.connections, self._channel.fileno()
        while self._is_wanted:
            now = now_ns()
            if now >= flight.next_ns():
                flight.act(now)
            events = poll(0, _EVENTS)
            for fd, mask in events:
                if fd == channel_fd:
                    self._hear()
                elif fd in connections:  # an earlier event of this turn may have closed it
                    connections[fd].ready(mask)
                now = now_ns()
                if now >= flight.progress.due_ns:
                    flight.release(now)
            if flight.waiting:
                flight.fill()
            if events:
                if len(flight.done) > _CROWD:
                    self._ship()
            elif not self._ship_some(now):
                self._sleep(now)

    # ---- while nothing else is to be done

    def _ship_some(self, now: int) -> bool:
        """Send finished exchanges to the pool; return whether there was something to do."""
        flight = self._flight
        if self._out:
            return self._flush()
        if not (flight.done or flight.rows):
            self._is_shipping = False
            return self._may_end()
        is_urgent = flight.is_live or flight.is_drained
        if flight.next_ns() - now < SPIN_NS and not is_urgent:
            return False
        is_old = now - self._shipped_ns > BULK_NS
        if not (self._is_shipping or is_urgent or is_old or len(flight.done) >= BULK):
            return False
        self._shipped_ns, self._is_shipping = now, True
        self._ship()
        return True

    def _ship(self) -> None:
        flight = self._flight
        bulk: list[Raw] = []
        size = 0
        while flight.done and size < SLICE_BYTES:
            raw = flight.done.popleft()
            size += sum(len(data) for _, data in raw.pieces)
            bulk.append(raw)
        rows = flight.rows.tobytes()
        del flight.rows[:]
        self._say(frames.TOLD, rows, bulk)

    def _may_end(self) -> bool:
        if self._is_over or not self._flight.is_over:
            return False
        self._is_over = True
        self._say(frames.FACTS, self._figures())
        self._say(frames.ENDED, self._flight.broke)
        return True

    def _sleep(self, now: int) -> None:
        """Wait for the next event or moment; what is left of it is spun by `serve`."""
        until_ns = self._flight.next_ns()
        if self._out:
            until_ns = min(until_ns, now + 1_000_000 + SPIN_NS)
        elif self._flight.done or self._flight.rows:
            until_ns = min(until_ns, self._shipped_ns + BULK_NS + SPIN_NS)
        pause_ns = min(until_ns - now - SPIN_NS, _LONGEST_NS)
        if pause_ns > 0:
            select.select((self._epoll.fileno(),), (), (), pause_ns / 1e9)
        self._idle_ns += now_ns() - now

    # ---- the pool

    def _say(self, *items: Any) -> None:
        self._out += frames.frame(*items)
        self._flush()

    def _flush(self) -> bool:
        """Send what the pool takes now; return whether it took something."""
        try:
            with memoryview(self._out) as view:
                sent = self._channel.send(view[:SLICE_BYTES])
        except BlockingIOError:
            return False
        except OSError:  # it is gone: so are we, soon
            self._is_wanted = False
            return True
        del self._out[:sent]
        return sent > 0

    def _hear(self) -> None:
        try:
            data = self._channel.recv(1 << 16)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._is_wanted = False
        for kind, *body in self._messages.feed(data):
            self._do(kind, body)

    def _do(self, kind: int, body: list[Any]) -> None:
        flight = self._flight
        if kind == frames.SERVER:
            self._say(frames.READY, *flight.meet(*body))
        elif kind == frames.REQUESTS:
            flight.prepare(*body)
            self._say(frames.READY, "", "")
        elif kind == frames.SALT:
            flight.salt = None if body[0] is None else Salt(*body[0])
            self._say(frames.READY, "", "")
        elif kind == frames.WARM:
            flight.warm(*body)
        elif kind == frames.PLAN:
            self._plan = unpacked(body[0]), Window(*body[1])
            self._say(frames.READY, "", "")
        elif kind == frames.BEGIN:
            self._begin(*body)
        elif kind == frames.WITHDRAW:
            flight.withdraw(*body)
        elif kind == frames.GIVE_UP:
            flight.give_up()
        elif kind == frames.SEND:
            flight.send_now(body[0])
        elif kind == frames.FACTS:
            self._say(frames.FACTS, self._figures())
        elif kind == frames.PING:
            self._say(frames.PONG, now_ns())

    def _begin(self, start_ns: int) -> None:
        share, window = self._plan
        gc.collect()
        gc.freeze()
        gc.disable()
        self._flight.begin(progress_of(share, window, start_ns), window.retries)
        self._is_over = False
        self._begun_ns, self._idle_ns = start_ns, now_ns() - start_ns
        self._waited_s, self._used_s = _waited_s(), process_cpu_s()

    def _figures(self) -> dict[str, Any]:
        """Return what this worker says of itself since the clock started."""
        wall_ns = max(now_ns() - self._begun_ns, 1)
        return self._flight.figures() | {
            "wall_s": wall_ns / 1e9,
            "cpu_s": process_cpu_s() - self._used_s,
            "busy_share": min(max(1 - self._idle_ns / wall_ns, 0.0), 1.0),
            "scheduler_wait_s": _waited_s() - self._waited_s,
        }


def _waited_s() -> float:
    """Return how long this process was ready and had no processor; 0 where nobody says."""
    with suppress(OSError, ValueError, IndexError), open("/proc/self/schedstat") as file:
        return int(file.read().split()[1]) / 1e9
    return 0.0


def main() -> None:
    children.bind()
    connection = channel.connect(sys.argv[1])
    shorten_timer_slack()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    Worker(connection).serve()


if __name__ == "__main__":
    main()
