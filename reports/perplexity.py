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

from harness.errors import BadInput
from harness.places import found_at
from reports import perplexity_page
from reports.html import visible
from reports.perplexity_words import (
    COST,
    DISTANCE,
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
    sentences,
    shown,
    title,
)

SCHEMA = "touchstone.perplexity/1"


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


def print_table(summary: Summary, console: Console) -> None:
    console.print(_head(summary))
    for columns in _split(summary, console.width):
        console.print(_subjects(summary, columns))
    for table in _categories(summary, console.width):
        console.print(table)
    for note in summary.get("notes") or ():
        console.print(_plain(f"note: {note}", "dim"))


def _head(summary: Summary) -> Panel:
    lost = missing(summary)
    lines = [_plain(line) for line in sentences(summary)] or [Text("nothing was measured")]
    below = [_plain(words, "dim") for words in [conditions(summary)] if words]
    colour = "red" if lost or not done(summary) else "green" if comparable(summary) else "yellow"
    body = Group(*lines, *(_plain(words, "bold red") for words in lost), *below)
    return Panel(body, title=_plain(title(summary)), title_align="left", border_style=colour)


def _split(summary: Summary, width: int) -> list[Sequence[Column]]:
    """All figures in one table where they fit; else quality first, then distance and cost."""
    all_columns = [
        c for c in (*QUALITY, *DISTANCE, *COST) if any(cell(s, c)[0] for s in summary["subjects"])
    ]
    wide = (
        10
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
    for heading in ("size", *(column.name for column in columns)):
        table.add_column(heading, justify="right", header_style="dim")
    for text, subject in zip(labels(summary), summary["subjects"], strict=True):
        cells = [_two_lines(*cell(subject, column)) for column in columns]
        count = subject.get("parameters")
        table.add_row(_plain(text), parameters(count) if count else "-", *cells)
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
    table = Table(
        title=f"By category: {words}",
        title_justify="left",
        title_style="bold",
        box=None,
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )
    table.add_column("", overflow="fold")
    for text, _ in subjects:
        table.add_column(_plain(text), justify="right", header_style="dim")
    for category in names:
        found = [
            measured((subject.get("by_category") or {}).get(category), key)
            for _, subject in subjects
        ]
        table.add_row(_plain(category), *(_two_lines(*shown(value, figure)) for value in found))
    return table


def _two_lines(value: str, between: str) -> Text:
    return Text.assemble(
        value or "-", (f"\n{between.replace(' to ', '-')}" if between else "", "dim")
    )


def _plain(words: str, style: str = "") -> Text:
    return Text(visible(words), style=style)
