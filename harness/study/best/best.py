"""Which candidate is best, and by what? Rows of a comparison in; ranks, Pareto fronts, kinds of
task and disagreements out.

It answers no constraint: that is `harness decide`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from harness.study.best.apart import NO_PAIRS, Beside
from harness.study.best.candidates import Candidate, candidates_of
from harness.study.best.fronts import fronts
from harness.study.best.ranks import disagreements, kinds, ranks


def best(
    rows: Sequence[Mapping[str, Any]], beside: Beside = NO_PAIRS, without: Sequence[str] = ()
) -> dict[str, Any]:
    """Return the part `best` of compare.json; empty where there are not two to compare. Figures
    `without` do not compare here.
    """
    candidates = [_without(one, without) for one in candidates_of(rows)]
    ranked = ranks(candidates, beside)
    if not ranked:
        return {}
    return {
        "ranks": [{"figure": row.figure, "places": row.places, "open": row.open} for row in ranked],
        "fronts": [front.to_json() for front in fronts(candidates, beside)],
        "kinds": kinds(candidates),
        "disagreements": [one._asdict() for one in disagreements(candidates, ranked, beside)],
    }


def _without(one: Candidate, names: Sequence[str]) -> Candidate:
    figures = {name: value for name, value in one.figures.items() if name not in names}
    kinds = {name: value for name, value in one.kinds.items() if name not in names}
    return Candidate(one.label, figures, kinds)
