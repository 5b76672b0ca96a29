"""Which model or variant is best, each at its best load? Points of a sweep in, the part `best` of
sweep.json out.

A row for each system that was swept (`Option.is_system`: model, variant, address ...): its valid
point with the highest peak rate, goodput or tokens per second, the first of these that all have.
What else was swept (rate, batch size) says how one of them is used: the curves and the front of the
sweep show that, and ranking it again would count one model several times. So there is nothing here
where only such settings were swept; nor where there are more systems than anybody reads.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from accuracy.resampling import Estimate
from harness.kernel.words.judged import TABLE
from harness.options.run_options import OPTIONS
from harness.study.best.told import row, told
from harness.study.comparison.ranking import PER_TOKEN

WHICH = tuple(name for name, option in OPTIONS.items() if option.is_system)
_BY = ("peak_qps", "goodput_per_s", "tokens_per_s", "samples_per_s")
_MOST = 32  # systems: a column of the page each, and pairs to tell apart
_OTHER_NAMES = {"peak_qps": "valid_qps"}  # in comparisons
Point = Mapping[str, Any]


def bests(
    points: Sequence[Point], swept: Sequence[str], tokenizers: Sequence[str | None]
) -> dict[str, Any]:
    """Return which is best; empty where there are not two to compare. `tokenizers` are those of
    the runs: losses per token of several do not compare.
    """
    which = [name for name in swept if name in WHICH]
    valid = [point for point in points if point["status"] == "VALID"]
    groups: dict[str, list[Point]] = {}
    for point in valid:
        groups.setdefault(repr([point["values"].get(name) for name in which]), []).append(point)
    by = _chosen_by(list(groups.values()))
    if not which or by is None or len(groups) > _MOST:
        return {}
    rows = [_row(max(group, key=lambda point: _value(point, by))) for group in groups.values()]
    found = told(rows, PER_TOKEN if len(set(tokenizers) - {None}) > 1 else ())
    return found | {"by": _OTHER_NAMES.get(by, by)} if found else {}


def _chosen_by(groups: Sequence[Sequence[Point]]) -> str | None:
    """Return the figure by which a point is chosen of each group."""
    for name in _BY:
        if groups and all(any(name in point["figures"] for point in group) for group in groups):
            return name
    return None


def _value(point: Point, name: str) -> float:
    return float(point["figures"].get(name, {}).get("value") or 0.0)


def _row(point: Point) -> dict[str, Any]:
    figures = {
        _OTHER_NAMES.get(name, name): _estimate(name, figure)
        for name, figure in point["figures"].items()
    }
    return row(point["label"], figures)


def _estimate(name: str, figure: Mapping[str, Any]) -> Estimate:
    """Return a figure with the interval of its repeats. Repeats ask the same questions, so they do
    not say how sure a quality is; nor do repeats in virtual time, which are all the same.
    """
    value, low, high = (figure[end] for end in ("value", "low", "high"))
    is_quality = name in TABLE and TABLE[name].about == "quality"
    return Estimate(value) if is_quality or low == high else Estimate(value, low, high)
