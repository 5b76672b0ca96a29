"""What changes with the load? Curves over the swept load, the knee of each, and the Pareto front.

The load is the first of LOADS that was swept; what else was swept tells one curve from another. The
knee is the load with the highest power, completed requests per second over their mean latency
(Kleinrock 1979): below it another request brings more throughput than it costs in latency, above it
less. For a queue M/M/1 that is at half its capacity, whatever range was swept. A knee at either end
of the range is not bracketed: the true one may lie beyond.

With repeats the knee has an interval: the 2.5th and 97.5th percentile of the knees of 2,000 draws
of the repeats of each load, with replacement.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

LOADS = ("target_qps", "max_concurrency", "samples_per_query")
SEED, _DRAWS, _FEWEST = 1, 2_000, 3  # loads that can show a knee
Point = Mapping[str, Any]  # of sweep.json


class Knee(NamedTuple):
    """The load where power is highest; `low` and `high` are None without repeats."""

    load: float
    low: float | None
    high: float | None
    is_bracketed: bool


def load_of(swept: Sequence[str]) -> str:
    """Name the load that was swept; "" if none was."""
    return next((name for name in LOADS if name in swept), "")


def curves(points: Sequence[Point], load: str) -> list[dict[str, Any]]:
    """Return the curves over the load: label, places of their points by load, and the knee. Each
    has at least two loads that were measured.
    """
    groups: dict[str, list[int]] = {}
    for place, point in enumerate(points):
        if point["figures"] and number_of(point, load) is not None:
            groups.setdefault(point["series"], []).append(place)
    found = []
    for label, places in groups.items():
        ordered = sorted(places, key=lambda place: number_of(points[place], load) or 0.0)
        if len(ordered) > 1:
            knee = knee_of([points[place] for place in ordered], load)
            found.append({"label": label, "points": ordered, "knee": knee and knee._asdict()})
    return found


def number_of(point: Point, load: str) -> float | None:
    """Return the load of a point; None where it is a word, such as auto."""
    try:
        return float(point["values"][load])
    except (KeyError, TypeError, ValueError):
        return None


def knee_of(points: Sequence[Point], load: str) -> Knee | None:
    """Return the knee of points in the order of their load; None where too few tell."""
    known = [(number_of(point, load), _powers(point)) for point in points]
    with_power = [(at, powers) for at, powers in known if at is not None and powers]
    if len(with_power) < _FEWEST or points[0].get("is_at_once"):
        return None
    loads = np.array([at for at, _ in with_power])
    means = [float(np.mean(powers)) for _, powers in with_power]
    best = int(np.argmax(means))
    low, high = _interval(loads, [np.array(powers) for _, powers in with_power])
    return Knee(float(loads[best]), low, high, 0 < best < len(loads) - 1)


def _powers(point: Point) -> list[float]:
    return [run["figures"]["power"] for run in point["runs"] if "power" in run["figures"]]


def _interval(loads: Any, powers: Sequence[Any]) -> tuple[float | None, float | None]:
    """Return the ends of the interval; None of single runs."""
    if min(map(len, powers)) < 2:
        return None, None
    rng = np.random.default_rng(SEED)
    drawn = [rng.choice(each, (_DRAWS, len(each))).mean(axis=1) for each in powers]
    knees = np.sort(loads[np.argmax(drawn, axis=0)])
    return float(knees[int(0.025 * _DRAWS)]), float(knees[int(0.975 * _DRAWS)])


def pareto(points: Sequence[Point]) -> list[int]:
    """Return the places of the valid points that no other valid point beats in both throughput per
    device and speed per user, slowest user first.
    """
    known = [
        (_value(point, "tokens_per_s_per_user"), _value(point, "tokens_per_s_per_device"), place)
        for place, point in enumerate(points)
        if point["status"] == "VALID"
    ]
    with_both = [(user, device, place) for user, device, place in known if user and device]
    front, best = [], 0.0
    for _, device, place in sorted(with_both, reverse=True):
        if device > best:
            front.append(place)
            best = device
    return front[::-1]


def _value(point: Point, name: str) -> float:
    return float(point["figures"].get(name, {}).get("value") or 0.0)
