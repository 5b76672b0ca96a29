"""What does a measurement of perplexity say on the screen? The verdict in words, one row per
subject; and how is perplexity.html written?

Everything comes from the folder of the measurement: figures and intervals from perplexity.json,
single tokens from the Parquet files beside it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from rich.console import Console, Group
from rich.panel import Panel
from rich.text import Text

from harness.kernel.errors import BadInput
from harness.kernel.foreign import parsed
from harness.kernel.places import found_at
from reports.blocks import Table, as_text, screens
from reports.pages import html
from reports.pages.likelihood import page, tables
from reports.pages.likelihood.contexts import contexts
from reports.pages.likelihood.verdicts import sentences
from reports.pages.likelihood.words import (
    PARAMETERS_NOTE,
    Summary,
    comparable,
    conditions,
    done,
    missing,
    scored,
    title,
    trainable,
)

SCHEMA = "touchstone.perplexity/2"


def write_page(folder: Path) -> Path:
    """Write perplexity.html in `folder` from the files there: whole or not at all."""
    return html.write(folder / "perplexity.html", page.render(read(folder), folder))


def read(folder: Path) -> Summary:
    """Read the perplexity.json of a folder. Raises BadInput."""
    file = folder / "perplexity.json"
    remedy = "Measure it: python -m harness perplexity."
    try:
        summary: Summary = parsed.read_json(file)
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


def table(summary: Summary) -> Table:
    """Return the table of the subjects."""
    return tables.subjects(summary)


def print_table(summary: Summary, console: Console, tables: bool = True) -> None:
    """Print the verdict, one row per subject (unless it goes elsewhere as a table) and the rest."""
    console.print(_head(summary))
    for table, lines in _blocks(summary, tables):
        for part in screens(table, console.width):
            console.print(part)
        for line in lines:
            console.print(as_text(line, "dim"))
    tuned = any(map(trainable, summary["subjects"]))
    for line in [*scored(summary), *([PARAMETERS_NOTE] if tuned else [])]:
        console.print(as_text(line, "dim"))
    for note in summary.get("notes") or ():
        console.print(as_text(f"note: {note}", "dim"))


def _blocks(summary: Summary, whole: bool) -> Iterator[tuple[Table, list[str]]]:
    """Yield each table, with what is said below it."""
    if whole:
        yield replace(tables.subjects(summary), title=""), []
    if by_category := tables.categories(summary):
        yield by_category, []
    for context in contexts(done(summary)):
        yield context.table, context.statements


def _head(summary: Summary) -> Panel:
    lost = missing(summary)
    lines = [as_text(line) for line in sentences(summary)] or [Text("nothing was measured")]
    below = [as_text(words, "dim") for words in [conditions(summary)] if words]
    colour = "red" if lost or not done(summary) else "green" if comparable(summary) else "yellow"
    head = as_text(title(summary), "bold")
    body = Group(head, *lines, *(as_text(words, "bold red") for words in lost), *below)
    return Panel(body, border_style=colour)
