"""Which is best, of candidates that are no rows of a comparison: the deployments of a decision, the
models and variants of a sweep? The part `best` of decide.json and sweep.json, with its rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from accuracy.resampling import Estimate
from harness.kernel.words.judged import TABLE
from harness.study.best.best import best

Row = dict[str, Any]


def row(label: str, figures: Mapping[str, Estimate]) -> Row:
    """Return a row of what is known of a candidate, of the figures that rank."""
    known = {name: one for name, one in figures.items() if name in TABLE and one.value is not None}
    return {
        "label": label,
        "status": "DONE",
        "figures": {name: one.value for name, one in known.items()},
        "intervals": {
            name: [one.low, one.high]
            for name, one in known.items()
            if one.low is not None and one.high is not None
        },
    }


def told(rows: Sequence[Row], without: Sequence[str] = ()) -> dict[str, Any]:
    """Return which is best with the rows that it is told of; empty where there are not two to
    compare.
    """
    found = best(rows, without=without)
    return found | {"rows": list(rows)} if found else {}
