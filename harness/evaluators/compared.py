"""How do evaluations stand side by side? A line for each figure of each variant, with what it has
more than the first variant; and what was not the same for all of them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from harness.evaluators.record import Evaluation, Row
from harness.evaluators.tool import Figure


class Line(NamedTuple):
    """`difference` is from the first variant that has the figure; None for that one itself."""

    label: str
    task: str
    metric: str
    value: float
    stderr: float | None
    n: int | None
    difference: float | None


def lines(evaluations: Sequence[Evaluation]) -> list[Line]:
    """Return a line per figure, those of one task and metric together."""
    groups: dict[tuple[str, ...], list[tuple[str, Figure]]] = defaultdict(list)
    for evaluation, row, label in _labelled(evaluations):
        for value in row.figures:
            groups[evaluation.tool, value.task, value.metric].append((label, value))
    return [line for group in groups.values() for line in _of_group(group)]


def _of_group(group: list[tuple[str, Figure]]) -> Iterator[Line]:
    _, first = group[0]
    for place, (label, it) in enumerate(group):
        difference = it.value - first.value if place else None
        yield Line(label, it.task, it.metric, it.value, it.stderr, it.n, difference)


def _labelled(evaluations: Sequence[Evaluation]) -> Iterator[tuple[Evaluation, Row, str]]:
    """Yield the rows with labels that tell them apart."""
    for evaluation in evaluations:
        others = [one for one in evaluations if one is not evaluation]
        taken = {row.label for other in others for row in other.rows}
        for row in evaluation.rows:
            label = row.label
            if label in taken:
                label = f"{label} ({evaluation.tool}, {evaluation.started_at[:16]})"
            yield evaluation, row, label


def differences(evaluations: Sequence[Evaluation]) -> list[dict[str, Any]]:
    """Return what is not the same though it decides a figure: {what, of, values}."""
    found = []
    for tool in dict.fromkeys(one.tool for one in evaluations):
        ours = [one for one in evaluations if one.tool == tool]
        for what in ("version", "options"):
            values = list(dict.fromkeys(_text(getattr(one, what)) for one in ours))
            if len(values) > 1:
                found.append({"what": what, "of": tool, "values": values})
    counts: dict[str, dict[str, None]] = defaultdict(dict)
    for line in lines(evaluations):
        counts[f"{line.task}, {line.metric}"][str(line.n)] = None
    for figure, several in counts.items():
        if len(several) > 1:
            found.append({"what": "samples", "of": figure, "values": list(several)})
    return found


def _text(value: str | list[str]) -> str:
    return value if isinstance(value, str) else " ".join(value)
