"""What does the page of a run show of the task that it solved? Its figures, what went wrong, and
what more attempts gave.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reports.blocks import Block, Plot
from reports.parts import attempts, errors, task
from reports.plots.attempts import over_tokens
from reports.plots.style import at_both_widths

Result = Mapping[str, Any]


def blocks(result: Result) -> list[Block]:
    """Return the parts of the page; none without a task."""
    found = result.get("task") or {}
    spent = at_both_widths(over_tokens, found.get("attempts") or {})
    picture = Plot("Accuracy against tokens spent", spent) if spent else None
    wrong = errors.blocks(found.get("errors") or {})
    shown = (task.scores(result), *wrong, attempts.table(result), picture)
    return [block for block in shown if block is not None]


def tiles(result: Result) -> list[tuple[str, str, str]]:
    """Return the share of questions solved as (name, figure, unit); none where nothing was scored
    or there is no task.
    """
    found = result.get("task") or {}
    figure = found["scores"][found["scorer"]] if found else {"value": None}
    if figure["value"] is None:
        return []
    return [("solved", task.in_tenths(100 * figure["value"]), f"% of {figure['n']:,}")]
