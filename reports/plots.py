"""What did the run look like, and several beside each other? Pictures as SVG text, and the only home of matplotlib.

Each function takes raw columns and returns one `<svg>` to be put inside a page, or "" if there is nothing to draw. The same
run gives the same bytes: no dates, no random ids, text as text. The background is transparent and the ink mid grey, so that
a picture reads on white and on black; a page may overrule the colour of the text. Long runs are thinned before they are
drawn (`thin`, `sampled`); every number that is written out counts all samples.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import Any, Literal

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator
from numpy.typing import NDArray

from harness.stats import percentile, percentile_name
from harness.types import RunLog

BLUE, ORANGE, TEAL, PURPLE, RED, GREY = "#3d8bd9", "#e08a1e", "#1fa187", "#9a6bd6", "#e5484d", "#858b94"
MAX_POINTS = 1500  # in one series
_MAX_MARKS = 300  # failed samples that are marked one by one
_WIDTH_IN, _WIDE_IN = 5.6, 11.2
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
    "path.simplify": False,  # it would drop the dots, and `thin` has done its work
}


def samples_over_run(log: RunLog, ttft_limit_ns: int | None = None) -> str:
    """TTFT and latency of each sample where it was due; samples that failed are crosses on the axis."""
    if not len(log):
        return ""
    with _figure("TTFT and latency of each sample over the run", 3.0, _WIDE_IN) as figure:
        axes = _axes(figure)
        where, label = (log.due_ns / 1e9, "due, in seconds from the start") if np.ptp(log.due_ns) else _in_order(log)
        values = {
            "TTFT": (log.completed & (log.first_ns >= 0), log.ttft_ns, BLUE),
            "latency": (log.completed, log.latency_ns, ORANGE),
        }
        for name, (mask, times_ns, colour) in values.items():
            _dots(axes, where[mask], times_ns[mask] / 1e6, colour, name)
        limits_ms = [] if ttft_limit_ns is None else [ttft_limit_ns / 1e6]
        _suit(axes, axes.yaxis, [*(times_ns[mask] / 1e6 for mask, times_ns, _ in values.values()), np.array(limits_ms)])
        if limits_ms:
            axes.axhline(limits_ms[0], color=RED, ls="--", lw=1.2, label="TTFT limit")
        _crosses(axes, where[~log.completed])
        axes.set_xlabel(label)
        _legend(axes, "milliseconds")
        return _svg(figure)


def cumulative(log: RunLog, judged: float | None = None, ttft_limit_ns: int | None = None) -> str:
    """Share of the completed samples that were at least this fast; `judged` is the percentile that the verdict reads."""
    ok = log.completed
    times = {"TTFT": (log.ttft_ns[ok & (log.first_ns >= 0)], BLUE), "latency": (log.latency_ns[ok], ORANGE)}
    times = {name: (times_ns, colour) for name, (times_ns, colour) in times.items() if len(times_ns)}
    if not times:
        return ""
    with _figure("Cumulative distribution of TTFT and latency") as figure:
        axes, judged_ms = _axes(figure), []
        for name, (times_ns, colour) in times.items():
            ranks = _ranks(len(times_ns))
            ordered_ms, share = np.sort(times_ns)[ranks] / 1e6, 100 * (ranks + 1) / len(times_ns)
            axes.step([ordered_ms[0], *ordered_ms], [0, *share], where="post", color=colour, label=name)
            if judged is not None:
                at_ms = (percentile(times_ns, judged) or 0) / 1e6
                axes.plot([at_ms], [100 * judged], "o", ms=5, color=colour)
                judged_ms.append(f"{name} {_figures(at_ms)}")
        limits_ms = [] if ttft_limit_ns is None else [ttft_limit_ns / 1e6]
        _suit(axes, axes.xaxis, [*(times_ns / 1e6 for times_ns, _ in times.values()), np.array(limits_ms)])
        if judged is not None:
            axes.axhline(100 * judged, color=GREY, ls=":", lw=1.2, label=percentile_name(judged))
        if limits_ms:
            axes.axvline(limits_ms[0], color=RED, ls="--", lw=1.2, label="TTFT limit")
        axes.set_ylim(0, 103)
        at_judged = f"   ({percentile_name(judged)}: {', '.join(judged_ms)})" if judged is not None else ""
        axes.set_xlabel("milliseconds" + at_judged)
        _legend(axes, "% of samples")
        return _svg(figure)


def tpot_histogram(log: RunLog, judged: float | None = None, tpot_limit_ns: int | None = None) -> str:
    """How the time per output token spreads over the samples; the last bar holds whatever lies far beyond the p99."""
    tpot_ms = log.tpot_ns / 1e6
    if not len(tpot_ms):
        return ""
    with _figure("Distribution of the time per output token") as figure:
        axes = _axes(figure)
        low, high = float(tpot_ms.min()), float(min(tpot_ms.max(), 2 * (percentile(tpot_ms, 0.99) or 0)))
        pad = 0.0 if high > low else max(0.1 * low, 0.001)
        edges = np.linspace(low - pad, high + pad, int(np.clip(2 * len(tpot_ms) ** 0.5, 10, 40)) + 1)
        counts = np.histogram(np.minimum(tpot_ms, edges[-1]), edges)[0]
        axes.stairs(100 * counts / len(tpot_ms), edges, fill=True, color=TEAL, alpha=0.75, label="TPOT")
        if judged is not None:
            at_ms = percentile(tpot_ms, judged) or 0
            name = f"{percentile_name(judged)} {_figures(at_ms)} ms"
            axes.axvline(min(at_ms, edges[-1]), color=GREY, ls=":", lw=1.2, label=name)
        if tpot_limit_ns is not None and tpot_limit_ns / 1e6 <= 3 * edges[-1]:
            axes.axvline(tpot_limit_ns / 1e6, color=RED, ls="--", lw=1.2, label="TPOT limit")
        elif tpot_limit_ns is not None:
            axes.plot(
                [], [], color=RED, ls="--", lw=1.2, label=f"TPOT limit {_figures(tpot_limit_ns / 1e6)} ms, further right"
            )
        _plain(axes.xaxis)
        _plain(axes.yaxis)
        axes.set_xlabel("milliseconds per token" + (", the last bar holds all above" if tpot_ms.max() > high else ""))
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
        top.fill_between(times_s[keep], still_open[keep], step="post", color=PURPLE, alpha=0.25, lw=0)
        top.step(times_s[keep], still_open[keep], where="post", color=PURPLE, lw=1.2)
        top.set_title(f"{unit} open")
        top.yaxis.set_major_locator(MaxNLocator("auto", integer=True, steps=(1, 2, 5, 10)))
        top.set_ylim(bottom=0)
        edges = np.linspace(0, end_s, int(np.clip(1.5 * len(log) ** 0.5, 8, 80)) + 1)
        coming = {"arrivals": (log.due_ns, BLUE)} if np.ptp(log.due_ns) else {}  # all at once: no rate to speak of
        for name, (moments_ns, colour) in {**coming, "completions": (done_ns, TEAL)}.items():
            bottom.stairs(np.histogram(moments_ns / 1e9, edges)[0] / edges[1], edges, color=colour, lw=1.3, label=name)
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
    memory = {"sut_rss_bytes": ("SUT", ORANGE), "driver_rss_bytes": ("driver", BLUE), "gpu_memory_bytes": ("GPU", TEAL)}
    busy = {
        "sut_cpu_percent": ("SUT", ORANGE),
        "driver_cpu_percent": ("driver", BLUE),
        "gpu_utilisation_percent": ("GPU in use", TEAL),
    }
    memory, busy = ({key: v for key, v in part.items() if _known(telemetry.get(key))} for part in (memory, busy))
    panels = [(part, scale) for part, scale in ((memory, _binary_scale(telemetry, memory)), (busy, _PERCENT)) if part]
    if not panels:
        return ""
    with _figure("Memory and processor time over the run", height_in=0.7 + 1.3 * len(panels)) as figure:
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


def speed_against_weights(points: Sequence[tuple[str, float, float]], reference: str) -> str:
    """One dot per variant: (label, weights in MiB, tokens/s). Up and to the left is better."""
    if len(points) < 2:
        return ""
    with _figure("Tokens per second against the weights of each variant", 3.6, _WIDE_IN) as figure:
        axes = _axes(figure)
        weights_mib, speeds = (np.array(column, dtype=np.float64) for column in list(zip(*points, strict=True))[1:])
        is_reference = np.array([label == reference for label, _, _ in points])
        for name, mask, colour in (("variants", ~is_reference, BLUE), ("reference", is_reference, ORANGE)):
            axes.plot(weights_mib[mask], speeds[mask], "o", ms=7, color=colour, label=name)
        axes.set(xlim=(0, 1.12 * weights_mib.max()), ylim=(0, 1.15 * speeds.max()))
        axes.set_xlabel("weights, MiB")
        for axis in (axes.xaxis, axes.yaxis):
            _plain(axis)
        for (label, x, y), shift in zip(points, _label_shifts(weights_mib, speeds), strict=True):
            axes.annotate(label, (x, y), xytext=(8, shift), textcoords="offset points", va="center", parse_math=False)
        _legend(axes, "tokens/s")
        return _svg(figure)


def thin(values: NDArray[Any], limit: int = MAX_POINTS) -> NDArray[np.intp]:
    """Positions that keep the picture: all of them, or the lowest, the middle and the highest of each stretch."""
    n = len(values)
    if n <= limit:
        return np.arange(n)
    edges = np.linspace(0, n, limit // 3 + 1).astype(np.intp)
    keep = [(a + values[a:b].argmin(), (a + b) // 2, a + values[a:b].argmax()) for a, b in pairwise(edges)]
    return np.unique(np.array(keep, dtype=np.intp))


def sampled(values: NDArray[Any], limit: int = MAX_POINTS) -> NDArray[np.intp]:
    """Positions for a cloud of dots: all, or every so-manyth (the cloud keeps its shape) and the highest of each stretch."""
    n = len(values)
    if n <= limit:
        return np.arange(n)
    edges = np.linspace(0, n, limit // 3 + 1).astype(np.intp)
    highest = np.array([a + values[a:b].argmax() for a, b in pairwise(edges)], dtype=np.intp)
    return np.union1d(np.linspace(0, n - 1, 2 * limit // 3).astype(np.intp), highest)


def open_over_time(due_ns: NDArray[Any], done_ns: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """(moments in ns, samples open from then on). At one and the same moment arrivals come first."""
    moments = np.concatenate((due_ns, done_ns))
    order = np.argsort(moments, kind="stable")
    steps = np.concatenate((np.ones(len(due_ns), np.int64), -np.ones(len(done_ns), np.int64)))
    return moments[order], np.cumsum(steps[order])


# ---- what is drawn


def _in_order(log: RunLog) -> tuple[NDArray[Any], str]:
    return np.arange(len(log), dtype=np.float64), "sample, in order of issue (all were due at once)"


def _label_shifts(x: NDArray[Any], y: NDArray[Any], step_pt: float = 11.0) -> list[float]:
    """How far up or down each label goes, in points, so that those of near neighbours do not cover each other."""
    wide_pt, high_pt = 640.0 * x / (1.12 * x.max()), 190.0 * y / (1.15 * y.max())
    placed: list[tuple[float, float]] = []
    shifts = [0.0] * len(x)
    for i in np.argsort(y):
        tries = sorted((k * step_pt for k in range(-len(x), len(x) + 1)), key=abs)
        near = [up for side, up in placed if abs(side - wide_pt[i]) < 90]
        shifts[i] = next(s for s in tries if all(abs(up - high_pt[i] - s) >= step_pt for up in near))
        placed.append((wide_pt[i], high_pt[i] + shifts[i]))
    return shifts


def _ranks(n: int) -> NDArray[np.intp]:
    """Ranks of n ordered values that draw the curve: evenly spread, and denser towards the tail that is judged."""
    if n <= MAX_POINTS:
        return np.arange(n)
    tail = n - 1 - np.geomspace(1, n - 1, MAX_POINTS // 3).astype(np.intp)
    return np.unique(np.concatenate((np.linspace(0, n - 1, 2 * MAX_POINTS // 3).astype(np.intp), tail)))


def _known(values: Sequence[Any] | None) -> bool:
    return values is not None and any(v is not None for v in values)


_PERCENT = (1.0, "% (100 = one core, or the whole GPU)")


def _binary_scale(telemetry: Mapping[str, Sequence[Any]], keys: Mapping[str, Any]) -> tuple[float, str]:
    """(divisor, unit) that suits the highest value."""
    highest = max((v for key in keys for v in telemetry[key] if v is not None), default=0)
    return (float(2**30), "memory, GiB") if highest >= 2**30 else (float(2**20), "memory, MiB")


# ---- how it is drawn


@contextmanager
def _figure(title: str, height_in: float = 2.8, width_in: float = _WIDTH_IN) -> Iterator[Figure]:
    """An empty figure in our style, whatever the user's matplotlibrc says. The title is for those who cannot see it."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update({**_STYLE, "svg.hashsalt": title})  # ids differ between the pictures of one page
        figure = Figure((width_in, height_in), layout="constrained")
        figure.set_label(title)
        yield figure


def _axes(figure: Figure) -> Axes:
    axes: Axes = figure.subplots()
    return axes


def _dots(axes: Axes, x: NDArray[Any], y: NDArray[Any], colour: str, label: str) -> None:
    """One dot each, drawn as strokes without length under a round cap: a third of the bytes of a marker."""
    if not len(x):
        return
    keep = sampled(y)
    gap = np.full(len(keep), np.nan)
    points = [np.column_stack((v[keep], v[keep], gap)).ravel() for v in (x, y)]
    axes.plot(*points, color=colour, lw=4 if len(x) < 300 else 2.6, alpha=0.7, solid_capstyle="round")
    axes.plot([], [], "o", ms=4, color=colour, label=label)


def _crosses(axes: Axes, x: NDArray[Any]) -> None:
    if not len(x):
        return
    keep = sampled(x, _MAX_MARKS)
    marks = axes.plot(x[keep], np.zeros(len(keep)), "x", ms=6, mew=1.5, color=RED, label=f"failed ({len(x):,})")
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
    """The unit of the vertical axis above it, the legend on the same line: neither ever covers a point."""
    axes.set_title(unit)
    if axes.get_legend_handles_labels()[1]:
        axes.legend(loc="lower right", bbox_to_anchor=(1.0, 0.99), ncols=5, borderaxespad=0.2)


def _svg(figure: Figure) -> str:
    """Text that may stand inside HTML: without prologue, metadata and ids that nobody refers to."""
    out = io.StringIO()
    figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
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
