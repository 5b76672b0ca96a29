"""What time is it, and when do I wake up? The only file that reads a clock.

A clock is passed in wherever time matters, and it is also the smallest possible event loop: while
the driver waits, the clock runs timers, posted callbacks and readable files on the driver's own
thread. One thread means no lock in the timed path and no hand-over between the wake-up and the
stamp.

`RealClock` is monotonic (CLOCK_MONOTONIC, shared by all processes of the machine). It sleeps in
`select` (in `poll`, where a descriptor is 1,024 or above) until 50 us before the moment and spins
the rest: Linux wakes a sleeper late by its timer slack (50 us unless told otherwise) plus the
scheduler's delay, and a longer spin would starve other threads of the interpreter lock.

`VirtualClock` jumps to the next timer when the driver waits, so a ten-minute run takes as long as
its arithmetic, and times are exact: tests compare them with `==`.
"""

from __future__ import annotations

import ctypes
import heapq
import os
import select
import signal
import socket
import sys
import time
from array import array
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import UTC, datetime

SPIN_NS = 50_000
_SELECTABLE = 1024  # C's FD_SETSIZE: `select` takes descriptors below it alone
FAR_FUTURE_NS = 1 << 62

Callback = Callable[[], None]


class Arrivals:
    """What reached the driver's thread, and when it was sent: a row per message, post and timer.

    A timer is sent at the moment it was set for. Whoever waits for one sets the next when it runs,
    so the delays of timers add up; a message's sender does not wait for the driver.
    """

    __slots__ = ("at_ns", "is_timer", "sent_ns")

    def __init__(self) -> None:
        self.at_ns, self.sent_ns = array("q"), array("q")
        self.is_timer = bytearray()

    def note(self, sent_ns: int, is_timer: bool = False) -> None:
        """Note that it is delivered now."""
        self.at_ns.append(time.perf_counter_ns())
        self.sent_ns.append(sent_ns)
        self.is_timer.append(is_timer)

    def note_unknown(self, now_ns: int) -> None:
        """Note that something is read of which nobody says when it was sent."""
        self.at_ns.append(now_ns)
        self.sent_ns.append(now_ns)
        self.is_timer.append(False)


class _Timers:
    """A heap of (moment, order of registration, callback)."""

    def __init__(self) -> None:
        self.heap: list[tuple[int, int, Callback]] = []
        self._count = 0

    def add(self, when_ns: int, callback: Callback) -> None:
        self._count += 1
        heapq.heappush(self.heap, (when_ns, self._count, callback))

    def run_due(self, now_ns: int, arrivals: Arrivals | None = None) -> bool:
        """Run what was due when we looked; timers set by these callbacks wait for the next look."""
        last = self._count
        ran = False
        while self.heap and self.heap[0][0] <= now_ns and self.heap[0][1] <= last:
            when_ns, _, callback = heapq.heappop(self.heap)
            if arrivals is not None:
                arrivals.note(when_ns, is_timer=True)
            callback()
            ran = True
        return ran


class _Pipe:
    """Wakes a sleeping `select`; nothing blocks."""

    def __init__(self) -> None:
        self.read_fd, self.write_fd = os.pipe()
        os.set_blocking(self.read_fd, False)
        os.set_blocking(self.write_fd, False)

    def wake(self) -> None:
        os.write(self.write_fd, b"\0")

    def drain(self) -> None:
        os.read(self.read_fd, 4096)

    def close(self) -> None:
        os.close(self.read_fd)
        os.close(self.write_fd)


class _SocketPair:
    """The same for Windows, which selects among sockets alone."""

    def __init__(self) -> None:
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._writer.setblocking(False)
        self.read_fd, self.write_fd = self._reader.fileno(), self._writer.fileno()

    def wake(self) -> None:
        self._writer.send(b"\0")

    def drain(self) -> None:
        self._reader.recv(4096)

    def close(self) -> None:
        self._reader.close()
        self._writer.close()


class _Poll:
    """Waits for descriptors of any number, where `select` cannot. The system's poll counts whole
    milliseconds: the rest of the time it is asked again and again, which lets other threads run.
    """

    def __init__(self, fds: Iterable[int]) -> None:
        self._poll = select.poll()
        for fd in fds:
            self._poll.register(fd, select.POLLIN)

    def ready(self, seconds: float) -> list[int]:
        """Return the descriptors that can be read within `seconds`."""
        until_ns = time.perf_counter_ns() + int(seconds * 1e9)
        found = self._poll.poll(int(seconds * 1e3))
        while not found and time.perf_counter_ns() < until_ns:
            found = self._poll.poll(0)
        return [fd for fd, _ in found]


class RealClock:
    """The machine's monotonic clock, untouched: its reading costs 40 ns, and a subtraction in
    Python as much again.
    """

    now_ns = staticmethod(time.perf_counter_ns)

    def __init__(self, spin_ns: int = SPIN_NS) -> None:
        self._spin_ns = spin_ns
        self._timers = _Timers()
        self._posted: deque[tuple[int, Callback]] = deque()
        self._arrivals: Arrivals | None = None
        self._readers: dict[int, Callback] = {}
        self._waker = _Pipe() if hasattr(os, "fork") else _SocketPair()
        self._wake_fd, self._wake = self._waker.read_fd, self._waker.wake
        self._watch_all()
        shorten_timer_slack()

    @property
    def wakeup_fd(self) -> int:
        """A descriptor that wakes `wait` when a byte is written to it."""
        return self._waker.write_fd

    def wait(self, until_ns: int) -> int:
        now = time.perf_counter_ns()
        if now >= until_ns and not (self._readers or self._timers.heap or self._posted):
            return now
        heap = self._timers.heap
        target = min(until_ns, heap[0][0]) if heap else until_ns
        pause_ns = 0 if self._posted else target - now - self._spin_ns
        if self._serve(pause_ns, now):
            self._timers.run_due(now := time.perf_counter_ns(), self._arrivals)
            return now
        while (now := time.perf_counter_ns()) < target and now >= target - self._spin_ns:
            pass
        self._timers.run_due(now, self._arrivals)
        return now

    def _serve(self, pause_ns: int, now_ns: int) -> bool:
        """Sleep up to `pause_ns` (not at all if negative); run what became readable or was
        posted.
        """
        arrivals = self._arrivals
        seconds = min(max(pause_ns, 0), 3_600_000_000_000) / 1e9
        if self._poll is None:
            ready = select.select(self._fds, (), (), seconds)[0]
        else:
            ready = self._poll.ready(seconds)
        for fd in ready:
            if fd == self._wake_fd:
                with suppress(BlockingIOError):
                    self._waker.drain()
            elif fd in self._readers:  # an earlier callback of this round may have unwatched it
                if arrivals is not None:
                    arrivals.note_unknown(now_ns)
                self._readers[fd]()
        ran = bool(ready)
        while self._posted:
            sent_ns, callback = self._posted.popleft()
            self.arrived(sent_ns)
            callback()
            ran = True
        return ran

    def notify(self) -> None:
        with suppress(BlockingIOError, OSError):  # full: it will wake anyway; closed: nobody waits
            self._wake()

    def call_at(self, when_ns: int, callback: Callback) -> None:
        self._timers.add(when_ns, callback)

    def post(self, callback: Callback) -> None:
        self._posted.append((time.perf_counter_ns(), callback))
        self.notify()

    def note_arrivals(self) -> Arrivals:
        """Note from now on what reaches this thread, and return where."""
        self._arrivals = Arrivals()
        return self._arrivals

    def arrived(self, sent_ns: int) -> None:
        """Say that a message is being read that was sent at `sent_ns`, on the same clock."""
        if self._arrivals is not None:
            self._arrivals.note(sent_ns)

    def watch(self, fd: int, callback: Callback) -> None:
        self._readers[fd] = callback
        self._watch_all()

    def unwatch(self, fd: int) -> None:
        self._readers.pop(fd, None)
        self._watch_all()

    def _watch_all(self) -> None:
        """Wait for all of them by `select`, which counts microseconds, as long as it takes them."""
        self._fds = [self._wake_fd, *self._readers]
        too_high = hasattr(select, "poll") and max(self._fds) >= _SELECTABLE
        self._poll = _Poll(self._fds) if too_high else None

    def close(self) -> None:
        self._waker.close()


class VirtualClock:
    """Starts at 0 and moves only in `wait`, straight to the next timer or to the moment asked
    for.
    """

    def __init__(self) -> None:
        self._now = 0
        self._timers = _Timers()

    @property
    def wakeup_fd(self) -> int:
        """None: nothing sleeps here."""
        return -1

    def now_ns(self) -> int:
        return self._now

    def wait(self, until_ns: int) -> int:
        heap = self._timers.heap
        if heap and heap[0][0] <= max(until_ns, self._now):
            self._now = max(self._now, heap[0][0])
            self._timers.run_due(self._now)
        elif until_ns >= FAR_FUTURE_NS:
            raise RuntimeError(
                "virtual clock: everybody waits and no timer is set; this run would never end"
            )
        else:
            self._now = max(self._now, until_ns)
        return self._now

    def advance(self, by_ns: int) -> None:
        """Let time pass as if the caller had been busy (a slow driver, in tests)."""
        self._now += by_ns

    def notify(self) -> None:
        """Do nothing: nothing sleeps here."""

    def call_at(self, when_ns: int, callback: Callback) -> None:
        self._timers.add(when_ns, callback)

    def post(self, callback: Callback) -> None:
        self._timers.add(self._now, callback)

    def note_arrivals(self) -> None:
        """Return None: nothing is ever late here."""

    def arrived(self, sent_ns: int) -> None:
        """Do nothing: nothing is ever late here."""

    def watch(self, fd: int, callback: Callback) -> None:
        raise RuntimeError(
            "virtual clock: a process or socket runs in real time; use the real clock with it"
        )

    def unwatch(self, fd: int) -> None:
        """Do nothing: nothing is ever watched here."""

    def close(self) -> None:
        """Do nothing: there is nothing to release."""


def monotonic_s() -> float:
    """Read the monotonic clock for a patience of seconds; never for a latency."""
    return time.monotonic()


def monotonic_ns() -> int:
    """Read the clock of `RealClock`, for a stamp outside the timed part."""
    return time.perf_counter_ns()


def process_cpu_s() -> float:
    """Return the processor time that this process has used, in user and kernel mode."""
    return time.process_time()


def wall_ns() -> int:
    """Read the wall clock, which the kernel stamps packets by; never for a latency."""
    return time.time_ns()


def utc_now() -> datetime:
    """Read the wall clock, for people and folder names only; never for a latency."""
    return datetime.now(UTC)


def utc_at(since_1970_ns: int) -> datetime:
    """Return the moment that a file system or `wall_ns` counts in nanoseconds, for people."""
    return datetime.fromtimestamp(since_1970_ns / 1e9, UTC)


class wake_on_signals:
    """While active, a signal (Ctrl-C) wakes `clock.wait` at once instead of at its next
    deadline.
    """

    def __init__(self, clock: RealClock | VirtualClock) -> None:
        self._fd = clock.wakeup_fd

    def __enter__(self) -> None:
        self._old = signal.set_wakeup_fd(self._fd, warn_on_full_buffer=False)

    def __exit__(self, *_: object) -> None:
        signal.set_wakeup_fd(self._old)


def shorten_timer_slack() -> None:
    """Ask Linux to wake this thread on time: the default slack of 50 us would be added to every
    sleep.
    """
    if not sys.platform.startswith("linux"):
        return
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None, use_errno=True).prctl(29, 1, 0, 0, 0)  # PR_SET_TIMERSLACK, nanoseconds
