"""How do latency, goodput and throughput go with the load, and what does speed for one user cost in
throughput? Small multiples over the load, the Pareto front, and dots where no load was swept.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import ceil
from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from reports.plots.labels import Line, Point, name_points, series_colour, short
from reports.plots.style import (
    BLUE,
    GREY,
    LETTER_PT,
    ORANGE,
    RED,
    WIDE_IN,
    drawing,
    legend,
    log_axis,
    plain,
    svg,
)

_COLUMN_IN, _ROW_IN, _FOOT_IN, _LEFT_IN = 2.8, 1.75, 0.85, 0.75  # of small multiples
_SPAN = 8  # highest over lowest value from which an axis is logarithmic
_COLOURS = (BLUE, ORANGE)


class Panel(NamedTuple):
    """One of several pictures on the same axes. `knee` is drawn as a line; points that are not
    `valid` are crossed.
    """

    title: str
    lines: Sequence[Line]
    knee: float | None = None
    valid: Sequence[bool] = ()


class Dot(NamedTuple):
    """A point of the Pareto picture; those of one series are joined."""

    point: Point
    series: str
    is_valid: bool
    is_front: bool


def small_multiples(
    title: str, panels: Sequence[Panel], x_label: str, unit: str, width_in: float = WIDE_IN
) -> str:
    """Draw panels on shared axes: the same line has the same colour in each."""
    if not panels:
        return ""
    columns = min(len(panels), max(1, int(width_in / _COLUMN_IN)))
    rows = ceil(len(panels) / columns)
    row_in = _ROW_IN if rows > 1 else 1.4 * _ROW_IN
    with drawing(title, _FOOT_IN + row_in * rows, width_in) as figure:
        _lay_out(figure)
        grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
        _scale(grid[0], panels)
        most = int(72 * width_in / columns / LETTER_PT) - 4
        for axes, panel in zip(grid, panels, strict=False):
            _draw(axes, panel)
            axes.set_title(short(panel.title, most))
        for axes in grid[len(panels) :]:
            axes.set_visible(False)
        for axes in grid[max(0, len(panels) - columns) : len(panels)]:
            axes.set_xlabel(x_label)
            axes.xaxis.set_tick_params(labelbottom=True)
        for axes in grid[::columns]:
            axes.set_ylabel(unit)
        _legend_below(figure, list(grid), width_in)
        return svg(figure)


def _lay_out(figure: Figure) -> None:
    """Give every panel its place by inches: measuring every text first takes seconds."""
    width_in, height_in = figure.get_size_inches()
    figure.set_layout_engine(None)
    figure.subplots_adjust(
        left=_LEFT_IN / width_in, right=1 - 0.12 / width_in, top=1 - 0.28 / height_in,
        bottom=_FOOT_IN / height_in, wspace=0.08, hspace=0.26,
    )  # fmt: skip


def _draw(axes: Axes, panel: Panel) -> None:
    if panel.knee is not None:
        axes.axvline(panel.knee, color=GREY, lw=1, ls="--", label="knee")
    for line, colour in zip(panel.lines, _COLOURS, strict=False):
        axes.plot(line.x, line.value, color=colour, label=line.label, marker="o", ms=3.5)
        if line.low and line.high:
            axes.fill_between(line.x, line.low, line.high, color=colour, alpha=0.2, lw=0)
        bad = [i for i, is_valid in enumerate(panel.valid) if not is_valid]
        if bad:
            ends = [line.x[i] for i in bad], [line.value[i] for i in bad]
            axes.plot(*ends, "x", ms=8, mew=1.6, color=RED)


def _scale(axes: Axes, panels: Sequence[Panel]) -> None:
    """Make the shared axes logarithmic where their values span much."""
    x = [at for panel in panels for line in panel.lines for at in line.x]
    y = [value for panel in panels for line in panel.lines for value in line.value]
    plain(axes.xaxis)
    plain(axes.yaxis)
    if x and min(x) > 0 and max(x) / min(x) >= _SPAN:
        log_axis(axes, "x", x, 1.05)
    if y and min(y) > 0 and max(y) / min(y) >= _SPAN:
        log_axis(axes, "y", y, 1.1)
    elif y:
        axes.set_ylim(0, 1.1 * max(y) or 1)


def _legend_below(figure: Figure, panels: Sequence[Axes], width_in: float) -> None:
    """Name each line once, whichever panels have it."""
    lines: dict[str, Any] = {}
    for axes in panels:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            lines.setdefault(label, handle)
    columns = 4 if width_in == WIDE_IN else 3
    figure.legend(lines.values(), lines, loc="lower center", ncols=columns)


def pareto(dots: Sequence[Dot], width_in: float = WIDE_IN) -> str:
    """Draw throughput per device against speed per user, with the front. Up and to the right is
    better.
    """
    if len(dots) < 2:
        return ""
    title = "Throughput per device against the speed that one user sees"
    with drawing(title, 4.2, width_in) as figure:
        axes = figure.add_subplot()
        x, y = [dot.point.x for dot in dots], [dot.point.value for dot in dots]
        axes.set(xlim=(0, 1.1 * max(x)), ylim=(0, 1.15 * max(y)))
        axes.set_xlabel("tokens/s for each user")
        plain(axes.xaxis)
        plain(axes.yaxis)
        front = [dot.point for dot in dots if dot.is_front]
        if len(front) > 1:
            ends = [p.x for p in front], [p.value for p in front]
            axes.plot(*ends, color=GREY, lw=5, alpha=0.35, solid_capstyle="round", label="front")
        for number, (name, members) in enumerate(_by_series(dots)):
            colour = series_colour(number)
            axes.plot([], [], "o", color=colour, label=short(name, 40))
            axes.plot(*_places(members), color=colour, lw=1, alpha=0.5)
            valid = [dot for dot in members if dot.is_valid]
            hollow = [dot for dot in members if not dot.is_valid]
            axes.plot(*_places(valid), "o", ms=7, color=colour)
            axes.plot(*_places(hollow), "o", ms=7, color=colour, markerfacecolor="none", mew=1.6)
        name_points(axes, front[:12])
        legend(axes, "tokens/s for each device")
        return svg(figure)


def _places(dots: Sequence[Dot]) -> tuple[list[float], list[float]]:
    """Return x and y, from left to right."""
    places = sorted((dot.point.x, dot.point.value) for dot in dots)
    return [x for x, _ in places], [y for _, y in places]


def _by_series(dots: Sequence[Dot]) -> Iterator[tuple[str, list[Dot]]]:
    for name in dict.fromkeys(dot.series for dot in dots):
        yield name, [dot for dot in dots if dot.series == name]


def side_by_side(points: Sequence[Point], unit: str, width_in: float = WIDE_IN) -> str:
    """Draw a dot with its interval for each point, one below the other; `x` is not looked at."""
    if len(points) < 2:
        return ""
    height_in = 0.8 + 0.24 * len(points)
    with drawing(f"{unit} of each combination", height_in, width_in) as figure:
        axes = figure.add_subplot()
        for row, point in enumerate(points):
            if point.low is not None and point.high is not None:
                axes.plot([point.low, point.high], [row, row], color=BLUE, lw=2, alpha=0.8)
            axes.plot([point.value], [row], "o", ms=6, color=BLUE)
        most = max(10, int(0.45 * 72 * width_in / LETTER_PT))
        names = [short(point.label, most) for point in points]
        axes.set_yticks(range(len(points)), labels=names)
        axes.invert_yaxis()
        highest = max(max(point.value, point.high or 0) for point in points)
        axes.set(xlim=(0, 1.08 * highest), xlabel=unit)
        plain(axes.xaxis)
        return svg(figure)
