"""Where does a series of measurements stand? It hears when each begins and ends, and puts that on
the board, from which screens draw it.

A Tally is told between measurements, on the thread that makes them: nothing of it runs while one is
timed.
"""

from __future__ import annotations

from collections.abc import Iterable

from harness.kernel.clock import monotonic_s
from harness.kernel.process import board
from harness.kernel.process.board import Note, Running
from harness.live.left import time_left

_REMEMBERED = 200  # durations: those of the last cells tell most of the next ones


class Tally:
    """Counts the measurements of one study. `known` is how many had ended before it went on."""

    def __init__(self, kind: str, total: int, known: int = 0, failed: int = 0) -> None:
        self._kind, self._total, self.done, self.failed = kind, total, known, failed
        self._running: dict[str, float] = {}
        self._durations_s: list[float] = []
        self._put()

    def began(self, name: str) -> None:
        """Hear that a measurement begins; again, where it is tried another time."""
        self._running[name] = monotonic_s()
        self._put()

    def ended(self, name: str, is_failed: bool = False) -> None:
        """Hear that it has ended."""
        since_s = self._running.pop(name, None)
        if since_s is not None:
            self._durations_s = [*self._durations_s[1 - _REMEMBERED :], monotonic_s() - since_s]
        self.done += 1
        self.failed += is_failed
        self._put()

    def grew(self, names: Iterable[str]) -> None:
        """Hear that there is more to measure than was known: a search finds its cells."""
        self._total += len(list(names))
        self._put()

    def note(self) -> Note:
        """Return where it stands now."""
        now_s = monotonic_s()
        running = [Running(name, since_s) for name, since_s in self._running.items()]
        waiting = max(self._total - self.done - len(running), 0)
        left = time_left(self._durations_s, waiting, [now_s - one.since_s for one in running])
        return Note(self._kind, self._total, self.done, self.failed, running, left, now_s)

    def _put(self) -> None:
        board.put(self.note())
