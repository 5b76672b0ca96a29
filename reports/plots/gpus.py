"""What did the GPUs do over the run? How busy they were, their power and their clocks; red is where
heat or a brake held the clocks down.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from harness.kernel.machine.slowdowns import FAULTS
from reports.plots.run import thin
from reports.plots.style import (
    BLUE,
    GREY,
    ORANGE,
    PURPLE,
    RED,
    TEAL,
    drawing,
    legend,
    plain,
    svg,
)

Telemetry = Mapping[str, Sequence[Any]]
Curve = tuple[NDArray[Any], NDArray[Any], str, str]  # seconds, values, name, colour

_COLOURS = (TEAL, BLUE, ORANGE, PURPLE)
_CLOCKS = {"gpu_sm_mhz": ("processors (SM)", TEAL), "gpu_memory_mhz": ("memory", BLUE)}


def gpus_over_run(
    telemetry: Telemetry,
    indices: Sequence[int],
    idle_watts: float | None = None,
) -> str:
    """Draw utilisation and power of each GPU (of more than four: of the busiest, and the sum), and
    the clocks of the slowest. `idle_watts` of all is a dashed line.
    """
    panels = [
        (_of_each(telemetry, "gpu_utilisation_percent", indices, "busiest"), "% utilisation"),
        (_of_each(telemetry, "gpu_watts", indices, "all"), "power, W"),
        (_clocks(telemetry), "clocks, MHz"),
    ]
    panels = [(curves, unit) for curves, unit in panels if curves]
    if not panels:
        return ""
    ends_s = [float(times_s.max()) for curves, _ in panels for times_s, *_ in curves]
    height_in = 0.7 + 1.3 * len(panels)
    with drawing("The GPUs over the run", height_in) as figure:
        rows = figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
        for axes, (curves, unit) in zip(rows, panels, strict=True):
            _draw(axes, curves)
            if unit.startswith("power") and idle_watts is not None and len(indices) == 1:
                axes.axhline(idle_watts, color=GREY, ls=":", lw=1.2, label="before the run")
            _mark_slowdowns(axes, telemetry)
            axes.set_ylim(bottom=0)
            plain(axes.yaxis)
            legend(axes, unit)
        rows[-1].set_xlim(0, max(ends_s) or 1.0)
        rows[-1].set_xlabel("seconds from the start")
        plain(rows[-1].xaxis)
        return svg(figure)


def _of_each(
    telemetry: Telemetry, column: str, indices: Sequence[int], together: str
) -> list[Curve]:
    """Return a curve per GPU, where they are few; else the one of all."""
    rows = telemetry.get(f"{column}_each")
    if rows is None or not 1 < len(indices) <= len(_COLOURS):
        name = "" if len(indices) == 1 else together
        return _curve(telemetry, telemetry.get(column, ()), name, TEAL)
    found = []
    for place, (index, colour) in enumerate(zip(indices, _COLOURS, strict=False)):
        values = [None if row is None else row[place] for row in rows]
        found += _curve(telemetry, values, f"GPU {index}", colour)
    return found


def _clocks(telemetry: Telemetry) -> list[Curve]:
    found = []
    for column, (name, colour) in _CLOCKS.items():
        found += _curve(telemetry, telemetry.get(column, ()), name, colour)
    return found


def _curve(telemetry: Telemetry, values: Sequence[Any], name: str, colour: str) -> list[Curve]:
    """Return the curve of the values that are known; nothing of fewer than two."""
    rows = zip(telemetry.get("t_ns", ()), values, strict=False)
    known = [(t_ns / 1e9, float(value)) for t_ns, value in rows if value is not None]
    if len(known) < 2:
        return []
    times_s, heights = np.array(known).T
    return [(times_s, heights, name, colour)]


def _draw(axes: Axes, curves: Sequence[Curve]) -> None:
    for times_s, values, name, colour in curves:
        keep = thin(values)
        label = name or "_nolegend_"
        axes.plot(times_s[keep], values[keep], color=colour, label=label, lw=1.2)


def _mark_slowdowns(axes: Axes, telemetry: Telemetry) -> None:
    """Shade the time in which heat or a brake held the clocks down."""
    times_s = [t_ns / 1e9 for t_ns in telemetry.get("t_ns", ())]
    bits = telemetry.get("gpu_slowdowns", ())
    begins_s: float | None = None
    for t_s, value in zip(times_s, [*bits, None], strict=False):
        is_slow = bool((value or 0) & FAULTS)
        if is_slow and begins_s is None:
            begins_s = t_s
        if not is_slow and begins_s is not None:
            axes.axvspan(begins_s, t_s, color=RED, alpha=0.18, lw=0)
            begins_s = None
    if begins_s is not None:
        axes.axvspan(begins_s, times_s[-1], color=RED, alpha=0.18, lw=0)
