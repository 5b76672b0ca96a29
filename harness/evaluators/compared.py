"""How do evaluations stand side by side? A line for each figure of each variant, with what it has
more than the first variant, in pairs where values of single answers are kept; and what was not the
same for all of them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from msgspec.structs import replace

from accuracy.resampling import NOTHING
from harness.evaluators.answers.columns import Columns
from harness.evaluators.answers.paired import difference as paired
from harness.evaluators.answers.runs import QUESTIONS
from harness.evaluators.record import Evaluation, Line, Row
from harness.evaluators.tool import Figure

Kept = Mapping[str, Columns]  # by the folder of the row


class _Member(NamedTuple):
    label: str
    figure: Figure
    row: Row
    columns: Columns | None


def lines(evaluations: Sequence[Evaluation], kept: Sequence[Kept] = ()) -> list[Line]:
    """Return a line per figure, those of one task and metric together. `kept` are the columns of
    each evaluation.
    """
    groups: dict[tuple[str, ...], list[_Member]] = defaultdict(list)
    columns_of = {id(one): columns for one, columns in zip(evaluations, kept, strict=False)}
    for evaluation, row, label in _labelled(evaluations):
        columns = columns_of.get(id(evaluation), {}).get(row.folder)
        for it in row.figures:
            member = _Member(label, it, row, columns)
            groups[evaluation.tool, it.task, it.metric].append(member)
    return [line for group in groups.values() for line in _of_group(group)]


def _of_group(group: list[_Member]) -> Iterator[Line]:
    first = group[0]
    for place, member in enumerate(group):
        it = member.figure
        line = Line(member.label, it.task, it.metric, it.value, it.stderr, it.n, None)
        if not place:
            yield line
            continue
        change, interval = it.value - first.figure.value, NOTHING
        if it.n and _same_questions(first.row, member.row):
            interval = paired(first.columns, member.columns, it.metric, change, it.n)
        yield replace(line, difference=change, low=interval.low, high=interval.high)


def _same_questions(first: Row, other: Row) -> bool:
    """Tell whether two runs have answered the same questions."""
    ours, theirs = first.scored, other.scored
    if not ours or ours.get("questions_sha256") != theirs.get("questions_sha256"):
        return False
    terms, others = ours.get("terms", {}), theirs.get("terms", {})
    return all(terms.get(name) == others.get(name) for name in QUESTIONS)


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
    found += _of_runs([row for one in evaluations for row in one.rows if row.scored])
    counts: dict[str, dict[str, None]] = defaultdict(dict)
    for line in lines(evaluations):
        counts[f"{line.task}, {line.metric}"][str(line.n)] = None
    for figure, several in counts.items():
        if len(several) > 1:
            found.append({"what": "samples", "of": figure, "values": list(several)})
    return found


def _of_runs(rows: Sequence[Row]) -> Iterator[dict[str, Any]]:
    """Yield what the scored runs were not asked alike, and metrics of one name that differ."""
    terms = dict.fromkeys(name for row in rows for name in row.scored.get("terms", {}))
    for name in terms:
        values = list(dict.fromkeys(str(row.scored["terms"].get(name, "-")) for row in rows))
        if len(values) > 1:
            yield {"what": name, "of": "the runs", "values": values}
    scripts: dict[str, dict[str, None]] = defaultdict(dict)
    for row in rows:
        for task in dict.fromkeys(figure.task for figure in row.figures):
            scripts[task][str(row.scored.get("script_sha256", ""))[:12]] = None
    for task, several in scripts.items():
        if len(several) > 1:
            yield {"what": "script", "of": task, "values": list(several)}


def _text(value: str | list[str]) -> str:
    return value if isinstance(value, str) else " ".join(value)
