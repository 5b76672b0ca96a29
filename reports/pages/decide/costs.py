"""How does `harness cost` look? One table, the sentences on servers and break-even below it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from rich.console import Console

from harness.kernel.words.figure import number
from harness.kernel.words.measure import measure
from reports import blocks
from reports.blocks import Table, as_text
from reports.pages.decide import tables
from reports.pages.decide.sentences import break_even, servers, text

Found = Mapping[str, Any]
_WIDTH = 11  # the least of a column


def table(found: Found) -> Table:
    """Return the rates and costs of each deployment."""
    note = tables.COST_NOTE.format(weight=found["terms"]["output_weight"])
    return replace(tables.costs(found["candidates"]), note=note)


def sentences(found: Found) -> Iterator[str]:
    """Say what follows for the needed rate, and what is doubtful."""
    need = found["terms"]["need_qps"]
    for one in found["candidates"]:
        figures = one["figures"]
        if "servers" in figures:
            each = text(measure("qps"), figures["qps"])
            yield (
                f"{one['label']}: {number(need)} queries/s at {each} per server take"
                f" {servers(figures['servers'])}."
            )
        elif need is not None:
            yield f"{one['label']}: no run tells its valid rate; make one with --mode find-peak."
        for doubt in one["doubts"]:
            yield f"{one['label']}: {doubt}"
    for pair in found["break_even"]:
        yield from break_even(pair)


def show(found: Found, console: Console, tables_too: bool = True) -> None:
    """Print the table and the sentences."""
    if tables_too:
        for part in blocks.screens(table(found), console.width, _WIDTH):
            console.print(part)
    for words in sentences(found):
        console.print(as_text(words), soft_wrap=True)
