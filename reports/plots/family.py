"""How does quality go with size, and with likelihood? Small pictures side by side, one for each
figure: a line for each precision, or a dot for each member.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from reports.plots.labels import Point, series_colour, short
from reports.plots.style import NARROW_IN, WIDE_IN, drawing, log_axis, plain, svg

_WIDE_COLUMNS = 3
_HIGH_IN = 2.5  # of a row of pictures
_APART = 0.035  # of the span: precisions of one size are set apart sideways
_MARKS = "osD^vPX*"


class Series(NamedTuple):
    """A precision (or a member), with its figure at each size; a line joins them if `is_line`."""

    label: str
    points: Sequence[Point]


class Panel(NamedTuple):
    """A small picture: what it is of, which way is better, and its series."""

    title: str
    unit: str
    series: Sequence[Series]


class Across(NamedTuple):
    """The axis that all share: its name, whether it is logarithmic, and names in place of numbers,
    where the models have no sizes to tell them apart.
    """

    label: str
    is_log: bool
    names: Sequence[str] = ()


def against_size(panels: Sequence[Panel], across: Across, width_in: float = WIDE_IN) -> str:
    """Draw each figure against the size of the members, a line for each series."""
    labels = list(dict.fromkeys(one.label for panel in panels for one in panel.series))
    if not panels or sum(len(one.points) for one in panels[0].series) < 2:
        return ""
    with drawing(f"Quality against {across.label}", _high(panels, width_in), width_in) as figure:
        for axes, panel in zip(_grid(figure, panels, width_in), panels, strict=True):
            every = [point.x for one in panel.series for point in one.points]
            for one in panel.series:
                shift = labels.index(one.label) - (len(labels) - 1) / 2
                xs = [_moved(point.x, shift, every, across) for point in one.points]
                _draw(axes, one, xs, labels.index(one.label))
            _sized(axes, across, every)
            plain(axes.yaxis)
            axes.set_title(f"{panel.title}{f', {panel.unit}' if panel.unit else ''}")
        _named(figure, labels, width_in)
        return svg(figure)


def against_likelihood(panels: Sequence[Panel], across: Across, width_in: float = WIDE_IN) -> str:
    """Draw each figure of the answers against a likelihood: a dot for each member, with what x is
    and its interval in the series' own points (x, low and high in a second point).
    """
    labels = list(dict.fromkeys(one.label for panel in panels for one in panel.series))
    if not panels:
        return ""
    with drawing(f"Answers against {across.label}", _high(panels, width_in), width_in) as figure:
        for axes, panel in zip(_grid(figure, panels, width_in), panels, strict=True):
            for one in panel.series:
                number = labels.index(one.label)
                (point, ends) = one.points
                if ends.low is not None and ends.high is not None:
                    axes.plot([ends.low, ends.high], [point.value] * 2, lw=1.4, alpha=0.6,
                              color=series_colour(number))  # fmt: skip
                _draw(axes, Series(one.label, [point]), [point.x], number)
            axes.set_xlabel(across.label)
            plain(axes.xaxis)
            plain(axes.yaxis)
            axes.set_title(f"{panel.title}{f', {panel.unit}' if panel.unit else ''}")
        _named(figure, labels, width_in)
        return svg(figure)


# ---- parts of them


def _columns(panels: Sequence[Panel], width_in: float) -> int:
    return 1 if width_in <= NARROW_IN else min(_WIDE_COLUMNS, max(2, len(panels)))


def _high(panels: Sequence[Panel], width_in: float) -> float:
    rows = math.ceil(len(panels) / _columns(panels, width_in))
    return 0.7 + _HIGH_IN * rows


def _grid(figure: Figure, panels: Sequence[Panel], width_in: float) -> list[Axes]:
    columns = _columns(panels, width_in)
    rows = math.ceil(len(panels) / columns)
    return [figure.add_subplot(rows, columns, place + 1) for place in range(len(panels))]


def _moved(x: float, shift: float, every: Sequence[float], across: Across) -> float:
    """Return where a dot is drawn: beside those of the same size."""
    if across.is_log:
        span = max(every) / min(every)
        return float(x * (max(span, 1.5) ** (_APART * shift)))
    return x + _APART * shift * max(1.0, max(every) - min(every))


def _draw(axes: Axes, one: Series, xs: Sequence[float], number: int) -> None:
    colour, mark = series_colour(number), _mark(number)
    if len(xs) > 1:
        axes.plot(xs, [point.value for point in one.points], color=colour, lw=1.2, alpha=0.7)
    for x, point in zip(xs, one.points, strict=True):
        if point.low is not None and point.high is not None:
            axes.plot([x, x], [point.low, point.high], color=colour, lw=1.4, alpha=0.6)
        axes.plot([x], [point.value], mark, ms=5.5, color=colour)


def _mark(number: int) -> str:
    """Return a mark that the series of the same colour do not have."""
    return _MARKS[(number + number // len(_MARKS)) % len(_MARKS)]


def _sized(axes: Axes, across: Across, every: Sequence[float]) -> None:
    if across.names:
        axes.set(xticks=range(len(across.names)), xlim=(-0.5, len(across.names) - 0.5))
        axes.set_xticklabels([short(name, 14) for name in across.names])
    elif across.is_log:
        log_axis(axes, "x", every, 1.3)
    axes.set_xlabel(across.label)


def _named(figure: Figure, labels: Sequence[str], width_in: float) -> None:
    """Put one legend below all pictures."""
    axes = figure.axes[0]
    made = [
        axes.plot([], [], f"{_mark(number)}-", ms=5.5, color=series_colour(number))[0]
        for number in range(len(labels))
    ]
    columns = 2 if width_in <= NARROW_IN else 6
    figure.legend(made, [short(label, 34) for label in labels], loc="outside lower center",
                  ncols=columns)  # fmt: skip
