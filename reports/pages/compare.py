"""How do runs stand to one another? The verdict on top, then one column per variant, on the screen
and as compare.html.

Variants are columns and figures rows, so that five variants fit into 80 characters. Both forms are
made from the object that `harness compare --json` prints.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console, Group
from rich.panel import Panel
from rich.text import Text

from harness.kernel.texts import shown
from harness.kernel.words.figure import number
from reports import blocks
from reports.blocks import Column, Plot, Table, as_text, joined, tone
from reports.pages import html
from reports.pages.comparison import best, effects
from reports.pages.comparison.columns import table
from reports.pages.comparison.sentences import (
    comparable_text,
    doubts,
    missing,
    sentences,
    subject,
)
from reports.parts import attempts
from reports.plots.best import speed_against_weights
from reports.plots.labels import Point
from reports.plots.style import at_both_widths

_WIDTH = 11  # the least of a column
Comparison = Mapping[str, Any]
Row = Mapping[str, Any]


def told(row: Row) -> Text:
    """Return a line on a variant that has just been measured."""
    speed = f"{number(row['tokens_per_s'])} tokens/s" if row["tokens_per_s"] else row["reason"]
    return joined((f"{row['label']} {row['status']}", "bold"), (f"  {speed}", ""))


def show(
    found: Comparison,
    place: Path,
    console: Console,
    tables: bool = True,
    card: Table | None = None,
) -> None:
    """Print the verdict, the table (or a `card` in its place) in as many parts as the width needs,
    and who has no figures.
    """
    console.print(_head(found))
    whole = card or table(found)
    lines = [[_stacked(row[0]), *row[1:]] for row in whole.rows]
    bare = replace(whole, title="", note="", rows=lines)
    for part in blocks.screens(bare, console.width, _WIDTH) if tables else ():
        console.print(part)
    if tables and (several := attempts.beside(found["rows"])) is not None:
        for part in blocks.screens(several, console.width):
            console.print(part)
    for line in effects.lines(found):
        console.print(line)
    for row in _failed(found):
        name = f"{row['label']}: {row['status']}"
        console.print(joined((name, "bold"), (f"  {row['reason']}", "")))
    console.print(as_text(f"comparison: {place / 'compare.html'}", style="dim"), soft_wrap=True)


def _stacked(label: str) -> str:
    """Keep a variant whole; put varied settings on a line each."""
    return "\n".join(label.split()) if "=" in label else label


def _head(found: Comparison) -> Panel:
    words = sentences(found) or ["nothing was measured"]
    comparable = as_text(comparable_text(found), style="dim" if found["comparable"] else "bold red")
    lost = [as_text(sentence, style="bold red") for sentence in missing(found)]
    is_edited = any(row.get("edited") for row in found["rows"])
    lost += [as_text(note, style="bold red" if is_edited else "dim") for note in doubts(found)]
    lost += [as_text(note, style="bold yellow") for note in found.get("slower", ())]
    is_lost = missing(found) or is_edited or effects.fails(found)
    colour = "red" if is_lost or not found["comparable"] else "green"
    head = as_text(subject(found), style="bold")
    words += best.sentences(found)
    return Panel(Group(head, *map(as_text, words), *lost, comparable), border_style=colour)


def _failed(found: Comparison) -> list[Row]:
    return [row for row in found["rows"] if row["status"] != "VALID"]


# ---- the page


def write(place: Path, found: Comparison) -> Path:
    """Write compare.html in `place`: whole or not at all."""
    return html.write(place / "compare.html", render(found))


def render(found: Comparison) -> str:
    """Return the page as text."""
    rows = found["rows"]
    return html.page(
        "compare.html",
        found=found,
        subject=subject(found),
        headline=effects.headline(found),
        tone=tone(found["limits"]["status"]) if "limits" in found else "",
        sentences=[*sentences(found), *best.sentences(found)],
        missing=[*missing(found), *doubts(found), *found.get("slower", ())],
        comparable=comparable_text(found),
        table=table(found),
        links={row["label"]: html.link(row["run"]) for row in rows},
        failed=_reasons(found),
        tested=[*effects.sentences(found), *effects.refusals(found)],
        limits=effects.limits_table(found),
        effects=effects.effects_table(found),
        picture=_picture(found),
        best=[*filter(None, [attempts.beside(rows)]), *best.tables(found)],
        pictures=best.pictures(found),
        details={row["label"]: row for row in rows},
    )


def _reasons(found: Comparison) -> Table:
    heads = (Column(name, "", words=True) for name in ("label", "status", "reason"))
    columns = [replace(head, toned=tone if head.name == "status" else None) for head in heads]
    rows = [[row[column.name] for column in columns] for row in _failed(found)]
    return Table("Not valid", columns, rows)


def _picture(found: Comparison) -> Plot:
    points = [
        Point(shown(row["label"]), row["weights_bytes"] / 2**20, row["tokens_per_s"])
        for row in found["rows"]
        if row["weights_bytes"] and row["tokens_per_s"]
    ]
    reference = shown(found["verdict"]["reference"])
    svg = at_both_widths(speed_against_weights, points, reference)
    note = (
        "Tokens per second over the timed part against the bytes that the weights take in memory."
        " Up and to the left is better."
    )
    return Plot("Speed against weights", svg, note)
