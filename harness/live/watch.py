"""Who looks at a study while it is measured, and says how far it is? A watcher of
`harness.study.loop` for every kind.

    with watching(study, say, hear) as watcher:
        measured = loop.measure(study, study.cells, say, row_of, watcher)

`hear(cell, row)` gets each row that was measured now, in the order in which the cells end.

On a terminal the board is drawn: between cells by `harness.screen`, and while a run is timed by its
helper, which has the counts of that run. Elsewhere each cell is a plain line, and of cells that
take a moment one line a while.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from harness.kernel.clock import monotonic_s
from harness.kernel.process import board
from harness.kernel.protocols import Say
from harness.live.tally import Tally
from harness.study.study import Cell, Ended, Study

Hear = Callable[[Cell, Ended], None]
FAILED = ("FAILED", "ERROR", "OOM")  # no figures
_ALL_ARE_SAID = 40  # cells; of more, only some are
_PAUSE_S = 2.0  # between two plain lines then


@contextmanager
def watching(study: Study, say: Say, hear: Hear) -> Iterator[Watch]:
    """Yield a watcher of a study whose rows are known (`with study:`)."""
    with board.clean():
        yield Watch(study, say, hear)


class Watch:
    """Says which cell is measured, how many have ended, and how long the rest will take."""

    def __init__(self, study: Study, say: Say, hear: Hear) -> None:
        self._say, self._hear = say, hear
        self._number = {cell.name: number for number, cell in enumerate(study.cells, 1)}
        ended = [study.ended[name] for name in self._number if name in study.ended]
        self._known = {row.cell for row in ended}
        failed = sum(row.status in FAILED for row in ended)
        self._tally = Tally(study.kind, len(study.cells), len(ended), failed)
        self._said_s = -_PAUSE_S

    def began(self, cell: Cell) -> None:
        """Say which cell begins, and where the study stands."""
        if cell.name not in self._number:
            self._number[cell.name] = len(self._number) + 1
            self._tally.grew([cell.name])
        self._tally.began(cell.name)
        if self._is_time():
            self._say(self._words(cell))

    def ended(self, cell: Cell, row: Ended) -> None:
        """Hand on a row that is new."""
        if cell.name in self._known:
            return
        self._known.add(cell.name)
        self._tally.ended(cell.name, row.status in FAILED)
        self._hear(cell, row)

    def _is_time(self) -> bool:
        """Tell whether a line may be said: all of few cells, now and then one of many."""
        now_s = monotonic_s()
        if len(self._number) > _ALL_ARE_SAID and now_s - self._said_s < _PAUSE_S:
            return False
        self._said_s = now_s
        return True

    def _words(self, cell: Cell) -> str:
        """Name the cell, with what has failed so far and the time that is left."""
        note = self._tally.note()
        words = f"run {self._number[cell.name]} of {len(self._number)}: {cell.name}"
        if getattr(self._say, "is_drawing", False):  # the rest stands above
            return words
        told = [f"{note.failed} failed"] if note.failed else []
        told += [board.time_left(note.left)] if note.left else []
        return "; ".join([words, *told])
