"""What did the run look like, and several beside each other? Pictures as SVG text, and the only
home of matplotlib.

Each function takes raw columns and returns one `<svg>` to be put inside a page, or "" if there is
nothing to draw. The same run gives the same bytes: no dates, no random ids, text as text. The
background is transparent and the ink mid grey, so that a picture reads on white and on black; a
page may overrule the colour of the text. Long runs are thinned before they are drawn (`thin`,
`sampled`); every number that is written out counts all samples.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import Any, Literal, NamedTuple

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullLocator
from numpy.typing import NDArray

from harness.kernel.stats import percentile, percentile_name
from harness.kernel.types import RunLog

BLUE, ORANGE, TEAL, PURPLE, RED, GREY = (
    "#3d8bd9",
    "#e08a1e",
    "#1fa187",
    "#9a6bd6",
    "#e5484d",
    "#858b94",
)
MAX_POINTS = 1500  # in one series
_MAX_MARKS = 300  # failed samples that are marked one by one
WIDE_IN, NARROW_IN = 11.2, 4.4  # of a picture across a whole page, and of the same on a phone
_WIDTH_IN = 5.6
_LETTER_PT = 5.6  # about how wide a letter of a label is
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "font.family": ["DejaVu Sans"],
    "font.size": 9,
    "axes.edgecolor": GREY,
    "axes.labelcolor": GREY,
    "axes.titlecolor": GREY,
    "axes.titlesize": 9,
    "axes.titlelocation": "left",
    "axes.linewidth": 0.8,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "text.color": GREY,
    "grid.color": GREY,
    "grid.alpha": 0.22,
    "grid.linewidth": 0.6,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
    "legend.frameon": False,
    "legend.handlelength": 1.4,
    "legend.columnspacing": 1.2,
    "lines.linewidth": 1.5,
    "text.parse_math": False,  # a dollar sign in a name is a dollar sign
    "path.simplify": False,  # it would drop the dots, and `thin` has done its work
}


def at_both_widths(draw: Callable[..., str], *data: Any) -> str:
    """Draw a picture twice: across a wide page, and for a phone, where its text would be too small
    to read. The page's style shows one of them.
    """
    wide, narrow = (draw(*data, width_in=width) for width in (WIDE_IN, NARROW_IN))
    return wide and f'<div class="roomy">{wide}</div><div class="narrow">{narrow}</div>'


def samples_over_run(
    log: RunLog, ttft_limit_ns: int | None = None, width_in: float = WIDE_IN
) -> str:
    """TTFT and latency of each sample where it was due; samples that failed are crosses on the
    axis.
    """
    if not len(log):
        return ""
    with _figure("TTFT and latency of each sample over the run", 3.0, width_in) as figure:
        axes = _axes(figure)
        where, label = (
            (log.due_ns / 1e9, "due, in seconds from the start")
            if np.ptp(log.due_ns)
            else _in_order(log)
        )
        values = {
            "TTFT": (log.completed & (log.first_ns >= 0), log.ttft_ns, BLUE),
            "latency": (log.completed, log.latency_ns, ORANGE),
        }
        for name, (mask, times_ns, colour) in values.items():
            _dots(axes, where[mask], times_ns[mask] / 1e6, colour, name)
        limits_ms = [] if ttft_limit_ns is None else [ttft_limit_ns / 1e6]
        _suit(
            axes,
            axes.yaxis,
            [*(times_ns[mask] / 1e6 for mask, times_ns, _ in values.values()), np.array(limits_ms)],
        )
        if limits_ms:
            axes.axhline(limits_ms[0], color=RED, ls="--", lw=1.2, label="TTFT limit")
        _crosses(axes, where[~log.completed])
        axes.set_xlabel(label)
        _legend(axes, "milliseconds")
        return _svg(figure)


def cumulative(log: RunLog, judged: float | None = None, ttft_limit_ns: int | None = None) -> str:
    """Share of the completed samples that were at least this fast; `judged` is the percentile that
    the verdict reads.
    """
    ok = log.completed
    times = {
        "TTFT": (log.ttft_ns[ok & (log.first_ns >= 0)], BLUE),
        "latency": (log.latency_ns[ok], ORANGE),
    }
    times = {
        name: (times_ns, colour) for name, (times_ns, colour) in times.items() if len(times_ns)
    }
    if not times:
        return ""
    with _figure("Cumulative distribution of TTFT and latency") as figure:
        axes, judged_ms = _axes(figure), []
        for name, (times_ns, colour) in times.items():
            ranks = _ranks(len(times_ns))
            ordered_ms, share = np.sort(times_ns)[ranks] / 1e6, 100 * (ranks + 1) / len(times_ns)
            axes.step(
                [ordered_ms[0], *ordered_ms], [0, *share], where="post", color=colour, label=name
            )
            if judged is not None:
                at_ms = (percentile(times_ns, judged) or 0) / 1e6
                axes.plot([at_ms], [100 * judged], "o", ms=5, color=colour)
                judged_ms.append(f"{name} {_figures(at_ms)}")
        limits_ms = [] if ttft_limit_ns is None else [ttft_limit_ns / 1e6]
        _suit(
            axes,
            axes.xaxis,
            [*(times_ns / 1e6 for times_ns, _ in times.values()), np.array(limits_ms)],
        )
        if judged is not None:
            axes.axhline(100 * judged, color=GREY, ls=":", lw=1.2, label=percentile_name(judged))
        if limits_ms:
            axes.axvline(limits_ms[0], color=RED, ls="--", lw=1.2, label="TTFT limit")
        axes.set_ylim(0, 103)
        at_judged = (
            f"   ({percentile_name(judged)}: {', '.join(judged_ms)})" if judged is not None else ""
        )
        axes.set_xlabel("milliseconds" + at_judged)
        _legend(axes, "% of samples")
        return _svg(figure)


def tpot_histogram(
    log: RunLog, judged: float | None = None, tpot_limit_ns: int | None = None
) -> str:
    """How the time per output token spreads over the samples; the last bar holds whatever lies far
    beyond the p99.
    """
    tpot_ms = log.tpot_ns / 1e6
    if not len(tpot_ms):
        return ""
    with _figure("Distribution of the time per output token") as figure:
        axes = _axes(figure)
        low, high = (
            float(tpot_ms.min()),
            float(min(tpot_ms.max(), 2 * (percentile(tpot_ms, 0.99) or 0))),
        )
        pad = 0.0 if high > low else max(0.1 * low, 0.001)
        edges = np.linspace(
            low - pad, high + pad, int(np.clip(2 * len(tpot_ms) ** 0.5, 10, 40)) + 1
        )
        counts = np.histogram(np.minimum(tpot_ms, edges[-1]), edges)[0]
        axes.stairs(
            100 * counts / len(tpot_ms), edges, fill=True, color=TEAL, alpha=0.75, label="TPOT"
        )
        if judged is not None:
            at_ms = percentile(tpot_ms, judged) or 0
            name = f"{percentile_name(judged)} {_figures(at_ms)} ms"
            axes.axvline(min(at_ms, edges[-1]), color=GREY, ls=":", lw=1.2, label=name)
        if tpot_limit_ns is not None and tpot_limit_ns / 1e6 <= 3 * edges[-1]:
            axes.axvline(tpot_limit_ns / 1e6, color=RED, ls="--", lw=1.2, label="TPOT limit")
        elif tpot_limit_ns is not None:
            axes.plot(
                [],
                [],
                color=RED,
                ls="--",
                lw=1.2,
                label=f"TPOT limit {_figures(tpot_limit_ns / 1e6)} ms, further right",
            )
        _plain(axes.xaxis)
        _plain(axes.yaxis)
        axes.set_xlabel(
            "milliseconds per token"
            + (", the last bar holds all above" if tpot_ms.max() > high else "")
        )
        _legend(axes, "% of samples")
        return _svg(figure)


def load_over_run(log: RunLog) -> str:
    """How many samples were due and not yet finished, and how fast they came and went."""
    if not len(log):
        return ""
    done_ns = log.done_ns[log.done_ns >= 0]
    end_s = float(max(log.due_ns.max(), done_ns.max(initial=0))) / 1e9 or 1e-9
    unit = "queries" if log.num_queries == len(log) else "samples"
    with _figure(f"Open {unit}, arrivals and completions over the run", height_in=3.3) as figure:
        top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
        moments_ns, still_open = open_over_time(log.due_ns, done_ns)
        keep = thin(still_open)
        times_s = moments_ns / 1e9
        top.fill_between(
            times_s[keep], still_open[keep], step="post", color=PURPLE, alpha=0.25, lw=0
        )
        top.step(times_s[keep], still_open[keep], where="post", color=PURPLE, lw=1.2)
        top.set_title(f"{unit} open")
        top.yaxis.set_major_locator(MaxNLocator("auto", integer=True, steps=(1, 2, 5, 10)))
        top.set_ylim(bottom=0)
        edges = np.linspace(0, end_s, int(np.clip(1.5 * len(log) ** 0.5, 8, 80)) + 1)
        coming = (
            {"arrivals": (log.due_ns, BLUE)} if np.ptp(log.due_ns) else {}
        )  # all at once: no rate to speak of
        for name, (moments_ns, colour) in {**coming, "completions": (done_ns, TEAL)}.items():
            bottom.stairs(
                np.histogram(moments_ns / 1e9, edges)[0] / edges[1],
                edges,
                color=colour,
                lw=1.3,
                label=name,
            )
        bottom.set_ylim(bottom=0)
        bottom.set_xlim(0, end_s)
        bottom.set_xlabel("seconds from the start")
        _plain(bottom.xaxis)
        _plain(bottom.yaxis)
        _plain(top.yaxis)
        _legend(bottom, f"{unit} per second")
        return _svg(figure)


def machine_over_run(telemetry: Mapping[str, Sequence[Any]]) -> str:
    """Memory and processor time of the driver, the SUT and the GPU, as sampled once a second."""
    times_s = np.asarray(telemetry.get("t_ns", ()), dtype=np.float64) / 1e9
    if len(times_s) < 2:
        return ""
    memory = {
        "sut_rss_bytes": ("SUT", ORANGE),
        "driver_rss_bytes": ("driver", BLUE),
        "gpu_memory_bytes": ("GPU", TEAL),
    }
    busy = {
        "sut_cpu_percent": ("SUT", ORANGE),
        "driver_cpu_percent": ("driver", BLUE),
        "gpu_utilisation_percent": ("GPU in use", TEAL),
    }
    memory, busy = (
        {key: v for key, v in part.items() if _known(telemetry.get(key))} for part in (memory, busy)
    )
    panels = [
        (part, scale)
        for part, scale in ((memory, _binary_scale(telemetry, memory)), (busy, _PERCENT))
        if part
    ]
    if not panels:
        return ""
    with _figure(
        "Memory and processor time over the run", height_in=0.7 + 1.3 * len(panels)
    ) as figure:
        rows = figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
        for axes, (part, (divisor, unit)) in zip(rows, panels, strict=True):
            for key, (name, colour) in part.items():
                seen = [i for i, value in enumerate(telemetry[key]) if value is not None]
                values = np.array([telemetry[key][i] / divisor for i in seen])
                keep = thin(values)
                axes.plot(times_s[seen][keep], values[keep], color=colour, label=name)
            axes.set_ylim(bottom=0)
            _plain(axes.yaxis)
            _legend(axes, unit)
        rows[-1].set_xlim(0, float(times_s.max()) or 1.0)
        rows[-1].set_xlabel("seconds from the start")
        _plain(rows[-1].xaxis)
        return _svg(figure)


def speed_against_weights(
    points: Sequence[tuple[str, float, float]], reference: str, width_in: float = WIDE_IN
) -> str:
    """One dot per variant: (label, weights in MiB, tokens/s). Up and to the left is better."""
    if len(points) < 2:
        return ""
    with _figure("Tokens per second against the weights of each variant", 3.6, width_in) as figure:
        axes = _axes(figure)
        weights_mib, speeds = (
            np.array(column, dtype=np.float64) for column in list(zip(*points, strict=True))[1:]
        )
        is_reference = np.array([label == reference for label, _, _ in points])
        for name, mask, colour in (
            ("variants", ~is_reference, BLUE),
            ("reference", is_reference, ORANGE),
        ):
            axes.plot(weights_mib[mask], speeds[mask], "o", ms=7, color=colour, label=name)
        axes.set(xlim=(0, 1.12 * weights_mib.max()), ylim=(0, 1.15 * speeds.max()))
        axes.set_xlabel("weights, MiB")
        for axis in (axes.xaxis, axes.yaxis):
            _plain(axis)
        shifts = _label_shifts(weights_mib, speeds, width_in)
        for (label, x, y), shift in zip(points, shifts, strict=True):
            from_left_pt = _axes_pt(width_in) * x / (1.12 * weights_mib.max())
            name = _name(label, width_in)
            right = from_left_pt + _text_pt(name) < _axes_pt(width_in)
            axes.annotate(
                name, (x, y), xytext=(8 if right else -8, shift), textcoords="offset points",
                va="center", ha="left" if right else "right", parse_math=False,
            )  # fmt: skip
        _legend(axes, "tokens/s")
        return _svg(figure)


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


Interval = tuple[float, float | None, float | None]  # value, low, high
Colours = Mapping[str, str]  # of each subject, by its label: the same in every picture of a page


def quality_against_size(
    points: Sequence[Point],
    laws: Sequence[Line],
    unit: str,
    colours: Colours,
    width_in: float = WIDE_IN,
) -> str:
    """Parameters to the right, `unit` upwards, both logarithmic; the laws that were fitted, with
    their bands.
    """
    if not points:
        return ""
    with _figure(f"{unit} against the number of parameters", 3.6, width_in) as figure:
        axes = _axes(figure)
        for law in laws:
            if len(law.low) and len(law.high):
                axes.fill_between(
                    law.x,
                    law.low,
                    law.high,
                    color=GREY,
                    alpha=0.2,
                    lw=0,
                    label=f"{law.label}, band",
                )
            axes.plot(law.x, law.value, color=GREY, ls="--", lw=1.3, label=law.label)
        for point in points:
            _dot_with_interval(axes, point, colours[point.label])
        _log(axes, "x", [p.x for p in points], 1.35)
        _log(axes, "y", [v for p in points for v in (p.value, p.low, p.high) if v], 1.06)
        _names(axes, points, laws)
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _count(value)))
        axes.set_xlabel("parameters")
        _legend(axes, unit)
        return _svg(figure)


def speed_against_quality(
    points: Sequence[Point],
    front: Sequence[str],
    unit: str,
    colours: Colours,
    width_in: float = WIDE_IN,
) -> str:
    """Tokens per second to the right, `unit` upwards, where less is better. Whoever is beaten on
    both is hollow.
    """
    if len(points) < 2:
        return ""
    with _figure(f"{unit} against tokens per second", 3.6, width_in) as figure:
        axes = _axes(figure)
        steps = sorted((p for p in points if p.label in front), key=lambda p: p.x)
        if len(steps) > 1:
            axes.step(
                [p.x for p in steps],
                [p.value for p in steps],
                where="pre",
                color=GREY,
                lw=1,
                ls=":",
                label="Pareto front",
            )
        for point in points:
            _dot_with_interval(axes, point, colours[point.label], hollow=point.label not in front)
        _log(axes, "x", [p.x for p in points], 1.25)
        _log(axes, "y", [v for p in points for v in (p.value, p.low, p.high) if v], 1.06)
        _names(axes, points)
        axes.set_xlabel("tokens per second")
        _legend(axes, unit)
        return _svg(figure)


def intervals(
    rows: Sequence[str],
    columns: Mapping[str, Sequence[Interval | None]],
    unit: str,
    colours: Colours,
    log: bool = False,
    from_zero: bool = False,
    high_as: int = 0,
) -> str:
    """One row per kind of text or token, in it one dot with its interval per subject.

    `log`: a logarithmic axis if the values span enough. `high_as`: at least as high as with so many
    rows.
    """
    values = [v for points in columns.values() for p in points if p for v in p if v is not None]
    if not values:
        return ""
    height_in = (
        0.75 + max(len(rows), high_as) * max(0.34, 0.085 * len(columns) + 0.1) + _legend_in(columns)
    )
    with _figure(f"{unit} of each row, a dot with its interval per subject", height_in) as figure:
        axes = _axes(figure)
        for k, (label, points) in enumerate(columns.items()):
            shift = (k - (len(columns) - 1) / 2) * 0.72 / max(len(columns), 2)
            known = [(row + shift, point) for row, point in enumerate(points) if point is not None]
            for y, (_, low, high) in known:
                if low is not None and high is not None:
                    axes.plot(
                        [low, high], [y, y], color=colours[label], lw=1.4, solid_capstyle="round"
                    )
            axes.plot(
                [point[0] for _, point in known],
                [y for y, _ in known],
                "o",
                ms=4.5,
                color=colours[label],
            )
        axes.set_ylim(len(rows) - 0.45, -0.55)
        axes.set_yticks(range(len(rows)), [_short(row, 24) for row in rows])
        axes.tick_params(axis="y", length=0)
        axes.grid(axis="y", visible=False)
        for between in range(1, len(rows)):
            axes.axhline(between - 0.5, color=GREY, alpha=0.22, lw=0.6)
        if log and min(values) > 0 and max(values) / min(values) > 3:
            _log(axes, "x", values, 1.06)
        else:
            values += [0.0] * from_zero
            room = 0.05 * (max(values) - min(values)) or 0.05 * abs(max(values)) or 0.05
            axes.set_xlim(min(values) - room, max(values) + room)
            axes.xaxis.set_major_locator(MaxNLocator(6))
            _plain(axes.xaxis)
        if from_zero:
            axes.axvline(0, color=GREY, lw=1)
        axes.set_xlabel(unit)
        _series(figure, columns, colours)
        return _svg(figure)


def along(
    places: Sequence[str],
    columns: Mapping[str, Sequence[Interval | None]],
    x_name: str,
    unit: str,
    colours: Colours,
) -> str:
    """One line per subject from place to place, with the band of its intervals."""
    if len(places) < 2 or not columns:
        return ""
    with _figure(f"{unit} by {x_name}", 2.7 + _legend_in(columns)) as figure:
        axes = _axes(figure)
        for label, points in columns.items():
            known = [(x, *point) for x, point in enumerate(points) if point is not None]
            x, value, low, high = (
                np.array([np.nan if v is None else v for v in column])
                for column in zip(*known, strict=True)
            )
            if len(columns) <= 3:
                axes.fill_between(x, low, high, color=colours[label], alpha=0.15, lw=0)
            axes.plot(x, value, "-o", ms=3, color=colours[label], lw=1.4)
        axes.set_xticks(range(len(places)), places)
        if max(map(len, places)) * len(places) > 60:
            axes.tick_params(axis="x", rotation=30)
        _plain(axes.yaxis)
        axes.set_xlabel(x_name)
        axes.set_title(unit)
        _series(figure, columns, colours)
        return _svg(figure)


KLD_FLOOR = 1e-7  # nats; less is drawn there


def kld_histogram(klds: Mapping[str, NDArray[Any]], colours: Colours) -> str:
    """How the divergence at each position spreads, on a logarithmic axis."""
    klds = {label: values for label, values in klds.items() if len(values)}
    if not klds:
        return ""
    with _figure(
        "Distribution of the divergence at each position", 2.9 + _legend_in(klds)
    ) as figure:
        axes = _axes(figure)
        high = max(max(float(np.nanmax(values)) for values in klds.values()), 10 * KLD_FLOOR)
        edges = np.geomspace(KLD_FLOOR, high * 1.0001, 49)
        for label, values in klds.items():
            counts = np.histogram(np.clip(np.nan_to_num(values), KLD_FLOOR, high), edges)[0]
            axes.stairs(
                100 * counts / len(values), edges, fill=True, color=colours[label], alpha=0.16
            )
            axes.stairs(100 * counts / len(values), edges, color=colours[label], lw=1.3)
        axes.set_xscale("log")
        axes.set_xlim(edges[0], edges[-1])
        axes.set_ylim(bottom=0)
        axes.xaxis.set_major_locator(LogLocator(numticks=8))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(
            FuncFormatter(
                lambda value, _: (
                    f"{value:.0e}".replace("e-0", "e-") if value < 1e-3 else f"{value:g}"
                )
            )
        )
        _plain(axes.yaxis)
        axes.set_xlabel(
            f"KL divergence, nats (the leftmost bar holds all below {KLD_FLOOR * 1.5:.0e})".replace(
                "e-0", "e-"
            )
        )
        axes.set_title("% of positions")
        _series(figure, klds, colours)
        return _svg(figure)


def thin(values: NDArray[Any], limit: int = MAX_POINTS) -> NDArray[np.intp]:
    """Positions that keep the picture: all of them, or the lowest, the middle and the highest of
    each stretch.
    """
    n = len(values)
    if n <= limit:
        return np.arange(n)
    edges = np.linspace(0, n, limit // 3 + 1).astype(np.intp)
    keep = [
        (a + values[a:b].argmin(), (a + b) // 2, a + values[a:b].argmax())
        for a, b in pairwise(edges)
    ]
    return np.unique(np.array(keep, dtype=np.intp))


def sampled(values: NDArray[Any], limit: int = MAX_POINTS) -> NDArray[np.intp]:
    """Positions for a cloud of dots: all, or every so-manyth (the cloud keeps its shape) and the
    highest of each stretch.
    """
    n = len(values)
    if n <= limit:
        return np.arange(n)
    edges = np.linspace(0, n, limit // 3 + 1).astype(np.intp)
    highest = np.array([a + values[a:b].argmax() for a, b in pairwise(edges)], dtype=np.intp)
    return np.union1d(np.linspace(0, n - 1, 2 * limit // 3).astype(np.intp), highest)


def open_over_time(
    due_ns: NDArray[Any], done_ns: NDArray[Any]
) -> tuple[NDArray[Any], NDArray[Any]]:
    """(moments in ns, samples open from then on). At one and the same moment arrivals come
    first.
    """
    moments = np.concatenate((due_ns, done_ns))
    order = np.argsort(moments, kind="stable")
    steps = np.concatenate((np.ones(len(due_ns), np.int64), -np.ones(len(done_ns), np.int64)))
    return moments[order], np.cumsum(steps[order])


# ---- what is drawn


def _in_order(log: RunLog) -> tuple[NDArray[Any], str]:
    return np.arange(len(log), dtype=np.float64), "sample, in order of issue (all were due at once)"


def _axes_pt(width_in: float) -> float:
    """About how wide the axes are in a picture of this width, in points."""
    return 72 * width_in - 66


def _name(label: str, width_in: float) -> str:
    """A label that takes half of the axes at most, so that it fits on one side of its point."""
    return _short(label, min(36, int(_axes_pt(width_in) / 2 / _LETTER_PT)))


def _text_pt(label: str) -> float:
    """About how wide a label is with its distance from the point, in points."""
    return _LETTER_PT * len(label) + 14


def _label_shifts(
    x: NDArray[Any], y: NDArray[Any], width_in: float, step_pt: float = 11.0
) -> list[float]:
    """How far up or down each label goes, in points, so that those of near neighbours do not cover
    each other.
    """
    wide_pt, high_pt = _axes_pt(width_in) * x / (1.12 * x.max()), 190.0 * y / (1.15 * y.max())
    placed: list[tuple[float, float]] = []
    shifts = [0.0] * len(x)
    for i in np.argsort(y):
        tries = sorted((k * step_pt for k in range(-len(x), len(x) + 1)), key=abs)
        near = [up for side, up in placed if abs(side - wide_pt[i]) < 90]
        shifts[i] = next(
            s for s in tries if all(abs(up - high_pt[i] - s) >= step_pt for up in near)
        )
        placed.append((wide_pt[i], high_pt[i] + shifts[i]))
    return shifts


def _ranks(n: int) -> NDArray[np.intp]:
    """Ranks of n ordered values that draw the curve: evenly spread, and denser towards the tail
    that is judged.
    """
    if n <= MAX_POINTS:
        return np.arange(n)
    tail = n - 1 - np.geomspace(1, n - 1, MAX_POINTS // 3).astype(np.intp)
    return np.unique(
        np.concatenate((np.linspace(0, n - 1, 2 * MAX_POINTS // 3).astype(np.intp), tail))
    )


def _known(values: Sequence[Any] | None) -> bool:
    return values is not None and any(v is not None for v in values)


_PERCENT = (1.0, "% (100 = one core, or the whole GPU)")


def _binary_scale(
    telemetry: Mapping[str, Sequence[Any]], keys: Mapping[str, Any]
) -> tuple[float, str]:
    """(divisor, unit) that suits the highest value."""
    highest = max((v for key in keys for v in telemetry[key] if v is not None), default=0)
    return (float(2**30), "memory, GiB") if highest >= 2**30 else (float(2**20), "memory, MiB")


_SERIES = (BLUE, ORANGE, TEAL, PURPLE, RED, "#b58a00", "#d165a8", GREY)


def series_colour(i: int) -> str:
    """The colour of the i-th subject in every picture of a page."""
    return _SERIES[i % len(_SERIES)]


def _dot_with_interval(axes: Axes, point: Point, colour: str, hollow: bool = False) -> None:
    if point.low is not None and point.high is not None:
        axes.plot(
            [point.x] * 2,
            [point.low, point.high],
            color=colour,
            lw=2,
            solid_capstyle="round",
            alpha=0.8,
        )
    face: dict[str, Any] = {"markerfacecolor": "none", "mew": 1.6} if hollow else {}
    axes.plot([point.x], [point.value], "o", ms=7, color=colour, **face)


def _names(axes: Axes, points: Sequence[Point], lines: Sequence[Line] = ()) -> None:
    """The name of each point beside it, never on another name or a line, on the left where the
    right edge is near.
    """
    figure = axes.get_figure(root=True)
    assert figure is not None
    (x0, x1), (y0, y1) = axes.get_xlim(), axes.get_ylim()
    axes_pt = _axes_pt(figure.get_figwidth())

    def place(value: float, low: float, high: float, size_pt: float) -> float:
        return size_pt * math.log(value / low) / math.log(high / low)

    taken = []
    for line in lines:
        curve = zip(line.x, line.value, strict=True)
        along = [(place(x, x0, x1, axes_pt), place(y, y0, y1, 190.0)) for x, y in curve]
        taken += [(a, c, min(b, d) - 1.5, max(b, d) + 1.5) for (a, b), (c, d) in pairwise(along)]
    for point in sorted(points, key=lambda p: p.value):
        x_pt, y_pt = place(point.x, x0, x1, axes_pt), place(point.value, y0, y1, 190.0)
        name = _name(point.label, figure.get_figwidth())
        wide_pt = _text_pt(name)
        right = x_pt + wide_pt < axes_pt
        left_pt = x_pt if right else x_pt - wide_pt
        for shift in sorted((11.0 * k for k in range(-len(points) - 3, len(points) + 4)), key=abs):
            box = (left_pt, left_pt + wide_pt, y_pt + shift - 5.5, y_pt + shift + 5.5)
            if all(
                box[1] <= t[0] or t[1] <= box[0] or box[3] <= t[2] or t[3] <= box[2] for t in taken
            ):
                break
        taken.append(box)
        axes.annotate(
            name, (point.x, point.value), xytext=(9 if right else -9, shift),
            textcoords="offset points", va="center", ha="left" if right else "right",
        )  # fmt: skip


def _log(axes: Axes, which: Literal["x", "y"], values: Sequence[float], room: float) -> None:
    """A logarithmic axis with plain round ticks, whatever the span."""
    low, high = min(values), max(values)
    room = max(room, (high / low) ** 0.06)
    axes.set(**{f"{which}scale": "log", f"{which}lim": (low / room, high * room)})
    axis = axes.xaxis if which == "x" else axes.yaxis
    axis.set_major_locator(FixedLocator(_round_values(low / room, high * room)))
    axis.set_minor_locator(NullLocator())
    _plain(axis)


def _round_values(low: float, high: float) -> list[float]:
    """Three to eight round values between two positive ones, evenly spread on a logarithmic axis
    where they span decades.
    """
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for steps in ((1.0,), (1.0, 3.0), (1.0, 2.0, 5.0)):
        if (
            len(
                found := [10.0**k * s for k in decades for s in steps if low <= 10.0**k * s <= high]
            )
            >= 3
        ):
            return found
    return [
        float(v)
        for v in MaxNLocator(6, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high)
        if low <= v <= high
    ]


def _series(figure: Figure, labels: Iterable[str], colours: Colours) -> None:
    """Which colour is whom, below the picture."""
    handles = [Line2D([], [], marker="o", ls="", ms=5, color=colours[label]) for label in labels]
    texts, ncols = _legend_grid(labels)
    figure.legend(
        handles, texts, loc="outside lower center", ncols=ncols, handletextpad=0.2, handlelength=1.2
    )


def _legend_grid(labels: Iterable[str]) -> tuple[list[str], int]:
    texts = [_short(label, 36) for label in labels]
    return texts, max(1, min(len(texts), 66 // (max(map(len, texts)) + 5)))


def _legend_in(labels: Iterable[str]) -> float:
    """How high the legend is, in inches."""
    texts, ncols = _legend_grid(labels)
    return 0.19 * math.ceil(len(texts) / ncols)


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def _count(value: float) -> str:
    """10k, 1M, 1B"""
    units = ((1e9, "B"), (1e6, "M"), (1e3, "k"))
    return next(
        (f"{value / unit:.3g}{letter}" for unit, letter in units if value >= 0.9995 * unit),
        f"{value:.0f}",
    )


# ---- how it is drawn


@contextmanager
def _figure(title: str, height_in: float = 2.8, width_in: float = _WIDTH_IN) -> Iterator[Figure]:
    """An empty figure in our style, whatever the user's matplotlibrc says. The title is for those
    who cannot see it.
    """
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(
            {**_STYLE, "svg.hashsalt": f"{title} {width_in}"}
        )  # ids differ between the pictures of one page
        figure = Figure((width_in, height_in), layout="constrained")
        figure.set_label(title)
        yield figure


def _axes(figure: Figure) -> Axes:
    axes: Axes = figure.subplots()
    return axes


def _dots(axes: Axes, x: NDArray[Any], y: NDArray[Any], colour: str, label: str) -> None:
    """One dot each, drawn as strokes without length under a round cap: a third of the bytes of a
    marker.
    """
    if not len(x):
        return
    keep = sampled(y)
    gap = np.full(len(keep), np.nan)
    points = [np.column_stack((v[keep], v[keep], gap)).ravel() for v in (x, y)]
    axes.plot(
        *points, color=colour, lw=4 if len(x) < 300 else 2.6, alpha=0.7, solid_capstyle="round"
    )
    axes.plot([], [], "o", ms=4, color=colour, label=label)


def _crosses(axes: Axes, x: NDArray[Any]) -> None:
    if not len(x):
        return
    keep = sampled(x, _MAX_MARKS)
    marks = axes.plot(
        x[keep], np.zeros(len(keep)), "x", ms=6, mew=1.5, color=RED, label=f"failed ({len(x):,})"
    )
    marks[0].set(transform=axes.get_xaxis_transform(), clip_on=False)


def _suit(axes: Axes, axis: Axis, values: Sequence[NDArray[Any]]) -> None:
    """Logarithmic if the values span more than a factor of ten; else from zero."""
    low = min((float(v.min()) for v in values if len(v)), default=0.0)
    high = max((float(v.max()) for v in values if len(v)), default=1.0)
    which: Literal["x", "y"] = "x" if axis is axes.xaxis else "y"
    if low > 0 and high / low > 10:
        axes.set(**{f"{which}scale": "log", f"{which}lim": (low / 1.25, high * 1.25)})
        axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if high / low < 1000 else (1.0,)))
        axis.set_minor_locator(NullLocator())
    else:
        axes.set(**{f"{which}lim": (0, high * 1.08 or 1.0)})
    _plain(axis)


def _plain(axis: Axis) -> None:
    """1,000 and 0.5: no powers of ten, no offsets."""
    axis.set_major_formatter(FuncFormatter(lambda value, _: _figures(value, 6)))


def _figures(value: float, digits: int = 4) -> str:
    return f"{value:,.0f}" if abs(value) >= 10 ** (digits - 1) else f"{value:,.{digits}g}"


def _legend(axes: Axes, unit: str) -> None:
    """The unit of the vertical axis above it, the legend on the same line: neither ever covers a
    point.
    """
    axes.set_title(unit)
    if axes.get_legend_handles_labels()[1]:
        axes.legend(loc="lower right", bbox_to_anchor=(1.0, 0.99), ncols=5, borderaxespad=0.2)


def _svg(figure: Figure) -> str:
    """Text that may stand inside HTML: without prologue, metadata and ids that nobody refers to."""
    out = io.StringIO()
    figure.savefig(
        out, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None}
    )
    text = out.getvalue()
    text = text[text.index("<svg") :]
    for pattern, to in _CLEANING:
        text = re.sub(pattern, to, text)
    return text.replace("<svg ", f'<svg role="img" aria-label="{figure.get_label()}" ', 1)


_CLEANING = (
    (r"(?s)<!--.*?-->", ""),
    (r"(?s)<metadata>.*?</metadata>", ""),
    (r'<g id="[^"]*">', "<g>"),
    (r"\s*\n\s*", "\n"),
)
