"""Which pictures does a sweep have? Latency, throughput and goodput over the load, a panel for each
curve; the Pareto front; dots side by side where no load was swept.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from harness.kernel.texts import shown
from reports.blocks import Plot
from reports.pages.sweep.words import load_label
from reports.plots.labels import Line, Point
from reports.plots.style import at_both_widths
from reports.plots.sweep import Dot, Panel, pareto, side_by_side, small_multiples

_MOST_PANELS, _MOST_DOTS, _MOST_SERIES = 12, 40, 8
_LATENCIES = {
    "Time to first token": (("ttft_p50_ms", "p50"), ("ttft_p99_ms", "p99")),
    "Time per output token": (("tpot_p50_ms", "p50"), ("tpot_p99_ms", "p99")),
}
_THROUGHPUT = (("samples_per_s", "completed"), ("goodput_per_s", "within the SLO"))
Found = Mapping[str, Any]


def pictures(found: Found) -> list[Plot]:
    """Return the pictures of a sweep; those without data have no svg."""
    if not found["curves"]:
        return [_side_by_side(found), _pareto(found)]
    over_load = [] if _is_at_once(found) else [
        _over_load(found, f"{what} against load", lines, "ms")
        for what, lines in _LATENCIES.items()
    ]  # fmt: skip
    speed = "Throughput" if not _has(found, "goodput_per_s") else "Goodput and throughput"
    return [
        *over_load,
        _over_load(found, f"{speed} against load", _THROUGHPUT, "requests/s"),
        _pareto(found),
    ]


def _is_at_once(found: Found) -> bool:
    return any(point["is_at_once"] for point in found["points"])


def _has(found: Found, name: str) -> bool:
    return any(name in point["figures"] for point in found["points"])


def _over_load(found: Found, title: str, figures: Sequence[tuple[str, str]], unit: str) -> Plot:
    panels = [_panel(curve, found, figures) for curve in found["curves"][:_MOST_PANELS]]
    panels = [panel for panel in panels if panel.lines]
    svg = at_both_widths(
        lambda **how: small_multiples(title, panels, load_label(found), unit, **how)
    )
    note = "Crossed: not valid. Band: 95 % interval of the mean of the repeats."
    if any(panel.knee is not None for panel in panels):
        note += " Dashed: the knee, where completed requests per second over latency is highest."
    if (more := len(found["curves"]) - _MOST_PANELS) > 0:
        note += f" {more} more curves are in the table only."
    return Plot(title, svg, note)


def _panel(curve: Mapping[str, Any], found: Found, figures: Sequence[tuple[str, str]]) -> Panel:
    points = [found["points"][place] for place in curve["points"]]
    lines = list(filter(None, (_line(points, found["load"], *figure) for figure in figures)))
    knee = curve["knee"]["load"] if curve["knee"] and curve["knee"]["is_bracketed"] else None
    return Panel(shown(curve["label"]), lines, knee, [p["status"] == "VALID" for p in points])


def _line(points: Sequence[Found], load: str, name: str, label: str) -> Line | None:
    """Return the line of a figure; None where a point lacks it."""
    known = [point["figures"].get(name) for point in points]
    if None in known:
        return None
    x = [float(point["values"][load]) for point in points]
    ends = {end: [figure[end] for figure in known] for end in ("value", "low", "high")}
    if None in ends["low"]:
        return Line(label, x, ends["value"])
    return Line(label, x, ends["value"], ends["low"], ends["high"])


def _pareto(found: Found) -> Plot:
    dots = list(_dots(found))
    svg = at_both_widths(pareto, dots)
    note = (
        "A dot for each combination that has both figures; hollow: not valid. Grey: the front,"
        " the valid combinations that no other one beats in both. Up and to the right is better."
    )
    return Plot("What speed for one user costs in throughput", svg, note)


def _dots(found: Found) -> Iterator[Dot]:
    names = list(dict.fromkeys(point["series"] for point in found["points"]))
    for place, point in enumerate(found["points"]):
        user, device = (
            point["figures"].get(name, {}).get("value")
            for name in ("tokens_per_s_per_user", "tokens_per_s_per_device")
        )
        if not user or not device:
            continue
        is_named = names.index(point["series"]) < _MOST_SERIES
        yield Dot(
            Point(shown(point["label"]), user, device),
            shown(point["series"]) if is_named else "others",
            point["status"] == "VALID",
            place in found["front"],
        )


def _side_by_side(found: Found) -> Plot:
    known = [point for point in found["points"] if "tokens_per_s" in point["figures"]]
    points = [
        Point(shown(point["label"]), 0.0, *_ends(point["figures"]["tokens_per_s"]))
        for point in known[:_MOST_DOTS]
    ]
    more = len(known) - _MOST_DOTS
    note = f"{more} more are in the table only." if more > 0 else ""
    return Plot("Tokens per second", at_both_widths(side_by_side, points, "tokens/s"), note)


def _ends(figure: Mapping[str, Any]) -> tuple[float, float | None, float | None]:
    return figure["value"], figure["low"], figure["high"]
