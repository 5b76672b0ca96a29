"""A table, and three ways to write it: for a terminal, as Markdown, as CSV.

Rows hold raw values. People get labels with units and rounded numbers; a CSV file gets names such
as ttft_p90_ms and every digit. A value with an interval is a (value, low, high) in one cell, and in
a CSV file three columns.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from rich.table import Table as RichTable
from rich.text import Text

from harness.kernel.figure import Figure, number

_FORMULA = ("=", "+", "-", "@", "\t", "\r")  # how a spreadsheet knows a formula (OWASP)
_FLAG = re.compile(r"--[a-z -]+")
_MARKS = re.compile(r"([\\|`*\[\]<>&~])")
_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\ud800-\udfff\ufffe\uffff\U000e0000-\U000e007f]"
)


def visible(text: str) -> str:
    """Make everything unseen in a text visible: ANSI escapes, other controls, bidi marks, lone
    surrogates.
    """
    return _UNSEEN.sub(lambda match: f"⟨U+{ord(match[0]):04X}⟩", text)


def plain(value: Any) -> str:
    """Write a number as people read it, and words as they are."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return number(value) if is_number else str(value)


@dataclass(frozen=True, slots=True)
class Column:
    """`name` heads it in a CSV file, `label` and `unit` elsewhere. An `optional` column is left out
    where no row has it.
    """

    name: str
    label: str
    unit: str = ""
    write: Callable[[Any], str] = plain
    optional: bool = False
    interval: bool = False  # its cells are (value, low, high)
    words: bool = False  # set to the left
    raw: bool = False  # in a CSV file only
    people: bool = False  # not in a CSV file
    style: str = ""  # on a terminal
    colours: Mapping[str, str] | None = None  # of words, on a terminal

    @property
    def head(self) -> str:
        return ", ".join(filter(None, (self.label, self.unit)))

    def cell(self, value: Any) -> Text:
        """Write a value for people; a dash where it is not known."""
        if self.interval:
            return Text(self._between(*(value or (None, None, None))))
        if value is None:
            return Text("-")
        return Text(self.write(value), style=(self.colours or {}).get(value, self.style))

    def _between(self, value: Any, low: Any, high: Any) -> str:
        if value is None:
            return "-"
        if low is None:
            return self.write(value)
        return f"{self.write(value)} ({self.write(low)} to {self.write(high)})"


@dataclass(frozen=True, slots=True)
class Table:
    """People see a `sideways` table turned: its rows as columns, headed by their first cell."""

    title: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Any]]
    note: str = ""
    sideways: bool = False


def column(figure: Figure, optional: bool = False) -> Column:
    """Return the column of a declared figure."""
    return Column(figure.name, figure.label, figure.unit, figure.write, optional)


class Grid(NamedTuple):
    """What people see: heads, which columns are words (set to the left), and rows of cells."""

    heads: list[str]
    left: list[bool]
    rows: list[list[Text]]


def grid(table: Table) -> Grid:
    """Return the table as people see it."""
    table = settled(table)
    shown = [i for i, one in enumerate(table.columns) if not one.raw]
    columns = [table.columns[i] for i in shown]
    rows = [[table.columns[i].cell(row[i]) for i in shown] for row in table.rows]
    heads = [one.head for one in columns]
    if not table.sideways:
        return Grid(heads, [one.words for one in columns], rows)
    names, *lines = zip(heads, *rows, strict=True)
    turned = [[Text(head), *cells] for head, *cells in lines]
    return Grid(["", *(cell.plain for cell in names[1:])], [True, *(False for _ in rows)], turned)


def settled(table: Table) -> Table:
    """Return the table in which an optional column is shown, or raw where no row has it."""
    columns = []
    for i, one in enumerate(table.columns):
        is_empty = one.optional and all(row[i] is None for row in table.rows)
        columns.append(replace(one, optional=False, raw=one.raw or is_empty))
    return replace(table, columns=columns)


# ---- terminal


def screen(
    table: Table,
    head_style: str = "dim",
    padding: tuple[int, int, int, int] = (0, 1, 0, 1),
    widths: tuple[int, int] = (0, 0),
) -> RichTable:
    """Return the table for a terminal; `widths` are the least of the first column and of others."""
    made = RichTable(
        title=table.title or None, title_justify="left", title_style="bold",
        box=None, pad_edge=False, padding=padding,
    )  # fmt: skip
    heads, left, rows = grid(table)
    for i, head in enumerate(heads):
        made.add_column(
            Text(head), justify="left" if left[i] else "right", header_style=head_style,
            overflow="fold", min_width=widths[i > 0],
        )  # fmt: skip
    for row in rows:
        made.add_row(*row)
    return made


# ---- Markdown


def markdown(tables: Sequence[Table]) -> str:
    """Return tables for people in GitHub's Markdown."""
    return "\n".join(map(_markdown, tables))


def _markdown(table: Table) -> str:
    heads, left, rows = grid(table)
    lines = [[_escaped(head) for head in heads], [":--" if words else "--:" for words in left]]
    lines += [[_escaped(cell.plain) for cell in row] for row in rows]
    parts = [f"**{_escaped(table.title)}**", ""] if table.title else []
    parts += [f"| {' | '.join(line)} |" for line in lines]
    parts += ["", _escaped(table.note)] if table.note else []
    return "\n".join(parts) + "\n"


def _escaped(text: str) -> str:
    """Names come from strangers: no mark of Markdown or HTML in them counts, and no line ends."""
    lines = visible(text.replace("\r\n", "\n")).strip().split("\n")
    return "<br>".join(_MARKS.sub(r"\\\1", line) for line in lines)


# ---- CSV


def csv_text(tables: Sequence[Table]) -> str:
    """Return tables of the same columns as one CSV with one line of heads: every digit, and nothing
    for "unknown".
    """
    rows = [_raw(table, row) for table in tables for row in table.rows]
    return "".join(map(_line, [_heads(tables[0].columns), *rows]))


def _heads(columns: Sequence[Column]) -> list[str]:
    heads = []
    for one in columns:
        if one.people:
            continue
        ends = ("", "_low", "_high") if one.interval else ("",)
        heads += [one.name + end for end in ends]
    return heads


def _raw(table: Table, row: Sequence[Any]) -> list[Any]:
    cells: list[Any] = []
    for one, value in zip(table.columns, row, strict=True):
        if one.people:
            continue
        cells += (value or (None, None, None)) if one.interval else [value]
    return cells


def _line(cells: Sequence[Any]) -> str:
    """Without the carriage return, which only makes the writer quote every line end in a cell."""
    out = io.StringIO()
    csv.writer(out, lineterminator="\r\n").writerow(map(_harmless, cells))
    return out.getvalue().removesuffix("\r\n") + "\n"


def _harmless(cell: Any) -> Any:
    """Return words that a spreadsheet would take for a formula with an apostrophe before them."""
    if isinstance(cell, bool):
        return str(cell).lower()
    if not isinstance(cell, str) or not cell.startswith(_FORMULA) or _FLAG.fullmatch(cell):
        return cell
    return f"'{cell}"
