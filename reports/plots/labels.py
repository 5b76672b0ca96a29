"""Which dot is whose? The dots of subjects, with their intervals, names and colours."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from matplotlib.axes import Axes

from reports.plots.style import BLUE, GREY, LETTER_PT, ORANGE, PURPLE, RED, TEAL

_LINE_PT = 11.0  # about how high a line of a label is
_HIGH_PT = 190.0  # about how high the axes of a picture with names are
_SERIES = (BLUE, ORANGE, TEAL, PURPLE, RED, "#b58a00", "#d165a8", GREY)
Colours = Mapping[str, str]  # of each subject, by its label: the same in every picture of a page


class Point(NamedTuple):
    """A figure of one subject at `x`, with its interval where there is one."""

    label: str
    x: float
    value: float
    low: float | None = None
    high: float | None = None


class Line(NamedTuple):
    """A curve with its band, where there is one."""

    label: str
    x: Sequence[float]
    value: Sequence[float]
    low: Sequence[float] = ()
    high: Sequence[float] = ()


class _Box(NamedTuple):
    """A taken part of the axes, in points from their lower left corner."""

    left: float
    right: float
    bottom: float
    top: float

    def covers(self, other: _Box) -> bool:
        beside = self.right <= other.left or other.right <= self.left
        return not (beside or self.top <= other.bottom or other.top <= self.bottom)


def series_colour(i: int) -> str:
    """Return the colour of the i-th subject in every picture of a page."""
    return _SERIES[i % len(_SERIES)]


def short(text: str, most: int) -> str:
    """Cut a text after `most` characters."""
    return text if len(text) <= most else text[: most - 1] + "…"


def draw_point(axes: Axes, point: Point, colour: str, hollow: bool = False) -> None:
    """Draw a dot with its interval as a bar."""
    if point.low is not None and point.high is not None:
        ends = [point.low, point.high]
        axes.plot([point.x] * 2, ends, color=colour, lw=2, solid_capstyle="round", alpha=0.8)
    face: dict[str, Any] = {"markerfacecolor": "none", "mew": 1.6} if hollow else {}
    axes.plot([point.x], [point.value], "o", ms=7, color=colour, **face)


def name_points(axes: Axes, points: Sequence[Point], lines: Sequence[Line] = ()) -> None:
    """Write each point's name beside it, never on another name or a line; on its left where the
    right edge is near.
    """
    figure = axes.get_figure(root=True)
    assert figure is not None
    wide_pt = 72 * figure.get_figwidth() - 66
    most = min(36, int(wide_pt / 2 / LETTER_PT))  # so that a name fits on one side of its point
    taken = [box for line in lines for box in _along(axes, line, wide_pt)]
    for point in sorted(points, key=lambda p: p.value):
        name = short(point.label, most)
        x_pt, y_pt = _place(axes, point.x, point.value, wide_pt)
        name_pt = LETTER_PT * len(name) + 14
        is_right = x_pt + name_pt < wide_pt
        left_pt = x_pt if is_right else x_pt - name_pt
        room = range(-len(points) - 3, len(points) + 4)
        shifts = sorted((_LINE_PT * k for k in room), key=abs)
        boxes = [
            _Box(left_pt, left_pt + name_pt, middle - _LINE_PT / 2, middle + _LINE_PT / 2)
            for middle in (y_pt + shift for shift in shifts)
        ]
        free = (i for i, box in enumerate(boxes) if not any(map(box.covers, taken)))
        chosen = next(free, len(shifts) - 1)
        taken.append(boxes[chosen])
        axes.annotate(
            name, (point.x, point.value), xytext=(9 if is_right else -9, shifts[chosen]),
            textcoords="offset points", va="center", ha="left" if is_right else "right",
        )  # fmt: skip


def _along(axes: Axes, line: Line, wide_pt: float) -> Iterator[_Box]:
    """Yield the boxes that a line runs through."""
    places = [_place(axes, x, y, wide_pt) for x, y in zip(line.x, line.value, strict=True)]
    for (left, start), (right, end) in pairwise(places):
        yield _Box(left, right, min(start, end) - 1.5, max(start, end) + 1.5)


def _place(axes: Axes, x: float, y: float, wide_pt: float) -> tuple[float, float]:
    """Return about where a point lies in the axes, in points: they have no size before they are
    drawn.
    """
    ends = ((x, axes.get_xlim(), axes.get_xscale()), (y, axes.get_ylim(), axes.get_yscale()))
    shares = []
    for value, (low, high), scale in ends:
        if scale == "log":
            value, low, high = math.log(value), math.log(low), math.log(high)
        shares.append((value - low) / (high - low))
    return wide_pt * shares[0], _HIGH_PT * shares[1]
