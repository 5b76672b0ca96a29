"""How do variants stand to one another? Their speed against what they weigh."""

from __future__ import annotations

from collections.abc import Sequence

from reports.plots.labels import Point, draw_point, name_points
from reports.plots.style import BLUE, ORANGE, WIDE_IN, drawing, legend, plain, svg


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
