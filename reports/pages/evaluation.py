"""How does `harness evaluate` look? One table: a line for each figure that a tool has found, those
of one task and metric together; below it what failed, and what was not the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from rich.console import Console

from reports import blocks
from reports.blocks import Column, Table, as_text, word_column

Found = Mapping[str, Any]
_WIDTH = 7  # the least of a column
_NOTE = "change: from the first variant that has the figure. s.e.: standard error, by the tool."


def table(lines: Iterable[Iterable[Any]], title: str) -> Table:
    """Return the table of lines (label, task, metric, value, stderr, n, difference)."""
    columns = (
        word_column("task", "Task"),
        word_column("metric", "Metric"),
        word_column("label", "Variant"),
        Column("value", "Value", write=_digits),
        Column("stderr", "s.e.", write=_digits, optional=True),
        Column("n", "n", write="{:,}".format, optional=True),
        Column("difference", "change", write="{:+.4f}".format, optional=True),
    )
    rows = [(task, metric, label, *rest) for label, task, metric, *rest in lines]
    has_several = any(row[-1] is not None for row in rows)
    return Table(title, columns, rows, _NOTE if has_several else "")


def _digits(value: float) -> str:
    return f"{value:.4f}" if abs(value) < 1_000 else f"{value:,.1f}"


def told(row: Found) -> Any:
    """Say how a variant ended, as soon as it has."""
    status, count = row["status"], len(row["figures"])
    what = row["reason"] or ("1 figure" if count == 1 else f"{count} figures")
    return blocks.joined(
        (f"{row['label']}  ", "bold"), (status, blocks.style(status)), (f"  {what}", "")
    )


def doubts(found: Found) -> list[str]:
    """Say of which variants the server has refused requests."""
    return [
        f"{row['label']}: the server refused {row['refused']} requests; the tool may have counted"
        f" them as wrong answers. See {row['folder']}/tool.log; if they were too long, pass a"
        " larger --max-len."
        for row in found["rows"]
        if row["refused"]
    ]


def show(made: Table, notes: Iterable[str], console: Console, is_table: bool) -> None:
    """Print the table if it has lines, and the notes."""
    if is_table and made.rows:
        for part in blocks.screens(made, console.width, _WIDTH):
            console.print(part)
    for note in notes:
        console.print(as_text(note), soft_wrap=True)


def not_the_same(differences: Iterable[Found]) -> list[str]:
    """Say what differs between evaluations that stand side by side."""
    return [
        f"Not the same for all: {one['what']} of {one['of']} ({' | '.join(one['values'])})"
        for one in differences
    ]
