"""What did the run look like: latencies, load and machine over its time?

Long runs are thinned before they are drawn (`thin`, `sampled`); every number that is written out
counts all samples.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator
from numpy.typing import NDArray

from harness.kernel.log import RunLog
from harness.kernel.stats import percentile, percentile_name
from harness.kernel.words.figure import number
from reports.plots.style import (
    BLUE,
    GREY,
    ORANGE,
    PURPLE,
    RED,
    TEAL,
    WIDE_IN,
    drawing,
    legend,
    plain,
    svg,
)

MAX_POINTS = 1500  # in one series
_MAX_MARKS = 300  # failed samples that are marked one by one


def samples_over_run(
    log: RunLog,
    ttft_limit_ns: int | None = None,
    marks: tuple[float | None, float | None] = (None, None),
    width_in: float = WIDE_IN,
) -> str:
    """Draw TTFT and latency of each sample at the moment it was due; failed samples are crosses on
    the axis. `marks`: when the warm-up ended and when the level changed, in seconds.
    """
    if not len(log):
        return ""
    with drawing("TTFT and latency of each sample over the run", 3.0, width_in) as figure:
        axes = figure.add_subplot()
        where, label = log.due_ns / 1e9, "due, in seconds from the start"
        if not np.ptp(log.due_ns):
            where = np.arange(len(log), dtype=np.float64)
            label = "sample, in order of issue (all were due at once)"
        values = {
            "TTFT": (log.completed & (log.first_ns >= 0), log.ttft_ns, BLUE),
            "latency": (log.completed, log.latency_ns, ORANGE),
        }
        for name, (mask, times_ns, colour) in values.items():
            _dots(axes, where[mask], times_ns[mask] / 1e6, colour, name)
        limits_ms = [] if ttft_limit_ns is None else [ttft_limit_ns / 1e6]
        drawn = [times_ns[mask] / 1e6 for mask, times_ns, _ in values.values()]
        _suit(axes, axes.yaxis, [*drawn, np.array(limits_ms)])
        if limits_ms:
            axes.axhline(limits_ms[0], color=RED, ls="--", lw=1.2, label="TTFT limit")
        _crosses(axes, where[~log.completed])
        _marks(axes, *marks)
        axes.set_xlabel(label)
        legend(axes, "milliseconds")
        return svg(figure)


def _marks(axes: Axes, warm_s: float | None, changed_s: float | None) -> None:
    if warm_s is not None:
        axes.axvspan(0, warm_s, color=GREY, alpha=0.18, lw=0, label="warm-up")
    if changed_s is not None:
        axes.axvline(changed_s, color=PURPLE, ls=":", lw=1.2, label="change of level")


def cumulative(log: RunLog, judged: float | None = None, ttft_limit_ns: int | None = None) -> str:
    """Draw the share of completed samples that were at least this fast; `judged` is the percentile
    that the verdict reads.
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
    with drawing("Cumulative distribution of TTFT and latency") as figure:
        axes, judged_ms = figure.add_subplot(), []
        for name, (times_ns, colour) in times.items():
            ranks = _ranks(len(times_ns))
            ordered_ms, share = np.sort(times_ns)[ranks] / 1e6, 100 * (ranks + 1) / len(times_ns)
            x, y = [ordered_ms[0], *ordered_ms], [0, *share]
            axes.step(x, y, where="post", color=colour, label=name)
            if judged is not None:
                at_ms = (percentile(times_ns, judged) or 0) / 1e6
                axes.plot([at_ms], [100 * judged], "o", ms=5, color=colour)
                judged_ms.append(f"{name} {number(at_ms)}")
        limits_ms = [] if ttft_limit_ns is None else [ttft_limit_ns / 1e6]
        drawn = [times_ns / 1e6 for times_ns, _ in times.values()]
        _suit(axes, axes.xaxis, [*drawn, np.array(limits_ms)])
        unit = "milliseconds"
        if judged is not None:
            name = percentile_name(judged)
            axes.axhline(100 * judged, color=GREY, ls=":", lw=1.2, label=name)
            unit += f"   ({name}: {', '.join(judged_ms)})"
        if limits_ms:
            axes.axvline(limits_ms[0], color=RED, ls="--", lw=1.2, label="TTFT limit")
        axes.set_ylim(0, 103)
        axes.set_xlabel(unit)
        legend(axes, "% of samples")
        return svg(figure)


def tpot_histogram(
    log: RunLog, judged: float | None = None, tpot_limit_ns: int | None = None
) -> str:
    """Draw how the time per output token is distributed over the samples; the last bar holds
    whatever lies far beyond the p99.
    """
    tpot_ms = log.tpot_ns / 1e6
    if not len(tpot_ms):
        return ""
    with drawing("Distribution of the time per output token") as figure:
        axes = figure.add_subplot()
        low = float(tpot_ms.min())
        high = float(min(tpot_ms.max(), 2 * (percentile(tpot_ms, 0.99) or 0)))
        pad = 0.0 if high > low else max(0.1 * low, 0.001)
        bars = int(np.clip(2 * len(tpot_ms) ** 0.5, 10, 40))
        edges = np.linspace(low - pad, high + pad, bars + 1)
        percent = 100 * np.histogram(np.minimum(tpot_ms, edges[-1]), edges)[0] / len(tpot_ms)
        axes.stairs(percent, edges, fill=True, color=TEAL, alpha=0.75, label="TPOT")
        if judged is not None:
            at_ms = percentile(tpot_ms, judged) or 0
            name = f"{percentile_name(judged)} {number(at_ms)} ms"
            axes.axvline(min(at_ms, edges[-1]), color=GREY, ls=":", lw=1.2, label=name)
        limit_ms = None if tpot_limit_ns is None else tpot_limit_ns / 1e6
        if limit_ms is not None and limit_ms <= 3 * edges[-1]:
            axes.axvline(limit_ms, color=RED, ls="--", lw=1.2, label="TPOT limit")
        elif limit_ms is not None:
            name = f"TPOT limit {number(limit_ms)} ms, further right"
            axes.plot([], [], color=RED, ls="--", lw=1.2, label=name)
        plain(axes.xaxis)
        plain(axes.yaxis)
        above = ", the last bar holds everything above" if tpot_ms.max() > high else ""
        axes.set_xlabel(f"milliseconds per token{above}")
        legend(axes, "% of samples")
        return svg(figure)


def load_over_run(log: RunLog) -> str:
    """Draw how many samples were due and not yet finished, and how fast they came and went."""
    if not len(log):
        return ""
    done_ns = log.done_ns[log.done_ns >= 0]
    end_s = float(max(log.due_ns.max(), done_ns.max(initial=0))) / 1e9 or 1e-9
    unit = "queries" if log.num_queries == len(log) else "samples"
    with drawing(f"Open {unit}, arrivals and completions over the run", height_in=3.3) as figure:
        top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
        moments_ns, still_open = open_over_time(log.due_ns, done_ns)
        keep = thin(still_open)
        times_s = moments_ns / 1e9
        x, y = times_s[keep], still_open[keep]
        top.fill_between(x, y, step="post", color=PURPLE, alpha=0.25, lw=0)
        top.step(x, y, where="post", color=PURPLE, lw=1.2)
        top.set_title(f"{unit} open")
        top.yaxis.set_major_locator(MaxNLocator("auto", integer=True, steps=(1, 2, 5, 10)))
        top.set_ylim(bottom=0)
        edges = np.linspace(0, end_s, int(np.clip(1.5 * len(log) ** 0.5, 8, 80)) + 1)
        rates = {"arrivals": (log.due_ns, BLUE), "completions": (done_ns, TEAL)}
        if not np.ptp(log.due_ns):
            del rates["arrivals"]  # all at once: no rate to speak of
        for name, (moments_ns, colour) in rates.items():
            per_s = np.histogram(moments_ns / 1e9, edges)[0] / edges[1]
            bottom.stairs(per_s, edges, color=colour, lw=1.3, label=name)
        bottom.set_ylim(bottom=0)
        bottom.set_xlim(0, end_s)
        bottom.set_xlabel("seconds from the start")
        plain(bottom.xaxis)
        plain(bottom.yaxis)
        plain(top.yaxis)
        legend(bottom, f"{unit} per second")
        return svg(figure)


_MEMORY = {
    "sut_rss_bytes": ("SUT", ORANGE),
    "server_rss_bytes": ("server", PURPLE),
    "driver_rss_bytes": ("driver", BLUE),
    "gpu_memory_bytes": ("GPU", TEAL),
}
_BUSY = {
    "sut_cpu_percent": ("SUT", ORANGE),
    "server_cpu_percent": ("server", PURPLE),
    "driver_cpu_percent": ("driver", BLUE),
    "gpu_utilisation_percent": ("GPU in use", TEAL),
}
_PERCENT = (1.0, "% (100 = one core, or the whole GPU)")


def machine_over_run(telemetry: Mapping[str, Sequence[Any]]) -> str:
    """Draw memory and processor time of the driver, the SUT and the GPU, sampled once a second
    (GPUs more often).
    """
    times_s = np.asarray(telemetry.get("t_ns", ()), dtype=np.float64) / 1e9
    if len(times_s) < 2:
        return ""
    parts = [
        {key: series for key, series in part.items() if _known(telemetry.get(key))}
        for part in (_MEMORY, _BUSY)
    ]
    scales = _binary_scale(telemetry, parts[0]), _PERCENT
    panels = [(part, scale) for part, scale in zip(parts, scales, strict=True) if part]
    if not panels:
        return ""
    height_in = 0.7 + 1.3 * len(panels)
    with drawing("Memory and processor time over the run", height_in) as figure:
        rows = figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
        for axes, (part, (divisor, unit)) in zip(rows, panels, strict=True):
            for key, (name, colour) in part.items():
                seen = [i for i, value in enumerate(telemetry[key]) if value is not None]
                values = np.array([telemetry[key][i] / divisor for i in seen])
                keep = thin(values)
                axes.plot(times_s[seen][keep], values[keep], color=colour, label=name)
            axes.set_ylim(bottom=0)
            plain(axes.yaxis)
            legend(axes, unit)
        rows[-1].set_xlim(0, float(times_s.max()) or 1.0)
        rows[-1].set_xlabel("seconds from the start")
        plain(rows[-1].xaxis)
        return svg(figure)


def thin(values: NDArray[Any], limit: int = MAX_POINTS) -> NDArray[np.intp]:
    """Return positions that keep the picture: all of them, or the lowest, the middle and the
    highest of each stretch.
    """
    n = len(values)
    if n <= limit:
        return np.arange(n)
    edges = np.linspace(0, n, limit // 3 + 1).astype(np.intp)
    keep = []
    for a, b in pairwise(edges):
        keep.append((a + values[a:b].argmin(), (a + b) // 2, a + values[a:b].argmax()))
    return np.unique(np.array(keep, dtype=np.intp))


def sampled(values: NDArray[Any], limit: int = MAX_POINTS) -> NDArray[np.intp]:
    """Return positions for a cloud of dots: all, or an even selection (so that the cloud keeps its
    shape) and the highest of each stretch.
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
    """Return (moments in ns, samples open from then on). At the same moment arrivals come first."""
    moments = np.concatenate((due_ns, done_ns))
    order = np.argsort(moments, kind="stable")
    steps = np.concatenate((np.ones(len(due_ns), np.int64), -np.ones(len(done_ns), np.int64)))
    return moments[order], np.cumsum(steps[order])


def _ranks(n: int) -> NDArray[np.intp]:
    """Return the ranks of n ordered values that draw their curve: evenly spread, and denser towards
    the tail that is judged.
    """
    if n <= MAX_POINTS:
        return np.arange(n)
    tail = n - 1 - np.geomspace(1, n - 1, MAX_POINTS // 3).astype(np.intp)
    even = np.linspace(0, n - 1, 2 * MAX_POINTS // 3).astype(np.intp)
    return np.unique(np.concatenate((even, tail)))


def _known(values: Sequence[Any] | None) -> bool:
    return values is not None and any(v is not None for v in values)


def _binary_scale(
    telemetry: Mapping[str, Sequence[Any]], keys: Mapping[str, Any]
) -> tuple[float, str]:
    """Return (divisor, unit) that suit the highest value."""
    highest = max((v for key in keys for v in telemetry[key] if v is not None), default=0)
    return (float(2**30), "memory, GiB") if highest >= 2**30 else (float(2**20), "memory, MiB")


def _dots(axes: Axes, x: NDArray[Any], y: NDArray[Any], colour: str, label: str) -> None:
    """Draw a dot each, as strokes without length under a round cap: a third of the bytes of a
    marker.
    """
    if not len(x):
        return
    keep = sampled(y)
    gap = np.full(len(keep), np.nan)
    points = [np.column_stack((v[keep], v[keep], gap)).ravel() for v in (x, y)]
    wide = 4 if len(x) < 300 else 2.6
    axes.plot(*points, color=colour, lw=wide, alpha=0.7, solid_capstyle="round")
    axes.plot([], [], "o", ms=4, color=colour, label=label)


def _crosses(axes: Axes, x: NDArray[Any]) -> None:
    if not len(x):
        return
    keep = sampled(x, _MAX_MARKS)
    label = f"failed ({len(x):,})"
    marks = axes.plot(x[keep], np.zeros(len(keep)), "x", ms=6, mew=1.5, color=RED, label=label)
    marks[0].set(transform=axes.get_xaxis_transform(), clip_on=False)


def _suit(axes: Axes, axis: Axis, values: Sequence[NDArray[Any]]) -> None:
    """Make an axis logarithmic if the values span more than a factor of ten; else start at zero."""
    low = min((float(v.min()) for v in values if len(v)), default=0.0)
    high = max((float(v.max()) for v in values if len(v)), default=1.0)
    which: Literal["x", "y"] = "x" if axis is axes.xaxis else "y"
    if low > 0 and high / low > 10:
        axes.set(**{f"{which}scale": "log", f"{which}lim": (low / 1.25, high * 1.25)})
        axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if high / low < 1000 else (1.0,)))
        axis.set_minor_locator(NullLocator())
    else:
        axes.set(**{f"{which}lim": (0, high * 1.08 or 1.0)})
    plain(axis)
