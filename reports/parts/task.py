"""How well was a task solved? As a sentence and as a table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.kernel.words.figure import number
from reports.blocks import Column, Table, word_column

Result = Mapping[str, Any]
SCORERS = {
    "number": "final number",
    "number_strict": "final number, marked as such",
    "letter": "letter",
    "boxed": "boxed answer",
    "likelihood": "likeliest choice",
    "runs": "tests passed",
    "likelihood_per_byte": "likeliest choice, per byte",
}


def sentence(result: Result) -> str:
    """Say which share of the questions was solved; nothing without a task."""
    found = result.get("task") or {}
    if not found:
        return ""
    scorer, figure = next(iter(found["scores"].items()))
    shots = f"{found['shots']} example{'s' * (found['shots'] != 1)}"
    how = f"by {SCORERS.get(scorer, scorer.replace('_', ' '))}, {shots}"
    if figure["value"] is None:
        return f"Task {found['name']}: nothing was scored ({how})."
    span = f"{_percent(figure['low'])} to {_percent(figure['high'])} %"
    solved = f"{_percent(figure['value'])} % of {figure['n']:,} questions solved ({span}; {how})"
    unread = f", {figure['no_answer']:,} without a final answer" if figure["no_answer"] else ""
    return f"Task {found['name']}: {solved}{unread}."


def scores(result: Result) -> Table | None:
    """Return each scorer's figure and that of each group; None without a task."""
    found = result.get("task") or {}
    if not found:
        return None
    columns = (
        word_column("what", ""),
        Column("value", "solved", "%", interval=True),
        *(Column(name, name.replace("_", " ")) for name in ("right", "wrong", "no_answer")),
        Column("n", "n"),
    )
    rows = [(SCORERS.get(name, name), *_cells(one)) for name, one in found["scores"].items()]
    rows += [(f"{one['column']}: {one['group']}", *_cells(one)) for one in found["groups"]]
    return Table(f"Task {found['name']}", columns, rows, note="Intervals: 95 %.")


def _cells(figure: Mapping[str, Any]) -> tuple[Any, ...]:
    ends = (figure["value"], figure["low"], figure["high"])
    span = None if figure["value"] is None else tuple(100 * end for end in ends)
    return (span, *(figure[name] for name in ("right", "wrong", "no_answer", "n")))


def _percent(share: float | None) -> str:
    return "?" if share is None else number(100 * share)
