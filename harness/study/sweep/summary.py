"""What do the runs of a sweep come to? Points and their runs in, sweep.json out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from harness.study.cells import differing, label_of
from harness.study.sweep.bests import bests
from harness.study.sweep.curves import curves, load_of, pareto
from harness.study.sweep.folded import figures_of, folded, status_of

SCHEMA = "touchstone.sweep/1"
_FEWEST_POINTS = 3  # that can tell a round from the others
_SPEED = "tokens_per_s"
_SHARED = ("model", "variant", "device", "devices", "is_at_once")  # by all runs of a point
Saved = Mapping[str, Any]
Run = Mapping[str, Any]


def summary(saved: Saved, order: Sequence[str], runs: Mapping[str, Run]) -> dict[str, Any]:
    """Return the points with their runs, the curves over the load, the Pareto front and the rounds.
    `runs` are those that ended, by the name of their cell; `order` is that of all cells.
    """
    values = [point["values"] for point in saved["points"]]
    swept = differing(values)
    load = load_of(swept, values)
    number = {name: i for i, name in enumerate(order, 1)}
    of_point: dict[int, list[dict[str, Any]]] = {}
    for name in order:
        if name in runs:
            place, repeat = saved["places"][name]
            left_out = (*_SHARED, "tokenizer")
            mine = {key: value for key, value in runs[name].items() if key not in left_out}
            mine |= {"order": number[name], "repeat": repeat + 1}
            of_point.setdefault(place, []).append({**mine, "shared": runs[name]})
    points = [
        _point(point, of_point.get(place, []), [name for name in swept if name != load])
        for place, point in enumerate(saved["points"])
    ]
    return {
        "schema": SCHEMA,
        "swept": swept,
        "load": load,
        "repeats": saved["repeats"],
        "order_seed": saved["order_seed"],
        "points": points,
        "curves": curves(points, load) if load else [],
        "front": pareto(points),
        "best": bests(points, swept, [run.get("tokenizer") for run in runs.values()]),
        "rounds": _rounds(points, saved["repeats"]),
        "not_run": [name for name in order if name not in runs],
    }


def _point(point: Saved, runs: Sequence[dict[str, Any]], others: Sequence[str]) -> dict[str, Any]:
    """Return a point; its series is the label of all that was swept but the load."""
    shared = _shared([run.pop("shared") for run in runs])
    status, reason = status_of(runs, point["refused"])
    return {
        "label": point["name"],
        "series": label_of(point["values"], others) if others else shared["variant"] or "run",
        "values": dict(point["values"]),
        "status": status,
        "reason": reason,
        **shared,
        "figures": figures_of(runs),
        "runs": list(runs),
    }


def _shared(runs: Sequence[Run]) -> dict[str, Any]:
    """Return what all runs of a point have in common, by the one that knows most."""
    nothing = {"model": "", "variant": "", "device": "", "devices": 1, "is_at_once": False}
    known = max(runs, key=lambda run: bool(run["device"]), default=nothing)
    return {name: known[name] for name in _SHARED}


def _rounds(points: Sequence[Saved], repeats: int) -> list[dict[str, Any]]:
    """Return how fast each round of repeats was beside the mean of all, as a ratio over the points
    that every round measured; nothing where too few were.
    """
    speeds = [
        [run["figures"].get(_SPEED) for run in sorted(p["runs"], key=lambda run: run["repeat"])]
        for p in points
    ]
    whole = [row for row in speeds if len(row) == repeats and None not in row and all(row)]
    if repeats < 2 or len(whole) < _FEWEST_POINTS:
        return []
    ratios = [[speed * repeats / sum(row) for speed in row] for row in whole]
    return [folded([row[i] for row in ratios])._asdict() for i in range(repeats)]
