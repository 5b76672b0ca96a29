"""Where does a worker stand in a plan of conversations, whose turns wait for the answers before
them? The rules are those of `harness.engine.turns`.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence

from harness.kernel.answers import Window
from harness.kernel.clock import FAR_FUTURE_NS
from harness.kernel.types import NEVER
from sut.served.client.plan import Progress, Share


def progress_of(share: Share, window: Window, start_ns: int) -> Progress:
    """Return how a share is followed: in its own order, or turn by turn."""
    has_turns = any(after != NEVER for after in share.after)
    return (Turns if has_turns else Progress)(share, window, start_ns)


class Turns(Progress):
    """A `Progress` whose queries, of one sample each, go in the order in which they are due."""

    def __init__(self, share: Share, window: Window, start_ns: int) -> None:
        self._due: list[tuple[int, int]] = []
        self._next: dict[int, int] = {}  # by the place of a query: the row of who waits for it
        for row, after in enumerate(share.after):
            if after == NEVER:
                self._due.append((start_ns + share.offsets[row], row))
            else:
                self._next[after] = row
        heapq.heapify(self._due)
        self._taken = 0
        super().__init__(share, window, start_ns)

    @property
    def is_over(self) -> bool:
        return not self._due

    def look(self) -> None:
        due_ns = self._due[0][0] if self._due else FAR_FUTURE_NS
        window = self._window
        has_enough = window.max_queries != NEVER and self._taken >= window.max_queries
        since_ns = self.issued_ns - self.begun_ns
        is_long = window.max_duration_ns != NEVER and since_ns > window.max_duration_ns
        if due_ns != FAR_FUTURE_NS and (due_ns > self.until_ns or has_enough or is_long):
            self.end()
        else:
            self.due_ns = due_ns

    def end(self) -> None:
        self._due.clear()
        self._next.clear()
        self.due_ns = FAR_FUTURE_NS

    def withdraw(self, until_ns: int) -> None:
        super().withdraw(until_ns)
        self._next.clear()

    def take(self) -> tuple[int, int, Sequence[tuple[int, int]]]:
        due_ns, row = heapq.heappop(self._due)
        share, self._taken = self._share, self._taken + 1
        self.open_queries += 1
        return share.places[row], due_ns, ((share.samples[row], share.indices[row]),)

    def done(self, place: int, now_ns: int) -> None:
        self.open_queries -= 1
        self.gate_ns = now_ns
        row = self._next.pop(place, None)
        if row is not None:
            heapq.heappush(self._due, (now_ns + self._share.offsets[row], row))
            self.look()
