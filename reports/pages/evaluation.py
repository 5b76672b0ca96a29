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
_PAIRED = (
    "change: from the first run, with its 95 % interval, answer by answer. s.e.: standard error"
    " over the answers, by Touchstone."
)


def table(lines: Iterable[Found], title: str) -> Table:
    """Return the table of the lines of evaluate.json."""
    columns = (
        word_column("task", "Task"),
        word_column("metric", "Metric"),
        word_column("label", "Variant"),
        Column("value", "Value", write=_digits),
        Column("stderr", "s.e.", write=_digits, optional=True),
        Column("n", "n", write="{:,}".format, optional=True),
        Column("difference", "change", write=_change, optional=True, interval=True),
    )
    rows = [(*(line[column.name] for column in columns[:-1]), _changed(line)) for line in lines]
    changes = [row[-1] for row in rows if row[-1] is not None]
    is_paired = any(low is not None for _, low, _ in changes)
    note = _PAIRED if is_paired else _NOTE
    return Table(title, columns, rows, note if changes else "")


def _changed(line: Found) -> tuple[Any, ...] | None:
    if line["difference"] is None:
        return None
    return line["difference"], line["low"], line["high"]


def _change(value: float) -> str:
    return f"{value:+.4f}" if abs(value) < 1_000 else f"{value:+,.1f}"


def _digits(value: float) -> str:
    return f"{value:.4f}" if abs(value) < 1_000 else f"{value:,.1f}"


def told(row: Found) -> Any:
    """Say how a variant ended, as soon as it has."""
    status, count = row["status"], len(row["figures"])
    what = row["reason"] or ("1 figure" if count == 1 else f"{count} figures")
    return blocks.joined(
        (f"{row['name']}  ", "bold"), (status, blocks.style(status)), (f"  {what}", "")
    )


def doubts(found: Found) -> list[str]:
    """Say of which variants the server has refused requests, and what to know of answers."""
    refused = [
        f"{row['label']}: the server refused {row['refused']} requests; the tool may have counted"
        f" them as wrong answers. See {row['folder']}/tool.log; if they were too long, pass a"
        " larger --max-len."
        for row in found["rows"]
        if row["refused"]
    ]
    return refused + of_answers([row for row in found["rows"] if row["scored"]])


def of_answers(rows: Iterable[Found]) -> list[str]:
    """Say which answers are empty or were not scored, which figures are left out of the table, and
    which have no standard error; the same words once.
    """
    said = dict[str, None]()
    for row in rows:
        label, scored = row["label"], row["scored"]
        if scored["empty"]:
            said[f"{label}: {_of(scored['empty'], scored['answers'])} empty"] = None
        if scored["unreferenced"]:
            whole = scored["answers"] + scored["unreferenced"]
            words = "without a reference answer, and not scored"
            said[f"{label}: {_of(scored['unreferenced'], whole)} {words}"] = None
        tasks = ", ".join(dict.fromkeys(figure["task"] for figure in row["figures"]))
        if left := scored.get("left_out"):
            words = ", ".join(f"{name} ({what})" for name, what in left.items())
            said[f"{tasks}: left out: {words}"] = None
        if why := scored.get("why_no_error"):
            said[f"{tasks} of {label}: not all figures have a standard error: {why}"] = None
    return list(said)


def _of(count: int, whole: int) -> str:
    return f"{count} of {whole} answers {'is' if count == 1 else 'are'}"


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
