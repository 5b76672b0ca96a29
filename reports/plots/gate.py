"""How sure is the gate, and where do outputs leave the reference? Coordinates for the page, whose
template draws them in its own colours.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from reports.blocks import between, percent, tone
from reports.parts.solving import share
from reports.plots.labels import short
from reports.tables import ROUGE

Found = Mapping[str, Any]
Row = Mapping[str, Any]


class Arrow(NamedTuple):
    """The head of an arrow at an end of the axis, as the points of a polygon, and how far the
    interval goes beyond it, in %, with the place and the hang of that figure.
    """

    points: str
    text: str
    x: float
    side: str


class Mark(NamedTuple):
    """One ratio in the forest: where its point and the ends of its interval lie, from left to
    right. `x` is None of a point that lies beyond the axis, and `beyond` has an arrow for each end
    there.
    """

    name: str
    x: float | None
    low: float
    high: float
    y: float
    text: str
    tone: str
    beyond: Sequence[Arrow] = ()


class Frame(NamedTuple):
    """Where things stand in a forest, in pixels: the axis from `left` to `right`, the names of the
    figures up to `names`, their values from `values` on; None leaves no room for these. `longest`
    is the length of a name, in characters.
    """

    left: int
    right: int
    width: int
    names: int
    values: int | None
    longest: int


ROOMY, PHONE = Frame(230, 830, 1080, 216, 846, 30), Frame(96, 300, 338, 88, None, 14)


class Group(NamedTuple):
    """Ratios under one head: (name, value, low, high, status) of each. `band` is what chance alone
    moves the reference by, as a share of it.
    """

    head: str
    ratios: Sequence[tuple[str, float, float | None, float | None, str]]
    band: tuple[float, float] | None = None


class Band(NamedTuple):
    """Where the noise of a group lies, in pixels."""

    x: float
    width: float
    y: float
    height: float


class Forest(NamedTuple):
    """All coordinates are in pixels of a picture `frame.width` by `height`; lines are (x, text, how
    the text hangs on it).
    """

    frame: Frame
    height: float
    heads: list[tuple[float, str]]
    marks: list[Mark]
    lines: list[tuple[float, str, str]]
    ticks: list[tuple[float, str]]
    bands: list[Band]


_TOP, _LINE, _GAP = 26, 20, 12
_LEAST, _MOST = 0.0, 2.0  # shares beyond which an interval is cut off, and has an arrow


def forest(found: Found, reading: str, rows: Sequence[Row], frame: Frame = ROOMY) -> Forest:
    """Place the ratios of ROUGE with their intervals, beside the targets."""
    target = found["target"]
    shares = {0.99, 0.999, target["share"]} if reading != "published" else {target["share"]}
    groups = []
    for row in rows:
        ratios = []
        for r in _known(row["readings"][reading]["ratios"]):
            status = r["calls"].get(target["key"], {}).get("status", "")
            ratios.append((ROUGE[r["name"]], r["value"], r["low"], r["high"], status))
        groups.append(Group(row["label"], ratios))
    return placed(groups, sorted(shares), frame)


def of_tasks(found: Found, frame: Frame = ROOMY) -> Forest:
    """Place the share kept on each task with its interval, beside the targets and the noise."""
    groups = []
    for task in found["tasks"]:
        ratios = []
        for row in filter(None, (task["control"], *task["rows"])):
            if (kept := share(row, task)) is not None:
                ends = kept["value"], kept["low"], kept["high"]
                ratios.append((row["label"], *ends, row["status"]))
        noise = task["noise"] and 1 - task["noise"]["finest"]
        groups.append(Group(task["name"], ratios, (1 - noise, 1 + noise) if noise else None))
    return placed(groups, sorted({0.99, 0.999, found["target"]["share"]}), frame)


def placed(groups: Sequence[Group], shares: Sequence[float], frame: Frame) -> Forest:
    """Return where everything stands."""
    every = [end for group in groups for _, *ends, _ in group.ratios for end in ends]
    every += [end for group in groups for end in group.band or ()]
    ends = [min(max(end, _LEAST), _MOST) for end in every if isinstance(end, float)]
    low, high = min([*ends, *shares, 1.0]), max([*ends, *shares, 1.0])
    room = 0.06 * (high - low)
    low, high = low - room, high + room

    def x(value: float) -> float:
        value = min(max(value, low), high)
        return round(frame.left + (frame.right - frame.left) * (value - low) / (high - low), 1)

    heads, marks, bands, y = [], [], [], float(_TOP)
    for group in groups:
        y += _LINE
        heads.append((y, group.head if group.ratios else f"{group.head}: nothing to compare"))
        if group.band:
            left, right = map(x, group.band)
            height = _LINE * len(group.ratios)
            bands.append(Band(left, round(right - left, 1), y + 5, height))
        for name, value, least, most, status in group.ratios:
            y += _LINE
            low_at, high_at = (x(value if end is None else end) for end in (least, most))
            text = f"{percent(value)}  {between(least, most, percent)}"
            point = x(value) if low <= value <= high else None
            arrows = [] if least is None or least >= low else [_arrow(low_at, y, least, -1)]
            arrows += [] if most is None or most <= high else [_arrow(high_at, y, most, 1)]
            who = short(name, frame.longest)
            marks.append(Mark(who, point, low_at, high_at, y, text, tone(status), arrows))
        y += _GAP
    sides = ["end" if i == 0 and len(shares) > 1 else "start" for i in range(len(shares))]
    hung = [
        (x(share), f"{100 * share:g} %", side) for share, side in zip(shares, sides, strict=True)
    ]
    ticks = [(x(t), f"{100 * t:g}") for t in _ticks(low, high)]
    return Forest(frame, y + 34, heads, marks, hung, ticks, bands)


def _arrow(x: float, y: float, end: float, way: int) -> Arrow:
    """Return an arrow that points left (-1) or right (1), to the end of an interval."""
    base, middle = round(x - 9 * way, 1), y - 4
    points = f"{x},{middle} {base},{middle - 5} {base},{middle + 5}"
    side = "start" if way > 0 else "end"
    return Arrow(points, f"{100 * end:,.0f}", x + 4 * way, side)


def _known(ratios: Sequence[Row]) -> list[Row]:
    return [ratio for ratio in ratios if ratio["name"] in ROUGE and ratio["value"] is not None]


def _ticks(low: float, high: float) -> list[float]:
    """Return three to seven round values."""
    step = 10 ** math.floor(math.log10((high - low) / 2))
    step = next(step * k for k in (1, 2, 5, 10) if (high - low) / (step * k) <= 6)
    return [round(k * step, 10) for k in range(math.ceil(low / step), math.floor(high / step) + 1)]


class Bar(NamedTuple):
    text: str
    outputs: int
    height: float


def bars(row: Row) -> list[Bar]:
    """Return the histogram of first divergence: heights from 0 to 1."""
    most = max((part["outputs"] for part in row["divergence"]), default=0) or 1
    return [Bar(_span(part), part["outputs"], part["outputs"] / most) for part in row["divergence"]]


def _span(part: Row) -> str:
    first, last = part["first"], part["last"]
    return f"{first}" if first == last else f"{first}-{last}"
