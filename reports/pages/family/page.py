"""How does a family look? What follows in words on top, then one table with a row for each member,
what follows from it, and pictures. The screen and family.html are made of family.json.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console, Group
from rich.panel import Panel

from reports import blocks
from reports.blocks import as_text
from reports.pages import html
from reports.pages.family import tables as made
from reports.pages.family.pictures import pictures
from reports.pages.family.sentences import sentences

Family = Mapping[str, Any]
_ON_SCREEN = ("The family", "What a precision changes")


def subject(found: Family) -> str:
    """Return what the family is: models, members, and what was asked."""
    models = list(dict.fromkeys(row["model"] for row in found["rows"]))
    who = models[0] if len(models) == 1 else f"{len(models)} models"
    of = list(dict.fromkeys(one["of"] for one in found["columns"]
                            if one["figure"] not in ("tokens_per_s", "peak_bytes")))  # fmt: skip
    return " · ".join([who, f"{len(found['rows'])} members", ", ".join(of) or "no quality known"])


def table(found: Family) -> blocks.Table:
    """Return the main table, which CSV files have."""
    return made.table(found)


def show(found: Family, place: Path, console: Console, tables: bool = True) -> None:
    """Print what follows, and the tables unless they go elsewhere."""
    lines = [as_text(subject(found), style="bold"), *map(as_text, sentences(found))]
    console.print(Panel(Group(*lines)))
    for one in made.tables(found) if tables else ():
        if one.title in _ON_SCREEN:
            for part in blocks.screens(one, console.width):
                console.print(part)
    for note in found["notes"]:
        console.print(as_text(f"note: {note}", style="dim"))
    console.print(as_text(f"family: {place / 'family.html'}", style="dim"), soft_wrap=True)


def write(place: Path, found: Family) -> Path:
    """Write family.html in `place`: whole or not at all."""
    return html.write(place / "family.html", render(found))


_FEW = 6  # members: so many stand side by side on a page


def _for_a_page(found: Family) -> list[blocks.Table]:
    """Return the tables; that of few members turned, since it has more figures than members."""
    first, *rest = made.tables(found)
    return [replace(first, sideways=len(first.rows) <= _FEW), *rest]


def render(found: Family) -> str:
    """Return the page as text."""
    return html.page(
        "family.html",
        subject=subject(found),
        sentences=sentences(found),
        tables=_for_a_page(found),
        pictures=pictures(found),
        notes=found["notes"],
        details={"family.json": found},
    )
