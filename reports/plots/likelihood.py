"""How well do models predict, by size, speed, kind of token, place and context?"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator
from numpy.typing import NDArray

from harness.kernel.words.figure import short_count
from reports.plots.labels import Colours, Line, Point, draw_point, name_points, short
from reports.plots.style import GREY, WIDE_IN, drawing, legend, log_axis, plain, svg

KLD_FLOOR = 1e-7  # nats; less is drawn there
Interval = tuple[float, float | None, float | None]  # value, low, high
Columns = Mapping[str, Sequence[Interval | None]]  # a value per row, by subject


def quality_against_size(
    points: Sequence[Point],
    laws: Sequence[Line],
    unit: str,
    colours: Colours,
    width_in: float = WIDE_IN,
) -> str:
    """Draw `unit` against the number of parameters, both logarithmic, and the fitted laws with
    their bands.
    """
    if not points:
        return ""
    with drawing(f"{unit} against the number of parameters", 3.6, width_in) as figure:
        axes = figure.add_subplot()
        for law in laws:
            if len(law.low) and len(law.high):
                label = f"{law.label}, band"
                axes.fill_between(
                    law.x, law.low, law.high, color=GREY, alpha=0.2, lw=0, label=label
                )
            axes.plot(law.x, law.value, color=GREY, ls="--", lw=1.3, label=law.label)
        for point in points:
            draw_point(axes, point, colours[point.label])
        _log_axes(axes, points, 1.35)
        name_points(axes, points, laws)
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: short_count(value)))
        axes.set_xlabel("parameters")
        legend(axes, unit)
        return svg(figure)


def speed_against_quality(
    points: Sequence[Point],
    front: Sequence[str],
    unit: str,
    colours: Colours,
    width_in: float = WIDE_IN,
) -> str:
    """Draw `unit`, where less is better, against tokens per second. Dots outside the front are
    hollow.
    """
    if len(points) < 2:
        return ""
    with drawing(f"{unit} against tokens per second", 3.6, width_in) as figure:
        axes = figure.add_subplot()
        steps = sorted((point for point in points if point.label in front), key=lambda p: p.x)
        if len(steps) > 1:
            along = [step.x for step in steps], [step.value for step in steps]
            axes.step(*along, where="pre", color=GREY, lw=1, ls=":", label="Pareto front")
        for point in points:
            draw_point(axes, point, colours[point.label], hollow=point.label not in front)
        _log_axes(axes, points, 1.25)
        name_points(axes, points)
        axes.set_xlabel("tokens per second")
        legend(axes, unit)
        return svg(figure)


def intervals(
    rows: Sequence[str],
    columns: Columns,
    unit: str,
    colours: Colours,
    log: bool = False,
    from_zero: bool = False,
    high_as: int = 0,
) -> str:
    """Draw a row per kind of text or token, in it a dot with its interval per subject.

    `log`: a logarithmic axis if the values span enough. `high_as`: at least as high as with so many
    rows.
    """
    values = [v for points in columns.values() for p in points if p for v in p if v is not None]
    if not values:
        return ""
    row_in = max(0.34, 0.085 * len(columns) + 0.1)
    height_in = 0.75 + max(len(rows), high_as) * row_in + _legend_in(columns)
    with drawing(f"{unit} of each row, a dot with its interval per subject", height_in) as figure:
        axes = figure.add_subplot()
        for k, (label, points) in enumerate(columns.items()):
            shift = (k - (len(columns) - 1) / 2) * 0.72 / max(len(columns), 2)
            _row_dots(axes, points, shift, colours[label])
        axes.set_ylim(len(rows) - 0.45, -0.55)
        axes.set_yticks(range(len(rows)), [short(row, 24) for row in rows])
        axes.tick_params(axis="y", length=0)
        axes.grid(axis="y", visible=False)
        for between in range(1, len(rows)):
            axes.axhline(between - 0.5, color=GREY, alpha=0.22, lw=0.6)
        if log and min(values) > 0 and max(values) / min(values) > 3:
            log_axis(axes, "x", values, 1.06)
        else:
            values += [0.0] * from_zero
            room = 0.05 * (max(values) - min(values)) or 0.05 * abs(max(values)) or 0.05
            axes.set_xlim(min(values) - room, max(values) + room)
            axes.xaxis.set_major_locator(MaxNLocator(6))
            plain(axes.xaxis)
        if from_zero:
            axes.axvline(0, color=GREY, lw=1)
        axes.set_xlabel(unit)
        _subjects(figure, columns, colours)
        return svg(figure)


def along(places: Sequence[str], columns: Columns, x_name: str, unit: str, colours: Colours) -> str:
    """Draw a line per subject from place to place, with the band of its intervals."""
    if len(places) < 2 or not columns:
        return ""
    with drawing(f"{unit} by {x_name}", 2.7 + _legend_in(columns)) as figure:
        axes = figure.add_subplot()
        for label, points in columns.items():
            known = [(x, *point) for x, point in enumerate(points) if point is not None]
            x, value, low, high = np.array(known, dtype=np.float64).T  # None becomes nan
            if len(columns) <= 3:
                axes.fill_between(x, low, high, color=colours[label], alpha=0.15, lw=0)
            axes.plot(x, value, "-o", ms=3, color=colours[label], lw=1.4)
        axes.set_xticks(range(len(places)), places)
        if max(map(len, places)) * len(places) > 60:
            axes.tick_params(axis="x", rotation=30)
        plain(axes.yaxis)
        axes.set_xlabel(x_name)
        axes.set_title(unit)
        _subjects(figure, columns, colours)
        return svg(figure)


def kld_histogram(klds: Mapping[str, NDArray[np.float64]], colours: Colours) -> str:
    """Draw how the divergence at each position is distributed, on a logarithmic axis."""
    klds = {label: values for label, values in klds.items() if len(values)}
    if not klds:
        return ""
    title = "Distribution of the divergence at each position"
    with drawing(title, 2.9 + _legend_in(klds)) as figure:
        axes = figure.add_subplot()
        high = max(max(float(np.nanmax(values)) for values in klds.values()), 10 * KLD_FLOOR)
        edges = np.geomspace(KLD_FLOOR, high * 1.0001, 49)
        for label, values in klds.items():
            counts = np.histogram(np.clip(np.nan_to_num(values), KLD_FLOOR, high), edges)[0]
            percent = 100 * counts / len(values)
            axes.stairs(percent, edges, fill=True, color=colours[label], alpha=0.16)
            axes.stairs(percent, edges, color=colours[label], lw=1.3)
        axes.set_xscale("log")
        axes.set_xlim(edges[0], edges[-1])
        axes.set_ylim(bottom=0)
        axes.xaxis.set_major_locator(LogLocator(numticks=8))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _power(value)))
        plain(axes.yaxis)
        floor = _power(KLD_FLOOR * 1.5)
        axes.set_xlabel(f"KL divergence, nats (the leftmost bar holds everything below {floor})")
        axes.set_title("% of positions")
        _subjects(figure, klds, colours)
        return svg(figure)


# ---- parts


def _log_axes(axes: Axes, points: Sequence[Point], room: float) -> None:
    ends = [v for point in points for v in (point.value, point.low, point.high) if v]
    log_axis(axes, "x", [point.x for point in points], room)
    log_axis(axes, "y", ends, 1.06)


def _row_dots(axes: Axes, points: Sequence[Interval | None], shift: float, colour: str) -> None:
    known = [(row + shift, point) for row, point in enumerate(points) if point is not None]
    for y, (_, low, high) in known:
        if low is not None and high is not None:
            axes.plot([low, high], [y, y], color=colour, lw=1.4, solid_capstyle="round")
    values = [value for _, (value, _, _) in known]
    axes.plot(values, [y for y, _ in known], "o", ms=4.5, color=colour)


def _power(value: float) -> str:
    """Write 0.1 and 1e-7."""
    return f"{value:g}" if value >= 1e-3 else f"{value:.0e}".replace("e-0", "e-")


def _subjects(figure: Figure, labels: Iterable[str], colours: Colours) -> None:
    """Say below the picture which colour is whose."""
    handles = [Line2D([], [], marker="o", ls="", ms=5, color=colours[label]) for label in labels]
    texts, ncols = _legend_grid(labels)
    figure.legend(
        handles, texts, loc="outside lower center", ncols=ncols, handletextpad=0.2, handlelength=1.2
    )


def _legend_grid(labels: Iterable[str]) -> tuple[list[str], int]:
    """Return the texts of the legend and how many stand side by side."""
    texts = [short(label, 36) for label in labels]
    return texts, max(1, min(len(texts), 66 // (max(map(len, texts)) + 5)))


def _legend_in(labels: Iterable[str]) -> float:
    """Return how high the legend is, in inches."""
    texts, ncols = _legend_grid(labels)
    return 0.19 * math.ceil(len(texts) / ncols)
