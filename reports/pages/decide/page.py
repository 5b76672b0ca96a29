"""How is a decision shown? The answer on top, what would change it, then the deployments and what
they cost: on the screen, and as decide.html with pictures that show why.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console, Group
from rich.panel import Panel
from rich.text import Text

from harness.kernel.words.measure import measure
from reports import blocks
from reports.blocks import Plot, Table, as_text, joined
from reports.pages import html
from reports.pages.comparison import best
from reports.pages.decide import pictures, sentences, tables

Found = Mapping[str, Any]
_WIDTH = 11  # the least of a column


def told(row: Found) -> Text:
    """Return a line on a run that has just been made."""
    rate, speed = (row.get("valid_rate") or {}).get("value"), row["tokens_per_s"]
    what = row["reason"]
    if rate:
        what = f"valid at {measure('valid_qps').text(rate)}"
    elif speed and row["status"] == "VALID":
        what = measure("tokens_per_s").text(speed)
    return joined((f"{row['label']} {row['status']}", "bold"), (f"  {what}", ""))


def table(found: Found) -> Table:
    """Return the main table, as CSV and Markdown have it."""
    return tables.deployments(found)


def show(found: Found, place: Path, console: Console, tables_too: bool = True) -> None:
    """Print the answer, the tables in as many parts as the width needs, and the notes."""
    console.print(_head(found))
    if tables_too:
        for one in (tables.deployments(found), tables.costs(found["candidates"])):
            bare = replace(one, note="")
            for part in blocks.screens(bare, console.width, _WIDTH) if len(one.columns) > 1 else ():
                console.print(part)
    for note in sentences.notes(found):
        console.print(as_text(f"note: {note}", "dim"))
    console.print(as_text(f"decision: {place / 'decide.html'}", "dim"), soft_wrap=True)


def _head(found: Found) -> Panel:
    lines = [as_text(sentences.answer(found), "bold")]
    lines += [
        as_text(words) for words in (sentences.sure(found), *sentences.changes(found)) if words
    ]
    lines += [as_text(words) for words in _best(found)]
    lines += [as_text(words, "bold red") for words in sentences.doubts(found)]
    is_good = found["answer"] is not None and not sentences.doubts(found)
    colour = "green" if is_good else "red"
    return Panel(Group(as_text(sentences.subject(found), "dim"), *lines), border_style=colour)


def write(place: Path, found: Found) -> Path:
    """Write decide.html in `place`: whole or not at all."""
    return html.write(place / "decide.html", render(found))


def render(found: Found) -> str:
    """Return the page as text."""
    candidates = found["candidates"]
    return html.page(
        "decide.html",
        subject=sentences.subject(found),
        fits=found["answer"] is not None,
        doubts=sentences.doubts(found),
        answer=sentences.answer(found),
        sentences=[words for words in (sentences.sure(found), *sentences.changes(found)) if words]
        + _best(found),
        notes=sentences.notes(found),
        deployments=tables.deployments(found),
        costs=replace(tables.costs(candidates), note=_cost_note(found)),
        best=best.tables(best.of_part(found), tables.BEST_NOTE),
        runs=_runs(found),
        links={_name(one, stage): html.link(run) for one in candidates
               for stage, run in one["runs"].items()},
        plots=_plots(found),
        fronts=best.pictures(best.of_part(found)),
        details={"decide.json": found},
    )  # fmt: skip


def _best(found: Found) -> list[str]:
    """Say who is first by what, whatever is required, and where quality is traded for the rest."""
    part = best.of_part(found)
    words = [f"{line}." for line in (*best.firsts(part), *best.sentences(part))]
    return [f"Whatever is required, {words[0]}", *words[1:]] if words else []


def _runs(found: Found) -> Table:
    """Return the runs that were made, and those that were not needed."""
    columns = [blocks.word_column("run", "run"), blocks.word_column("folder", "folder")]
    rows = []
    for one in found["candidates"]:
        rows += [[_name(one, stage), run or "no run"] for stage, run in one["runs"].items()]
        rows += [[_name(one, stage), "not needed"] for stage in one["not_run"]]
    return Table("Runs", columns, rows, folded=True)


def _cost_note(found: Found) -> str:
    return tables.COST_NOTE.format(weight=found["terms"]["output_weight"])


def _name(one: Found, stage: str) -> str:
    return f"{one['label']}: {stage}"


def _plots(found: Found) -> list[Plot]:
    return [plot for plot in (pictures.limits(found), pictures.costs(found)) if plot.svg]
