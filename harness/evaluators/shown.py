"""How does a finished evaluation look, on the screen and in other formats?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
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
    return page.table(found["lines"], f"{found['tool']} {found['version']}".strip())


def of_several(evaluations: Iterable[Evaluation], lines: Iterable[Mapping[str, Any]]) -> Table:
    """Return the table of these lines, in which evaluations stand side by side."""
    names = dict.fromkeys(f"{one.tool} {one.version}".strip() for one in evaluations)
    return page.table(lines, " · ".join(names))


def show(found: Mapping[str, Any], place: Path, console: Console, tables: bool) -> None:
    """Print the table, what is doubtful about it, and where it is."""
    apart = compared.differences([msgspec.convert(found, Evaluation)])
    notes = [*page.doubts(found), *page.not_the_same(apart), f"All of it is in {place}"]
    page.show(table(found), notes, console, tables)
