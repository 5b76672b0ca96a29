"""What did the server do over the run, by its own figures? Requests in it, its KV cache, the tokens
it worked on: drawn under the client's curves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from reports.plots.run import thin
from reports.plots.style import BLUE, ORANGE, PURPLE, TEAL, drawing, legend, plain, svg

Telemetry = Mapping[str, Sequence[Any]]
Curve = tuple[NDArray[Any], NDArray[Any], str, str]  # seconds, values, name, colour

_REQUESTS = {"server_running": ("running", TEAL), "server_waiting": ("waiting", ORANGE)}
_TOKENS = {"server_prompt_tokens": ("prompt", BLUE), "server_generated_tokens": ("generated", TEAL)}


def server_over_run(telemetry: Telemetry) -> str:
    """Draw the server's own figures, where it tells any."""
    panels = [
        (_levels(telemetry, _REQUESTS, 1.0), "requests in the server"),
        (_levels(telemetry, {"server_kv_share": ("KV cache", PURPLE)}, 100.0), "% in use"),
        (_rates(telemetry), "tokens per second"),
    ]
    panels = [(curves, unit) for curves, unit in panels if curves]
    if not panels:
        return ""
    end_s = max(float(curve[0].max()) for curves, _ in panels for curve in curves)
    with drawing("The server's own figures over the run", 0.7 + 1.3 * len(panels)) as figure:
        rows = figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
        for axes, (curves, unit) in zip(rows, panels, strict=True):
            _draw(axes, curves, unit)
        rows[-1].set_xlim(0, end_s or 1.0)
        rows[-1].set_xlabel("seconds from the start")
        plain(rows[-1].xaxis)
        return svg(figure)


def _draw(axes: Axes, curves: Sequence[Curve], unit: str) -> None:
    for times_s, values, name, colour in curves:
        keep = thin(values)
        axes.plot(times_s[keep], values[keep], color=colour, label=name)
    axes.set_ylim(bottom=0)
    plain(axes.yaxis)
    legend(axes, unit)


def _levels(
    telemetry: Telemetry, columns: Mapping[str, tuple[str, str]], scale: float
) -> list[Curve]:
    """Return the curves of figures that go up and down."""
    found = []
    for column, (name, colour) in columns.items():
        times_s, values = seen(telemetry, column)
        if len(values) >= 2:
            found.append((times_s, scale * values, name, colour))
    return found


def _rates(telemetry: Telemetry) -> list[Curve]:
    """Return the curves of counters: what was added a second, from one reading to the next. A
    server that began anew counts from 0 again, which is no rate.
    """
    found = []
    for column, (name, colour) in _TOKENS.items():
        times_s, values = seen(telemetry, column)
        if len(values) < 3:
            continue
        passed_s, added = np.diff(times_s), np.diff(values)
        known = (passed_s > 0) & (added >= 0)
        if known.sum() >= 2:
            found.append((times_s[1:][known], (added / passed_s)[known], name, colour))
    return found


def seen(telemetry: Telemetry, column: str) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return when a column was read, in seconds, and what it said; gaps are left out."""
    rows = zip(telemetry.get("t_ns", ()), telemetry.get(column, ()), strict=False)
    known = [(t_ns / 1e9, float(value)) for t_ns, value in rows if value is not None]
    pairs = np.array(known, dtype=np.float64).reshape(-1, 2)
    return pairs[:, 0], pairs[:, 1]
