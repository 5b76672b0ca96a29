"""A measurement of perplexity as a reader sees it: the verdict in words, one row per subject, and
perplexity.html.

Everything comes from the folder of the measurement: figures and intervals from perplexity.json,
single tokens from the Parquet files beside it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console, Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from harness.kernel.errors import BadInput
from harness.kernel.places import found_at
from reports import blocks
from reports.blocks import visible
from reports.pages import likelihood_page as perplexity_page
from reports.pages.contexts import Cell
from reports.pages.contexts import Table as ContextTable
from reports.pages.contexts import tables as context_tables
from reports.pages.verdicts import sentences
from reports.pages.words import (
    COST,
    DISTANCE,
    PARAMETERS_NOTE,
    QUALITY,
    Column,
    Subject,
    Summary,
    cell,
    comparable,
    conditions,
    done,
    figure,
    labels,
    measure,
    measured,
    missing,
    parameters,
    scored,
    shown,
    title,
    trainable,
)

SCHEMA = "touchstone.perplexity/2"


# ---- reading


def write_page(folder: Path) -> Path:
    """perplexity.html in `folder`, made from the files there: whole or not at all."""
    summary = read(folder)
    page, scratch = folder / "perplexity.html", folder / "perplexity.html.tmp"
    scratch.write_text(perplexity_page.render(summary, folder), encoding="utf-8")
    os.replace(scratch, page)
    return page


def read(folder: Path) -> Summary:
    file = folder / "perplexity.json"
    remedy = "Measure it: python -m harness perplexity."
    try:
        summary: Summary = json.loads(file.read_text(encoding="utf-8"))
        schema = summary["schema"]
    except (OSError, ValueError, KeyError, TypeError):
        what = "its perplexity.json is damaged" if file.is_file() else found_at(file)
        fine = "expected the folder of a measurement of perplexity"
        raise BadInput(f"reading {folder}", what, fine, remedy) from None
    if schema != SCHEMA:
        raise BadInput(
            f"reading {file}", f"its schema is {schema!r}", f"this version reads {SCHEMA}", remedy
        )
    return summary


# ---- the screen


def table(summary: Summary) -> blocks.Table:
    """Return the subjects as rows: what each is, its status, its figures with their intervals."""
    about = ("model", "variant", "status", "problem", "parameters", "trainable_parameters")
    columns = [blocks.Column("label", "", words=True)]
    columns += [blocks.Column(name, name, raw=True) for name in about]
    shown = (*QUALITY, *DISTANCE, *COST)
    columns += [
        blocks.Column(one.key, one.name, write=one.text, optional=True, interval=one not in COST)
        for one in shown
    ]
    rows = []
    for text, subject in zip(labels(summary), summary["subjects"], strict=True):
        cells = [measured(subject.get(one.of), one.key) for one in (*QUALITY, *DISTANCE)]
        costs = [subject.get(one.of, {}).get(one.key) for one in COST]
        rows.append([text, *(subject.get(name) for name in about), *cells, *costs])
    return blocks.Table("Perplexity", columns, rows)


def print_table(summary: Summary, console: Console, tables: bool = True) -> None:
    """Print the verdict, one row per subject (unless it goes elsewhere as a table) and the rest."""
    console.print(_head(summary))
    for columns in _split(summary, console.width) if tables else ():
        console.print(_subjects(summary, columns))
    for table in _categories(summary, console.width):
        console.print(table)
    for context in context_tables(done(summary)):
        for table in _contexts(context, console.width):
            console.print(table)
        for line in context.statements:
            console.print(_plain(line, "dim"))
    tuned = any(map(trainable, summary["subjects"]))
    for line in [*scored(summary), *([PARAMETERS_NOTE] if tuned else [])]:
        console.print(_plain(line, "dim"))
    for note in summary.get("notes") or ():
        console.print(_plain(f"note: {note}", "dim"))


def _head(summary: Summary) -> Panel:
    lost = missing(summary)
    lines = [_plain(line) for line in sentences(summary)] or [Text("nothing was measured")]
    below = [_plain(words, "dim") for words in [conditions(summary)] if words]
    colour = "red" if lost or not done(summary) else "green" if comparable(summary) else "yellow"
    head = _plain(title(summary), "bold")
    body = Group(head, *lines, *(_plain(words, "bold red") for words in lost), *below)
    return Panel(body, border_style=colour)


def _split(summary: Summary, width: int) -> list[Sequence[Column]]:
    """All figures in one table where they fit; else quality first, then distance and cost."""
    all_columns = [
        c for c in (*QUALITY, *DISTANCE, *COST) if any(cell(s, c)[0] for s in summary["subjects"])
    ]
    wide = (
        10
        + 10 * any(map(trainable, summary["subjects"]))
        + max(map(len, labels(summary)), default=0)
        + sum(
            1 + max(len(c.name), *(len(t) for s in summary["subjects"] for t in cell(s, c)))
            for c in all_columns
        )
    )
    if wide <= width:
        return [all_columns]
    return [[c for c in all_columns if (c in QUALITY) == first] for first in (True, False)]


def _subjects(summary: Summary, columns: Sequence[Column]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("", overflow="fold")
    tuned = ["trainable"] if any(map(trainable, summary["subjects"])) else []
    for heading in ("size", *tuned, *(column.name for column in columns)):
        table.add_column(heading, justify="right", header_style="dim")
    for text, subject in zip(labels(summary), summary["subjects"], strict=True):
        cells = [_two_lines(*cell(subject, column)) for column in columns]
        count = subject.get("parameters")
        sizes = [parameters(count) if count else "-", *(trainable(subject) or "all" for _ in tuned)]
        table.add_row(_plain(text), *sizes, *cells)
    return table


def _categories(summary: Summary, width: int) -> list[Table]:
    subjects, (key, words) = done(summary), measure(summary)
    names = list(
        dict.fromkeys(
            category for _, subject in subjects for category in subject.get("by_category") or {}
        )
    )
    if len(names) < 2:
        return []
    widest = max(15, *(len(text) + 1 for text, _ in subjects))
    fitting = max(1, (width - max(map(len, names)) - 1) // widest)
    return [
        _category_table(names, subjects[first : first + fitting], key, words)
        for first in range(0, len(subjects), fitting)
    ]


def _category_table(
    names: Sequence[str], subjects: Sequence[tuple[str, Subject]], key: str, words: str
) -> Table:
    table = _titled(f"By category: {words}")
    for text, _ in subjects:
        table.add_column(_plain(text), justify="right", header_style="dim")
    for category in names:
        found = [
            measured((subject.get("by_category") or {}).get(category), key)
            for _, subject in subjects
        ]
        table.add_row(_plain(category), *(_two_lines(*shown(value, figure)) for value in found))
    return table


def _contexts(context: ContextTable, width: int) -> list[Table]:
    """As many subjects side by side as fit."""
    names = [name for name, _ in context.rows]
    cells = [_context_cell(cell) for _, row in context.rows for cell in row]
    widest = 1 + max(len(line) for text in cells for line in text.plain.splitlines())
    widest = max(widest, *(len(label) + 1 for label in context.labels))
    fitting = max(1, (width - max(map(len, names)) - 1) // widest)
    return [
        _context_table(context, slice(first, first + fitting))
        for first in range(0, len(context.labels), fitting)
    ]


def _context_table(context: ContextTable, part: slice) -> Table:
    table = _titled(f"{context.title}: perplexity, nats gained per token")
    for label in context.labels[part]:
        table.add_column(_plain(label), justify="right", header_style="dim")
    for name, row in context.rows:
        table.add_row(_plain(name), *(_context_cell(cell) for cell in row[part]))
    return table


def _context_cell(cell: Cell) -> Text:
    """Perplexity, below it the gain, below that its interval."""
    lines = [f"\n{line}" for line in (cell.gain, cell.between) if line]
    return Text.assemble(cell.perplexity or "-", ("".join(lines), "dim"))


def _titled(title: str) -> Table:
    table = Table(
        title=title,
        title_justify="left",
        title_style="bold",
        box=None,
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )
    table.add_column("", overflow="fold")
    return table


def _two_lines(value: str, between: str) -> Text:
    return Text.assemble(
        value or "-", (f"\n{between.replace(' to ', '-')}" if between else "", "dim")
    )


def _plain(words: str, style: str = "") -> Text:
    return Text(visible(words), style=style)
