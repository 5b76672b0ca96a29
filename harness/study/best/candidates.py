"""What is known of a candidate? Its figures with their intervals, and its scores by kind of task.

Made of the rows of a comparison, which carry the intervals (`harness.study.comparison.intervals`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

from accuracy.resampling import Estimate
from harness.kernel.words.judged import TABLE, Judged, value_of

Kinds = Mapping[str, Mapping[str, Estimate]]  # figure -> kind of task -> its figure


class Candidate(NamedTuple):
    """Figures that are not known are missing; `kinds` is empty where no task has a label."""

    label: str
    figures: Mapping[str, Estimate]
    kinds: Kinds = MappingProxyType({})


def candidates_of(rows: Sequence[Mapping[str, Any]]) -> list[Candidate]:
    """Return the candidates of labelled rows that were measured."""
    return [candidate_of(row) for row in rows if row["status"] in ("VALID", "INVALID", "DONE")]


def candidate_of(row: Mapping[str, Any]) -> Candidate:
    """Return the candidate of a labelled row."""
    known = {name: _estimate(row, figure) for name, figure in TABLE.items()}
    figures = {name: estimate for name, estimate in known.items() if estimate.value is not None}
    kinds = {
        figure: {kind: Estimate(*ends) for kind, ends in values.items()}
        for figure, values in (row.get("kinds") or {}).items()
    }
    return Candidate(row["label"], figures, kinds)


def _estimate(row: Mapping[str, Any], figure: Judged) -> Estimate:
    value = value_of(row, figure)
    if value is None or figure.is_exact:
        return Estimate(value, value, value)
    low, high = (row.get("intervals") or {}).get(figure.name, (None, None))
    return Estimate(value, low, high)
