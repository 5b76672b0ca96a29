"""How does a finished evaluation look, on the screen and in other formats?"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console

from harness.evaluators import compared
from harness.evaluators.record import Evaluation
from reports.blocks import Table
from reports.pages import evaluation as page


def table(found: Mapping[str, Any]) -> Table:
    """Return the table of evaluate.json: a line per figure."""
    return of_several([msgspec.convert(found, Evaluation)])


def of_several(evaluations: list[Evaluation]) -> Table:
    """Return the table of evaluations side by side."""
    names = dict.fromkeys(f"{one.tool} {one.version}".strip() for one in evaluations)
    return page.table(compared.lines(evaluations), " · ".join(names))


def show(found: Mapping[str, Any], place: Path, console: Console, tables: bool) -> None:
    """Print the table, what is doubtful about it, and where it is."""
    notes = [*page.doubts(found), f"All of it is in {place}"]
    page.show(table(found), notes, console, tables)
