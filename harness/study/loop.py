"""Which cell is measured next, and who hears of it? The corridor that every kind of study goes
through, one cell after the other.

A watcher hears when a cell begins and how it ended. Ctrl-C ends the loop and keeps what was
measured.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from harness.kernel.protocols import Say
from harness.study.study import Cell, Ended, Figures, Study


class Watcher(Protocol):
    """Who looks at a study while it is measured."""

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
    rows = list[tuple[Cell, Ended]]()
    for cell in cells:
        ended, is_last = study.ended.get(cell.name), False
        if ended is None:
            watcher.began(cell)
            try:
                ended, is_last = study.attempt(cell, say, figures)
            except KeyboardInterrupt:
                return Measured(rows, interrupted=True)
        watcher.ended(cell, ended)
        rows.append((cell, ended))
        if is_last:
            return Measured(rows, interrupted=True)
    return Measured(rows, interrupted=False)
