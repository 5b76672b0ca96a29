"""Why is this deployment the answer? Figures beside their limits, and costs at every rate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes

from reports.plots.labels import Point, series_colour, short
from reports.plots.style import BLUE, GREY, RED, TEAL, WIDE_IN, drawing, legend, plain, svg

_COLOURS = {"answer": TEAL, "fits": BLUE, "misses": RED}
_WORDS = {"answer": "the answer", "fits": "keeps all", "misses": "misses one"}
_LONGEST = 26  # characters of a name


class Panel(NamedTuple):
    """A figure of each deployment, between `least` and `most` where these are asked for."""

    title: str
    points: Sequence[Point]
    least: float | None = None
    most: float | None = None


class Fleet(NamedTuple):
    """Servers of one kind: the rate and the price of each."""

    label: str
    qps: float
    usd_per_hour: float


def panels(made: Sequence[Panel], tones: Mapping[str, str], width_in: float = WIDE_IN) -> str:
    """Draw the panels, a row for each deployment: side by side on a wide page."""
    if not made:
        return ""
    columns = min(len(made), 3) if width_in >= WIDE_IN else 1
    rows = -(-len(made) // columns)
    height_in = rows * (0.75 + 0.24 * len(tones)) + 0.35
    with drawing("Figures of each deployment beside their limits", height_in, width_in) as figure:
        grid = figure.subplots(rows, columns, squeeze=False, sharey=True)
        for axes in grid.flat[len(made) :]:
            axes.set_visible(False)
        for axes, panel in zip(grid.flat, made, strict=False):
            _draw(axes, panel, list(tones), tones)
        used = [tone for tone in _WORDS if tone in tones.values()]
        handles = [grid.flat[0].plot([], [], "o", ms=6, color=_COLOURS[t])[0] for t in used]
        words = [_WORDS[tone] for tone in used]
        figure.legend(handles, words, loc="outside lower center", ncols=3)
        return svg(figure)


def _draw(axes: Axes, panel: Panel, names: Sequence[str], tones: Mapping[str, str]) -> None:
    for point in panel.points:
        y, colour = names.index(point.label), _COLOURS[tones[point.label]]
        if point.low is not None and point.high is not None:
            axes.plot([point.low, point.high], [y, y], color=colour, lw=2, alpha=0.6)
        axes.plot(point.value, y, "o", ms=6, color=colour)
    ends = [end for p in panel.points for end in (p.value, p.low, p.high) if end is not None]
    limits = [limit for limit in (panel.least, panel.most) if limit is not None]
    low, high = min((*ends, *limits)), max((*ends, *limits))
    room = 0.08 * (high - low) or 0.1 * abs(high) or 1.0
    low, high = low - room, high + room
    axes.set(xlim=(low, high), ylim=(len(names) - 0.4, -0.6), title=panel.title)
    axes.set_yticks(range(len(names)), [short(name, _LONGEST) for name in names])
    for limit, side in ((panel.least, low), (panel.most, high)):
        if limit is not None:
            axes.axvline(limit, color=GREY, ls="--", lw=1.2)
            axes.axvspan(*sorted((limit, side)), color=RED, alpha=0.08, lw=0)
    axes.grid(axis="y", visible=False)
    plain(axes.xaxis)
    axes.locator_params(axis="x", nbins=5)


def cost_by_rate(fleets: Sequence[Fleet], need_qps: float, width_in: float = WIDE_IN) -> str:
    """Draw the US dollars an hour of each fleet up to a quarter more than the needed rate."""
    if not fleets:
        return ""
    with drawing("US dollars an hour against queries per second", 3.2, width_in) as figure:
        axes = figure.add_subplot()
        qps = np.linspace(0, 1.25 * need_qps, 801)[1:]
        for i, fleet in enumerate(fleets):
            cost = np.ceil(qps / fleet.qps - 1e-9) * fleet.usd_per_hour
            axes.step(qps, cost, where="pre", color=series_colour(i), label=fleet.label)
        axes.axvline(need_qps, color=GREY, ls="--", lw=1.2)
        axes.set(xlim=(0, 1.25 * need_qps), xlabel="queries/s")
        axes.set_ylim(0, None)
        plain(axes.xaxis)
        plain(axes.yaxis)
        legend(axes, "USD an hour")
        return svg(figure)
