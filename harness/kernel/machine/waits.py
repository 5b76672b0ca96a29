"""How long do we wait for another process? While it shows signs of life; never for ever.

A clock alone cannot tell a model that takes half an hour to load from one that hangs. So a process
that sends nothing is looked at: has it, or have its children, used processor time, read or written
anything since the last look? Is it stopped (SIGSTOP), so that it cannot?

    wait = Wait(process.pid, LOADING)
    while not (message := poll(wait.pause_s)):
        wait.look()  # raises Overdue once that was too long

The table of limits is the only one: whoever waits for a process names a row of it.
"""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, NamedTuple

import psutil

from harness.kernel.clock import monotonic_s


class Limit(NamedTuple):
    """Seconds to wait. `still_s`: without any sign of life; `most_s`: in all, however busy."""

    still_s: float
    most_s: float


HOUR_S = 3600.0
STOPPED_S = 30.0  # in state T: whoever stops a process to look at it continues it sooner
LEAVING_S = 5.0  # for a process that was told to end; it is killed then

STARTING = Limit(300, HOUR_S)  # importing torch from a slow network disk takes minutes
LOADING = Limit(900, 8 * HOUR_S)  # a network disk may hang for minutes; 800 GB at 30 MB/s take 7 h
ANSWERING = Limit(120, HOUR_S)  # memory, facts, texts of all answers: seconds, as a rule
EVALUATING = Limit(900, 2 * HOUR_S)  # some answers on a slow processor; a GPU may work meanwhile
SCORING = Limit(900, 7 * 24 * HOUR_S)  # between two texts; a large model offloaded to disk
CONVERTING = Limit(900, 8 * HOUR_S)  # as loading, and all of it is written again
FETCHING = Limit(180, 4 * HOUR_S)  # pip gives up a silent connection after 15 s, and tries twice
RUNNING = Limit(float("inf"), float("inf"))  # a whole run, which keeps all these limits itself
REACHING = Limit(11, 11)  # a Ray cluster; whoever waits for an address is told within 15 s
READYING = Limit(60, 120)  # the helper that samples the machine: imports alone

_LOOK_S = 1.0  # between two looks
_BUSY = 0.02  # share of a processor; a process with less only looks at its watch now and then
_MOVED_BYTES = 4096  # read or written between two looks


class Overdue(Exception):
    """A process was waited for long enough. `str()` says what it did: a clause for an error."""


class _Signs(NamedTuple):
    at_s: float
    cpu_s: float
    moved_bytes: int
    is_stopped: bool


class Wait:
    """One wait for one process, by the machine's monotonic clock; for one without a number here
    (None) the clock alone decides.
    """

    pause_s = _LOOK_S

    def __init__(self, pid: int | None, limit: Limit) -> None:
        self._pid, self._limit = pid, limit
        self._begun_s = self._alive_s = self._running_s = monotonic_s()
        self._seen: _Signs | None = None

    def heard(self) -> None:
        """Note that a message came: the patience begins again."""
        self._begun_s = self._alive_s = self._running_s = monotonic_s()

    def look(self) -> None:
        """Raise Overdue if the process has been still, stopped or at work for too long."""
        now_s, found = monotonic_s(), _signs(self._pid)
        if found is None or not found.is_stopped:  # gone, or unknown here: the clock decides
            self._running_s = now_s
        if found is not None and self._seen is not None and _is_at_work(self._seen, found):
            self._alive_s = now_s
        self._seen = found
        self._judge(now_s)

    def _judge(self, now_s: float) -> None:
        still_s, most_s = self._limit
        if now_s - self._running_s >= STOPPED_S:
            raise Overdue(_stopped())
        if now_s - self._alive_s >= still_s:
            did = "no processor time used, nothing read or written"
            raise Overdue(f"it showed no sign of life for {still_s:g} s ({did})")
        if now_s - self._begun_s >= most_s:
            raise Overdue(f"it was still at work after {most_s / HOUR_S:g} h")


class Stops:
    """Is a process stopped, and for how long? For the driver's own thread, which looks every
    `LOOK_NS` at most: nothing is read while the process is heard.
    """

    LOOK_NS = 5_000_000_000

    def __init__(self, pid: int, now_ns: int) -> None:
        self._pid, self._running_ns = pid, now_ns

    def look(self, now_ns: int, is_heard: bool) -> None:
        """Raise Overdue if it was stopped at every look of STOPPED_S."""
        if is_heard or not is_stopped(self._pid):
            self._running_ns = now_ns
        elif now_ns - self._running_ns >= STOPPED_S * 1e9:
            raise Overdue(_stopped())


def _stopped() -> str:
    return f"it was stopped (SIGSTOP) and nobody continued it for {STOPPED_S:g} s"


def is_stopped(pid: int) -> bool:
    """Say whether a process is stopped now; False where it is gone or cannot be looked at. On Linux
    this takes 20 us, which a driver with nothing to do can spare.
    """
    try:
        state = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b") ")[2][:1]
        return state == b"T"
    except OSError:
        pass
    with suppress(psutil.Error):
        return bool(psutil.Process(pid).status() == psutil.STATUS_STOPPED)
    return False


def ended(process: subprocess.Popen[bytes], limit: Limit) -> int:
    """Wait for the end of a process; return its exit code. Raises Overdue."""
    wait = Wait(process.pid, limit)
    while True:
        try:
            return process.wait(wait.pause_s)
        except subprocess.TimeoutExpired:
            wait.look()


def within(process: subprocess.Popen[Any], seconds: float) -> int | None:
    """Return the exit code of a process that ends within so many seconds; None if it does not."""
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        return None


def output(process: subprocess.Popen[str], limit: Limit) -> tuple[str, str]:
    """Wait for the end of a process; return what it wrote to stdout and stderr. It is gone when
    this ends, however that happens. Raises Overdue.
    """
    wait = Wait(process.pid, limit)
    try:
        while True:
            try:
                return process.communicate(timeout=wait.pause_s)
            except subprocess.TimeoutExpired:
                wait.look()
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()  # lets go of the pipes, too


def lines(process: subprocess.Popen[str], limit: Limit) -> Iterator[str]:
    """Yield the lines of its stdout as they come, to its end. Raises Overdue where one is waited
    for too long.
    """
    queue: SimpleQueue[str | None] = SimpleQueue()
    Thread(target=_read, args=(process, queue), daemon=True).start()
    wait = Wait(process.pid, limit)
    while True:
        try:
            line = queue.get(timeout=wait.pause_s)
        except Empty:
            wait.look()
            continue
        if line is None:
            return
        yield line
        wait.heard()


def leave(process: subprocess.Popen[Any], grace_s: float = LEAVING_S) -> int:
    """Return the exit code of a process that was told to end; it is killed if it does not."""
    try:
        return process.wait(grace_s)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def ending(code: int) -> str:
    """Return how a process ended, from its exit code as Popen has it: below 0 by that signal."""
    if code >= 0:
        return f"ended with exit code {code}"
    if -code not in set(signal.Signals):  # those of real time have no names
        return f"was killed by signal {-code}"
    name = signal.Signals(-code).name
    return f"was killed by {name}" + (" (out of memory?)" if name == "SIGKILL" else "")


def _read(process: subprocess.Popen[str], queue: SimpleQueue[str | None]) -> None:
    """Hand over the lines; a thread does this, since Windows cannot wait for a pipe for a while."""
    with suppress(OSError, ValueError):  # closed under our hands
        for line in process.stdout or ():
            queue.put(line)
    queue.put(None)


def _signs(pid: int | None) -> _Signs | None:
    """Return what a process and its children have done so far; None if it is gone."""
    if pid is None:
        return None
    try:
        process = psutil.Process(pid)
        is_stopped = process.status() == psutil.STATUS_STOPPED
        family = [process, *process.children(recursive=True)]
    except psutil.Error:
        return None
    used = [_used(member) for member in family]
    cpu_s, moved = sum(row[0] for row in used), sum(row[1] for row in used)
    return _Signs(monotonic_s(), cpu_s, moved, is_stopped)


def _used(process: psutil.Process) -> tuple[float, int]:
    """Return (processor time in seconds, bytes read and written); zeros for what is not told."""
    cpu_s, moved = 0.0, 0
    with suppress(psutil.Error):
        times = process.cpu_times()
        cpu_s = times.user + times.system
    with suppress(psutil.Error, AttributeError):  # macOS does not tell
        moved = sum(process.io_counters()[2:])
    return cpu_s, moved


def _is_at_work(before: _Signs, now: _Signs) -> bool:
    """Compare two looks. A member of the family that is gone took its figures along: that is a sign
    of life as well.
    """
    busy_s = abs(now.cpu_s - before.cpu_s)
    moved = abs(now.moved_bytes - before.moved_bytes)
    return busy_s >= _BUSY * (now.at_s - before.at_s) or moved >= _MOVED_BYTES
