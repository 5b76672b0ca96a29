"""Who is on the front? Candidates by two figures, with their intervals, and by kind of task; and
their speed against what they weigh.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from matplotlib.axes import Axes

from harness.kernel.words.judged import Judged
from reports.plots.labels import Point, draw_point, name_points, series_colour, short
from reports.plots.style import (
    BLUE,
    GREY,
    NARROW_IN,
    ORANGE,
    WIDE_IN,
    drawing,
    legend,
    plain,
    svg,
)

_ROOM = 0.12  # of the span, on both sides
_MOST = 12  # kinds that are drawn
Ends = Sequence[float]  # value, low, high; NaN where they are not known


class Spot(NamedTuple):
    """A candidate: what is drawn across and up, each with the ends of its interval."""

    label: str
    x: Ends
    y: Ends
    is_beaten: bool = False


def front(spots: Sequence[Spot], across: Judged, up: Judged, width_in: float = WIDE_IN) -> str:
    """Draw a dot for each candidate, grey if it is beaten, and a line along the front."""
    known = [spot for spot in spots if not math.isnan(spot.x[0] + spot.y[0])]
    if len({spot.x[0] for spot in known}) < 2 or len({spot.y[0] for spot in known}) < 2:
        return ""  # one figure is the same for all: there is nothing to trade
    with drawing(f"{up.label} against {across.label}", 3.6, width_in) as figure:
        axes = figure.add_subplot()
        _limits(axes, known)
        axes.set_xlabel(across.head)
        for spot in known:
            _draw(axes, spot, GREY if spot.is_beaten else BLUE)
        _line(axes, [spot for spot in known if not spot.is_beaten], across, up)
        plain(axes.xaxis)
        plain(axes.yaxis)
        name_points(axes, [Point(spot.label, spot.x[0], spot.y[0]) for spot in known])
        axes.plot([], [], "o", ms=7, color=BLUE, label="on the front")
        if any(spot.is_beaten for spot in known):
            axes.plot([], [], "o", ms=7, color=GREY, label="beaten in both")
        legend(axes, up.head)
        return svg(figure)


def _line(axes: Axes, spots: Sequence[Spot], across: Judged, up: Judged) -> None:
    """Draw the front as steps: what is reached at least, going from one candidate to the next."""
    ordered = sorted((spot.x[0], spot.y[0]) for spot in spots)
    is_rising = across.better == "higher"
    axes.plot(
        [x for x, _ in ordered], [y for _, y in ordered], color=BLUE, lw=1, alpha=0.6,
        drawstyle="steps-pre" if is_rising else "steps-post", zorder=1,
    )  # fmt: skip


def _draw(axes: Axes, spot: Spot, colour: str) -> None:
    """Draw a dot with an interval in each direction."""
    (x, *across), (y, *up) = spot.x, spot.y
    bars = (([x, x], up), (across, [y, y]))
    for xs, ys in bars:
        if not math.isnan(sum((*xs, *ys))):
            axes.plot(xs, ys, color=colour, lw=1.6, solid_capstyle="round", alpha=0.7)
    axes.plot([x], [y], "o", ms=7, color=colour)


def _limits(axes: Axes, spots: Sequence[Spot]) -> None:
    """Leave room beside the outermost ends; a span of nothing gets a tenth of its value."""
    for name, ends in (("xlim", [s.x for s in spots]), ("ylim", [s.y for s in spots])):
        values = [value for part in ends for value in part if not math.isnan(value)]
        low, high = min(values), max(values)
        room = _ROOM * (high - low) or 0.1 * abs(high) or 1.0
        axes.set(**{name: (low - room, high + room)})


class Series(NamedTuple):
    """A candidate's figure at each kind of task, in the order of the kinds: (value, low, high)."""

    label: str
    ends: Sequence[Ends]


def kinds(
    names: Sequence[str], series: Sequence[Series], of: Judged, width_in: float = WIDE_IN
) -> str:
    """Draw a line of dots for each kind of task, a colour for each candidate."""
    if len(names) < 2 or len(series) < 2:
        return ""
    names = names[:_MOST]
    title = f"{of.label} by kind of task"
    with drawing(title, 0.9 + 0.34 * len(names), width_in) as figure:
        axes = figure.add_subplot()
        step = 0.6 / len(series)
        for number, one in enumerate(series):
            colour = series_colour(number)
            axes.plot([], [], "o", ms=6, color=colour, label=short(one.label, 34))
            for row, (value, low, high) in enumerate(one.ends[:_MOST]):
                at = row + step * (number - (len(series) - 1) / 2)
                axes.plot([low, high], [at, at], color=colour, lw=1.6, alpha=0.7)
                axes.plot([value], [at], "o", ms=5, color=colour)
        axes.set(yticks=range(len(names)), ylim=(len(names) - 0.5, -0.5), xlabel=of.head)
        axes.set_yticklabels([short(name, 28) for name in names])
        plain(axes.xaxis)
        handles, labels = axes.get_legend_handles_labels()
        columns = 1 if width_in <= NARROW_IN else 3
        figure.legend(handles, labels, loc="outside lower center", ncols=columns)
        return svg(figure)


def speed_against_weights(
    points: Sequence[Point], reference: str, width_in: float = WIDE_IN
) -> str:
    """Draw a dot per variant: its weights in MiB and its tokens/s. Up and to the left is better."""
    if len(points) < 2:
        return ""
    with drawing("Tokens per second against the weights of each variant", 3.6, width_in) as figure:
        axes = figure.add_subplot()
        axes.set(
            xlim=(0, 1.12 * max(point.x for point in points)),
            ylim=(0, 1.15 * max(point.value for point in points)),
            xlabel="weights, MiB",
        )
        for name, colour in (("variants", BLUE), ("reference", ORANGE)):
            axes.plot([], [], "o", ms=7, color=colour, label=name)
        for point in sorted(points, key=lambda point: point.label == reference):
            draw_point(axes, point, ORANGE if point.label == reference else BLUE)
        plain(axes.xaxis)
        plain(axes.yaxis)
        name_points(axes, points)
        legend(axes, "tokens/s")
        return svg(figure)
