"""Which cell is measured next, and who hears of it? The corridor that every kind of study goes
through: cells begin in their order, as many at a time as the study's crew has room for, and none
before the cell that it needs.

A watcher hears when a cell begins and how it ended, always in the thread that measures. Ctrl-C ends
the loop and keeps what was measured.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from harness.kernel.protocols import Say
from harness.study.executors.made import Outcome
from harness.study.study import Cell, Ended, Figures, Study


class Watcher(Protocol):
    """Who looks at a study while it is measured. With several runs at a time cells end in another
    order than they began.
    """

    def began(self, cell: Cell) -> None:
        """Hear that a cell is about to be measured."""
        ...

    def ended(self, cell: Cell, row: Ended) -> None:
        """Hear of a row: of one that was known when the study went on, too."""
        ...


class Measured(NamedTuple):
    """The rows of the cells that ended, in the order of the cells, and whether the user wants no
    more.
    """

    rows: list[tuple[Cell, Ended]]
    interrupted: bool


def measure(
    study: Study, cells: Sequence[Cell], say: Say, figures: Figures, watcher: Watcher
) -> Measured:
    """Measure those of `cells` that have no row yet, and return the rows of all that ended."""
    work = _Work(study, cells, say, figures, watcher)
    try:
        while work.goes_on:
            work.begin_what_may()
            if work.running:
                work.take(study.crew.ended())
    except KeyboardInterrupt:
        work.is_last = True
    return Measured(work.in_order(), interrupted=work.is_last)


class _Work:
    """What is left, what is being measured, and what has ended."""

    def __init__(
        self, study: Study, cells: Sequence[Cell], say: Say, figures: Figures, watcher: Watcher
    ) -> None:
        self._study, self._cells = study, list(cells)
        self._say, self._figures, self._watcher = say, figures, watcher
        self._left = list(cells)
        self._waited_for = {cell.name for cell in cells}  # those that have not ended
        self.running: dict[str, Cell] = {}
        self._rows: dict[str, Ended] = {}
        self.is_last = False  # the user wants no more: none is begun

    @property
    def goes_on(self) -> bool:
        return bool(self.running) or bool(self._left and not self.is_last)

    def begin_what_may(self) -> None:
        """Begin as many cells as there is room for; tell of those that are known."""
        while not self.is_last and (cell := self._next()) is not None:
            known = self._study.ended.get(cell.name)
            if known is None and not self._study.crew.has_room():
                return
            self._left.remove(cell)
            if known is not None:
                self._end(cell, known)
                continue
            self._watcher.began(cell)
            self.running[cell.name] = cell
            self._study.begin(cell, self._say)

    def _next(self) -> Cell | None:
        """Return the first cell that waits for no other."""
        return next((cell for cell in self._left if cell.needs not in self._waited_for), None)

    def take(self, outcome: Outcome) -> None:
        """Keep what came of a run; whatever breaks in one cell is its row."""
        cell, made = self.running.pop(outcome.cell), outcome.made
        if isinstance(made, KeyboardInterrupt):  # it was stopped before it began
            self.is_last = True
            return
        if isinstance(made, BaseException):
            row = self._broke(cell, made)
        else:
            self.is_last |= made.is_last
            try:
                row = self._study.took(cell, made, self._figures)
            except Exception as fault:
                row = self._broke(cell, fault)
        self._end(cell, row)

    def _broke(self, cell: Cell, fault: BaseException) -> Ended:
        if not isinstance(fault, Exception):
            raise fault
        return self._study.broke(cell, fault)

    def _end(self, cell: Cell, row: Ended) -> None:
        self._rows[cell.name] = row
        self._waited_for.discard(cell.name)
        self._watcher.ended(cell, row)

    def in_order(self) -> list[tuple[Cell, Ended]]:
        """Return the rows in the order of the cells."""
        return [(c, self._rows[c.name]) for c in self._cells if c.name in self._rows]
