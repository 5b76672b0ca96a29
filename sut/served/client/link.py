"""How does the pool speak with one worker? It starts it, asks it before the clock starts, and hears
it afterwards in `clock.wait`.
"""

from __future__ import annotations

import selectors
import signal
import socket
import tempfile
from collections.abc import Callable
from typing import Any

from harness.kernel.clock import RealClock
from harness.kernel.errors import RunBroke, SetupFailed
from harness.kernel.machine import waits
from harness.kernel.process import children
from harness.kernel.protocols import Clock
from sut.border import channel
from sut.served.client import frames

_DOING = "the client's worker"
_SHOWN = 300  # characters of its last words
_FLUSH_NS = 1_000_000


class Channel:
    """A stream socket to a worker; `hear` gets its messages. `waited_for` is the number of its
    process; None where that is of another machine.
    """

    waited_for: int | None = None

    def __init__(
        self, clock: Clock, hear: Callable[[Any, list[Any]], None], connection: socket.socket
    ) -> None:
        self._clock, self._hear = clock, hear
        self._reader = frames.Reader()
        self._backlog = bytearray()
        self.is_done = True  # nothing of a plan is to come
        self._is_heard = False
        self._socket = connection
        self._fd = connection.fileno()
        clock.watch(self._fd, self.read)

    def say(self, *items: Any) -> None:
        """Send a message without waiting; what the socket does not take follows soon."""
        had = bool(self._backlog)
        self._backlog += frames.frame(*items)
        if not had:
            self._flush()

    def _flush(self) -> None:
        try:
            channel.send_backlog(self._socket, self._backlog)
        except BlockingIOError:
            self._clock.call_at(self._clock.now_ns() + _FLUSH_NS, self._flush)
        except OSError:
            raise self._death() from None

    def ask(self, *items: Any) -> list[Any]:
        """Say something and wait for its READY, outside the timed window. Raises SetupFailed."""
        return self.ask_for(frames.READY, *items)

    def ask_for(self, kind: int, *items: Any) -> list[Any]:
        """The same, for an answer of another kind."""
        self.say(*items)
        return self.answer(kind)

    def answer(self, kind: int = frames.READY) -> list[Any]:
        """Wait for a message of that kind; what else comes is heard as ever."""
        wait = waits.Wait(self.waited_for, waits.ANSWERING)
        found: list[list[Any]] = []
        while not found:
            ready = channel.wait(self._socket, bool(self._backlog), wait.pause_s)
            if ready & selectors.EVENT_WRITE:
                self._flush()
            if ready & selectors.EVENT_READ:
                found = self._received_of(kind)
            if not ready:
                self._look_at(wait)
        return found[0]

    def _received_of(self, kind: int) -> list[list[Any]]:
        """Return what has come of that kind; the rest is heard."""
        found = []
        for message in self._received():
            if message[0] == kind:
                found.append(message[1:])
            else:
                self._hear(self, message)
        return found

    def _look_at(self, wait: waits.Wait) -> None:
        try:
            wait.look()
        except waits.Overdue as overdue:
            raise SetupFailed(_DOING, str(overdue)) from None

    def read(self) -> None:
        """Hear what has come. Raises RunBroke if the worker has died."""
        for message in self._received():
            self._hear(self, message)

    def _received(self) -> list[list[Any]]:
        try:
            data = self._socket.recv(1 << 16)
        except OSError:
            data = b""
        if not data:
            raise self._death()
        self._is_heard = True
        return list(self._reader.feed(data))

    def _death(self) -> RunBroke:
        """Return what to say of a worker that is gone."""
        raise NotImplementedError

    def close(self) -> None:
        """Let the worker go."""
        if self._socket.fileno() < 0:
            return
        self._clock.unwatch(self._fd)
        self._socket.close()


class Link(Channel):
    """Start a worker; `hear` gets its messages. Raises SetupFailed."""

    def __init__(self, clock: Clock, hear: Callable[[Any, list[Any]], None]) -> None:
        self._words = tempfile.TemporaryFile()  # noqa: SIM115 (closed with the link)
        offer = channel.offer()
        self._process = children.Child(
            "sut.served.client.worker",
            offer.argument,
            env=offer.environment,
            stdout=self._words,
            stderr=self._words,
            **offer.started,
        )
        self.waited_for = self._process.pid
        self._stops = waits.Stops(self.pid, RealClock.now_ns())
        super().__init__(clock, hear, offer.accept(self._process))
        clock.call_at(clock.now_ns() + waits.Stops.LOOK_NS, self._look)

    @property
    def pid(self) -> int:
        return self._process.pid

    def _look(self) -> None:
        """Look now and then whether it is stopped. Raises RunBroke."""
        if self._socket.fileno() < 0:
            return
        now_ns, is_heard = self._clock.now_ns(), self._is_heard or self.is_done
        self._is_heard = False
        try:
            self._stops.look(now_ns, is_heard)
        except waits.Overdue as overdue:
            raise RunBroke(_DOING, str(overdue), "", "Continue it, or run again.") from None
        self._clock.call_at(now_ns + self._stops.LOOK_NS, self._look)

    def _death(self) -> RunBroke:
        """Return what to say of a worker that is gone."""
        self._clock.unwatch(self._fd)
        code = waits.leave(self._process)
        how = f"ended with exit code {code}"
        if code < 0:
            how = f"was killed by {signal.Signals(-code).name}"
        said = self._last_words()
        return RunBroke(_DOING, how + (f", last words: {said}" if said else ""))

    def _last_words(self) -> str:
        self._words.seek(0)
        lines = self._words.read().decode(errors="replace").strip().splitlines()
        return lines[-1][:_SHOWN] if lines else ""

    def close(self) -> None:
        """Let the worker go."""
        if self._socket.fileno() < 0:
            return
        super().close()
        waits.leave(self._process)
        self._words.close()


def started(clock: Clock, hear: Callable[[Any, list[Any]], None], count: int) -> list[Link]:
    """Start several; all or none."""
    made: list[Link] = []
    try:
        for _ in range(count):
            made.append(Link(clock, hear))
    except BaseException:
        for link in made:
            link.close()
        raise
    return made
