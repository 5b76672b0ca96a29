"""Which runs does a sweep make, and in which order?

A point is one combination of the swept values, and has a cell for each repeat. Repeats are rounds:
all points once, then all of them again, each round in an order of its own, drawn from `order_seed`.
So what changes slowly (heat, other load on the machine) meets every point alike, and does not look
like an effect of a setting. A single round keeps the order of the lists.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from harness.kernel.errors import BadInput
from harness.kernel.privacy.secrets import hidden_in
from harness.study.cells import Point, points_of, without_variants
from harness.study.study import Cell
from harness.study.sweep.plan import Plan

DEFAULTS = {"scenario": "offline"}


class Planned(NamedTuple):
    """Points, the cells in the order in which they are measured, and of which (point, repeat) each
    is; both count from 0.
    """

    points: list[Point]
    cells: list[Cell]
    places: dict[str, tuple[int, int]]

    def saved(self) -> dict[str, Any]:
        """Return what study.json keeps of it beside the cells."""
        points = [
            {
                "name": point.name,
                "values": hidden_in(point.values),
                "refused": str(point.refused or ""),
            }
            for point in self.points
        ]
        return {"points": points, "places": {name: list(p) for name, p in self.places.items()}}


def planned(plan: Plan) -> Planned:
    """Check every combination, and order the cells of those that are possible. Raises BadInput for
    a value with which no combination is possible: it is wrong by itself.
    """
    points = points_of(plan.fixed, plan.chosen, DEFAULTS)
    _refuse_wrong_values(points)
    _refuse_variants(plan, points)
    cells, places = list[Cell](), dict[str, tuple[int, int]]()
    for place, repeat in _order(points, plan):
        point = points[place]
        assert point.config is not None
        name = point.name if plan.repeats == 1 else f"{point.name} ({repeat + 1}/{plan.repeats})"
        cells.append(Cell(name, point.config))
        places[name] = (place, repeat)
    return Planned(points, cells, places)


def _order(points: Sequence[Point], plan: Plan) -> Iterator[tuple[int, int]]:
    """Yield (point, repeat) in the order in which they are measured."""
    draw = random.Random(plan.order_seed)
    possible = [place for place, point in enumerate(points) if point.config is not None]
    for repeat in range(plan.repeats):
        if plan.repeats > 1:
            draw.shuffle(possible)
        for place in possible:
            yield place, repeat


def _refuse_wrong_values(points: Sequence[Point]) -> None:
    """Raise what was said of the first value that stands in no possible combination."""
    possible = {_key(name, value) for name, value in _values(points, possible=True)}
    for point in points:
        if point.refused is None:
            continue
        if not point.values or any(_key(*pair) not in possible for pair in point.values.items()):
            raise point.refused


def _values(points: Sequence[Point], possible: bool) -> Iterator[tuple[str, Any]]:
    for point in points:
        if (point.refused is None) is possible:
            yield from point.values.items()


def _key(name: str, value: Any) -> tuple[str, str]:
    return name, repr(value)


def _refuse_variants(plan: Plan, points: Sequence[Point]) -> None:
    """Raise BadInput where variants are swept and a SUT has none."""
    if "variant" not in {**plan.product, **plan.together}:
        return
    if name := without_variants([point.config for point in points if point.config is not None]):
        found, fine = f"the {name} SUT has no variants", "expected a model or a server"
        raise BadInput("--variant", found, fine, "Leave the SUT or the variants out.")


def read_places(saved: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of a sweep, checked. Raises KeyError, TypeError, ValueError if they are
    damaged.
    """
    points = [
        {"name": str(p["name"]), "values": dict(p["values"]), "refused": str(p["refused"])}
        for p in saved["points"]
    ]
    places = {str(name): (int(place), int(r)) for name, (place, r) in saved["places"].items()}
    if any(not 0 <= place < len(points) for place, _ in places.values()):
        raise ValueError
    numbers = {name: int(saved[name]) for name in ("repeats", "order_seed")}
    return {"points": points, "places": places, **numbers}
