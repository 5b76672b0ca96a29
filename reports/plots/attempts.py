"""What do more attempts buy for their tokens? Questions solved over tokens per question."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reports.plots.style import (
    BLUE,
    ORANGE,
    PURPLE,
    TEAL,
    WIDE_IN,
    drawing,
    legend,
    log_axis,
    svg,
)

_LINES = {
    "pass": ("pass@k", BLUE),
    "majority": ("majority of k", ORANGE),
    "likelihood": ("likeliest of k", TEAL),
    "verifier": ("verifier", PURPLE),
}


def over_tokens(attempts: Mapping[str, Any], width_in: float = WIDE_IN) -> str:
    """Draw a line for each way of choosing, its 95 % interval shaded; nothing for one attempt."""
    at = attempts.get("at") or []
    if len(at) < 2 or not at[0]["tokens"]:
        return ""
    tokens = [row["tokens"] for row in at]
    with drawing("Share of questions solved over tokens per question", 2.8, width_in) as figure:
        axes = figure.add_subplot()
        for way, (name, colour) in _LINES.items():
            if way not in at[0]:
                continue
            values = _percents(at, way, "value")
            axes.plot(tokens, values, "o-", ms=4, color=colour, label=name, clip_on=False)
            low, high = _percents(at, way, "low"), _percents(at, way, "high")
            axes.fill_between(tokens, low, high, color=colour, alpha=0.12, lw=0)
        axes.set_ylim(0, None)
        log_axis(axes, "x", tokens, 1.1)
        axes.set_xlabel("output tokens per question")
        legend(axes, "% of questions solved")
        return svg(figure)


def _percents(at: Any, way: str, end: str) -> list[float]:
    """Return one end of each figure in percent; NaN where it is unknown, which leaves a gap."""
    values = [row[way][end] for row in at]
    return [float("nan") if value is None else 100 * value for value in values]
