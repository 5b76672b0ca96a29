"""What is a page, a screen and an export made of? Tables and pictures; and how is a table written
for a terminal, as Markdown, as CSV, and (`reports.pages.html`) as HTML?

Rows hold raw values. People get labels with units and rounded numbers; a CSV file gets names such
as ttft_p90_ms and every digit. A value with an interval is a (value, low, high) in one cell, and in
a CSV file three columns.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from rich.table import Table as RichTable
from rich.text import Text

from harness.kernel.texts import shown
from harness.kernel.words.figure import Figure, number
from reports.beside import Beside

_FORMULA = ("=", "+", "-", "@", "\t", "\r")  # how a spreadsheet knows a formula (OWASP)
_FLAG = re.compile(r"--[a-z -]+")
_LONGEST = 2_000  # characters of one thing on a terminal
_MARKS = re.compile(r"([\\|`*\[\]<>&~$])")
# What a status means to the eye, on every screen and page.
TONES = {
    **dict.fromkeys(("VALID", "PASS", "DONE", "yes", "JUDGED", "BETTER"), "good"),
    **dict.fromkeys(("INVALID", "FAIL", "ERROR", "FAILED", "OOM", "INTERRUPTED", "WORSE"), "bad"),
    **dict.fromkeys(("UNDECIDED", "SKIPPED"), "open"),
}
STYLES = {"good": "green", "bad": "bold red", "open": "yellow", "soft": "dim", "strong": "bold"}


def tone(status: str) -> str:
    """Return the tone of a status: good, bad or open."""
    return TONES.get(status, "open")


def style(status: str) -> str:
    """Return the style of a status on a terminal."""
    return STYLES[tone(status)]


def as_text(text: object, style: str = "") -> Text:
    """Return words for a terminal: what strangers wrote, made harmless."""
    return Text(shown(str(text), _LONGEST), style=style)


def joined(*parts: tuple[object, str]) -> Text:
    """Return words for a terminal from parts, each with its style."""
    return Text.assemble(*(as_text(text, style) for text, style in parts))


def plain(value: Any) -> str:
    """Write a number as people read it, and words as they are."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return number(value) if is_number else str(value)


def percent(share: float) -> str:
    """Write a share of 1 in percent."""
    return f"{100 * share:.2f}"


def tenths(share: float | None) -> str:
    """Write a share of 1 in percent with one decimal."""
    return "-" if share is None else f"{100 * share:.1f}"


def between(low: Any, high: Any, write: Callable[[Any], str]) -> str:
    """Write an interval: both ends to the same place, the finer one's, unless they are orders of
    magnitude apart.
    """
    if low is None or high is None:
        return ""
    if low == high:
        return "exactly"
    ends = [write(low), write(high)]
    places = [len(end.partition(".")[2]) for end in ends]
    few, many = sorted(places)
    values = zip((low, high), places, strict=True)
    is_plain = [f"{value:,.{place}f}" for value, place in values] == ends
    if is_plain and (many - few == 1 or "0" in ends):
        ends = [f"{end:,.{many}f}" for end in (low, high)]
    return " to ".join(ends)


class Cell(NamedTuple):
    """What people see of a value, and what stands small beside or below it."""

    text: str
    small: str = ""
    tone: str = ""  # good, bad, open, soft, strong

    @property
    def plain(self) -> str:
        """Return it on one line."""
        small = self.small.replace("\n", ", ")
        return f"{self.text} ({small})" if small else self.text


@dataclass(frozen=True, slots=True)
class Column:
    """`name` heads it in a CSV file, `label` and `unit` elsewhere. An `optional` column is left out
    where no row has it. People see columns of one `group` under its name.
    """

    name: str
    label: str
    unit: str = ""
    write: Callable[[Any], str] = plain
    optional: bool = False
    interval: bool = False  # its cells are (value, low, high)
    ends: Callable[[Any], str] | None = None  # writes low and high where `write` is too fine
    second: str = ""  # its cells are (value, words), which go into a column name_second
    words: bool = False  # set to the left
    raw: bool = False  # in a CSV file only
    people: bool = False  # not in a CSV file
    tone: str = ""
    toned: Callable[[Any], str] | None = None  # the value says which tone it has
    group: str = ""

    @property
    def head(self) -> str:
        return ", ".join(filter(None, (self.label, self.unit)))

    @property
    def names(self) -> list[str]:
        """Return the names of its columns in a CSV file."""
        if self.interval:
            return [self.name + end for end in ("", "_low", "_high")]
        return [self.name, f"{self.name}_{self.second}"] if self.second else [self.name]

    def parts(self, value: Any) -> tuple[Any, ...]:
        """Return the values for these columns."""
        if self.interval or self.second:
            return tuple(value or (None,) * len(self.names))
        return (value,)

    def cell(self, value: Any) -> Cell:
        """Write a value for people; a dash where it is not known."""
        main, *others = self.parts(value)
        if main is None:
            return Cell("-")
        if self.interval:
            small = between(others[0], others[1], self.ends or self.write)
        else:
            small = "".join(filter(None, others))
        return Cell(self.write(main), small, self.toned(main) if self.toned else self.tone)


@dataclass(frozen=True, slots=True)
class Table:
    """People see a `sideways` table turned: its rows as columns, headed by their first cell.

    `row_groups` heads runs of equal names with the name; one per row. A `folded` table is closed
    on a page until somebody opens it.
    """

    title: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Any]]
    note: str = ""
    sideways: bool = False
    row_groups: Sequence[str] = ()
    folded: bool = False

    @property
    def is_pairs(self) -> bool:
        """Is it a list of names and values, without heads?"""
        return not any(one.head for one in self.columns)


class Plot(NamedTuple):
    """A picture (`reports.plots`) with its title and what there is to know of it."""

    title: str
    svg: str
    note: str = ""


Block = Table | Plot | Beside


def pairs(title: str, rows: Sequence[tuple[str, str]], note: str = "") -> Table:
    """Return names and their values, without heads."""
    return Table(title, (Column("name", "", words=True), Column("value", "")), rows, note)


def column(figure: Figure, optional: bool = False, group: str = "") -> Column:
    """Return the column of a declared figure."""
    name, label, unit = figure.name, figure.label, figure.unit
    return Column(name, label, unit, figure.write, optional, group=group)


def word_column(name: str, label: str, people: bool = False) -> Column:
    """Return a column of words."""
    return Column(name, label, words=True, people=people)


class Grid(NamedTuple):
    """What people see: heads, which columns are words (set to the left), and rows of cells by the
    group that heads them.
    """

    heads: list[str]
    left: list[bool]
    bodies: list[tuple[str, list[list[Cell]]]]

    @property
    def rows(self) -> list[list[Cell]]:
        return [row for _, rows in self.bodies for row in rows]


def grid(table: Table) -> Grid:
    """Return the table as people see it."""
    table = settled(table)
    kept = [i for i, one in enumerate(table.columns) if not one.raw]
    columns = [table.columns[i] for i in kept]
    rows = [[table.columns[i].cell(row[i]) for i in kept] for row in table.rows]
    heads = [one.head for one in columns]
    if not table.sideways:
        return Grid(heads, [one.words for one in columns], _grouped(table.row_groups, rows))
    names, *lines = zip(heads, *rows, strict=True)
    turned = [[Cell(head), *cells] for head, *cells in lines]
    groups = [one.group for one in columns[1:]]
    left = [True, *(False for _ in rows)]
    return Grid(["", *(cell.text for cell in names[1:])], left, _grouped(groups, turned))


def _grouped(groups: Sequence[str], rows: list[list[Cell]]) -> list[tuple[str, list[list[Cell]]]]:
    bodies: list[tuple[str, list[list[Cell]]]] = []
    for i, row in enumerate(rows):
        group = groups[i] if groups else ""
        if not bodies or bodies[-1][0] != group:
            bodies.append((group, []))
        bodies[-1][1].append(row)
    return bodies


def settled(table: Table) -> Table:
    """Return the table in which an optional column is shown, or raw where no row has it."""
    columns = []
    for i, one in enumerate(table.columns):
        is_empty = one.optional and all(one.parts(row[i])[0] is None for row in table.rows)
        columns.append(replace(one, optional=False, raw=one.raw or is_empty))
    return replace(table, columns=columns)


def by_group(table: Table) -> dict[str, Table]:
    """Return a table per group of columns, titled by it; each begins with the columns that belong
    to none.
    """
    groups = dict.fromkeys(one.group for one in table.columns if one.group)
    return {name: _part(table, name) for name in groups}


def _part(table: Table, group: str) -> Table:
    kept = [i for i, one in enumerate(table.columns) if one.group in ("", group)]
    columns = [table.columns[i] for i in kept]
    rows = [[row[i] for i in kept] for row in table.rows]
    return replace(table, title=group, columns=columns, rows=rows, sideways=False)


# ---- terminal


def screens(table: Table, width: int, least: int = 0) -> list[RichTable | Text]:
    """Return the table for a terminal, in as many parts as the width needs; each begins with the
    first column. No other column is narrower than `least`. Title and note have the whole width.
    """
    seen = grid(table)
    heads = [max(map(len, head.splitlines()), default=0) for head in seen.heads]
    wide = [max(least * (i > 0), width) for i, width in enumerate(heads)]
    for row in seen.rows:
        lines = [_screen_cell(cell).plain.splitlines() or [""] for cell in row]
        wide = [max(now, *map(len, of)) for now, of in zip(wide, lines, strict=True)]
    parts: list[list[int]] = [[0]]
    for i in range(1, len(wide)):
        taken = sum(wide[k] + 1 for k in parts[-1])
        if len(parts[-1]) > 1 and taken + wide[i] > width:
            parts.append([0])
        parts[-1].append(i)
    title = [as_text(table.title, "bold")] if table.title else []
    note = [as_text(table.note, style="dim")] if table.note else []
    return [*title, *(_rich("", seen, part, least) for part in parts), *note]


def screen(table: Table) -> RichTable:
    """Return the table for a terminal, in one part whatever the width."""
    seen = grid(table)
    return _rich(table.title, seen, range(len(seen.heads)), 0, gap=2)


def _rich(title: str, seen: Grid, kept: Sequence[int], least: int, gap: int = 1) -> RichTable:
    made = RichTable(
        title=as_text(title) if title else None, title_justify="left", title_style="bold",
        box=None, pad_edge=False,
        padding=(0, gap - 1, 0, 1) if gap > 1 else (0, 1, 0, 0),
    )  # fmt: skip
    for i in kept:
        made.add_column(
            as_text(seen.heads[i]), justify="left" if seen.left[i] else "right",
            header_style="dim", overflow="fold", min_width=least if i else None,
        )  # fmt: skip
    for group, rows in seen.bodies:
        if group:
            made.add_row(as_text(group, style="bold"))
        for row in rows:
            made.add_row(*(_screen_cell(row[i]) for i in kept))
    return made


def _screen_cell(cell: Cell) -> Text:
    """Put an interval below its value, which leaves room for more columns."""
    text = as_text(cell.text, style=STYLES.get(cell.tone, ""))
    if cell.small:
        is_signed = "-" in cell.small
        small = cell.small if is_signed else cell.small.replace(" to ", "–")
        text.append_text(as_text(f"\n{small}", "dim"))
    return text


# ---- Markdown


def markdown(tables: Sequence[Table]) -> str:
    """Return tables for people in GitHub's Markdown."""
    return "\n".join(map(_markdown, tables))


def _markdown(table: Table) -> str:
    seen = grid(table)
    lines = [[escaped(head) for head in seen.heads]]
    lines.append([":--" if words else "--:" for words in seen.left])
    for group, rows in seen.bodies:
        if group:
            lines.append([f"**{escaped(group)}**", *[""] * (len(seen.heads) - 1)])
        lines += [[escaped(cell.plain) for cell in row] for row in rows]
    parts = [f"**{escaped(table.title)}**", ""] if table.title else []
    parts += [f"| {' | '.join(line)} |" for line in lines]
    parts += ["", escaped(table.note)] if table.note else []
    return "\n".join(parts) + "\n"


def escaped(text: str) -> str:
    """Names come from strangers: no mark of Markdown or HTML in them counts, and no line ends."""
    lines = shown(text.replace("\r\n", "\n")).strip().split("\n")
    return "<br>".join(_MARKS.sub(r"\\\1", line) for line in lines)


# ---- CSV


def csv_text(tables: Sequence[Table]) -> str:
    """Return tables of the same columns as one CSV with one line of heads: every digit, and nothing
    for "unknown".
    """
    heads = [name for one in tables[0].columns if not one.people for name in one.names]
    rows = [list(_raw(table, row)) for table in tables for row in table.rows]
    return "".join(map(_line, [heads, *rows]))


def _raw(table: Table, row: Sequence[Any]) -> Iterator[Any]:
    for one, value in zip(table.columns, row, strict=True):
        if not one.people:
            yield from one.parts(value)


def _line(cells: Sequence[Any]) -> str:
    """Write a line without the carriage return, which only makes the writer quote line ends in
    cells.
    """
    out = io.StringIO()
    csv.writer(out, lineterminator="\r\n").writerow(map(harmless, cells))
    return out.getvalue().removesuffix("\r\n") + "\n"


def harmless(cell: Any) -> Any:
    """Return words that a spreadsheet would take for a formula with an apostrophe before them, and
    what cannot be seen as marks; line ends stay as they are.
    """
    if isinstance(cell, bool):
        return str(cell).lower()
    if not isinstance(cell, str):
        return cell
    words = "\r".join(map(shown, cell.split("\r")))
    is_formula = cell.startswith(_FORMULA) and not _FLAG.fullmatch(cell)
    return f"'{words}" if is_formula else words
