"""What do finished runs cost? Folders and prices in; rates, costs and break-even of each deployment
out. Nothing is measured.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

from harness.cost.terms import Terms
from harness.kernel.errors import BadInput
from harness.study.decide import finished
from harness.study.decide.answer import as_json, break_even, terms_as_json
from harness.study.decide.requirements import objective
from harness.study.decide.wanted import Wanted

SCHEMA = "touchstone.cost/1"
_MOST_PAIRS = 10  # that are set beside each other


def costing(folders: Sequence[Path], terms: Terms) -> dict[str, Any]:
    """Return what is known of each deployment. Raises BadInput."""
    if not folders:
        fine, todo = "expected folders of finished runs", "For example: cost runs/A runs/B."
        raise BadInput("cost", "no run is named", fine, todo)
    wanted = Wanted([], objective(None, None, "tokens_per_s"), terms, True)
    standings = finished.standings(folders, wanted.measures)
    terms.check_names(dict.fromkeys(name for one in standings for name in one.names if name))
    for one in standings:
        one.update(wanted, one)
    pairs = list(combinations(standings, 2))[:_MOST_PAIRS]
    beside = [break_even(ours, theirs, terms) for ours, theirs in pairs]
    return {
        "schema": SCHEMA,
        "terms": terms_as_json(terms),
        "candidates": [
            {
                "label": one.label,
                "status": one.row.get("status", ""),
                "doubts": [*one.doubts, *filter(None, [one.out])],
                "runs": {stage: str(told.folder or "") for stage, told in one.runs.items()},
                "figures": {name: as_json(each.estimate) for name, each in one.figures.items()},
            }
            for one in standings
        ],
        "break_even": [one for one in beside if one is not None],
    }
