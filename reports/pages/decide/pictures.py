"""Which pictures show why? Each figure that decides beside its limit, a dot for each deployment;
and what each deployment costs at every rate.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from harness.kernel.texts import shown
from harness.kernel.words.measure import Measure, measure
from reports.blocks import Plot
from reports.plots.decide import Fleet, Panel, cost_by_rate, panels
from reports.plots.labels import Point
from reports.plots.style import at_both_widths

Found = Mapping[str, Any]
_SCALES = {"bytes": (2.0**30, "GiB"), "share": (0.01, "%")}


def limits(found: Found) -> Plot:
    """Return what is sought and every requirement, a panel each."""
    name = found["objective"]["figure"]
    asked = [name, *dict.fromkeys(one["figure"] for one in found["requirements"])]
    made = [_panel(found, each) for each in dict.fromkeys(asked)]
    made = [panel for panel in made if panel.points]
    tones = {one["label"]: _tone(found, one) for one in found["candidates"]}
    svg = at_both_widths(panels, made, {shown(label): tone for label, tone in tones.items()})
    note = (
        "A dot for each deployment, with its 95 % interval where it is known; the dashed line is"
        " the limit, and the shaded side misses it. The first panel decides between those that keep"
        " every limit."
    )
    return Plot("Why", svg, note)


def _panel(found: Found, name: str) -> Panel:
    of = measure(name)
    scale, unit = _scale(of, found, name)
    points = []
    for one in found["candidates"]:
        figure = one["figures"].get(name)
        if figure is not None and figure["value"] is not None:
            low, high = (None if figure[end] is None else figure[end] / scale
                         for end in ("low", "high"))  # fmt: skip
            points.append(Point(shown(one["label"]), 0.0, figure["value"] / scale, low, high))
    signs = {one["sign"]: one["limit"] / scale for one in found["requirements"]
             if one["figure"] == name}  # fmt: skip
    title = f"{of.label}, {unit}" if unit else of.label
    return Panel(title, points, signs.get(">="), signs.get("<="))


def _scale(of: Measure, found: Found, name: str) -> tuple[float, str]:
    """Return what to divide values by, and the unit that they are in then."""
    if of.kind in _SCALES:
        return _SCALES[of.kind]
    if of.kind != "s":
        return 1.0, f"USD {of.unit}".strip() if of.kind == "USD" else of.unit
    values = [
        one["figures"][name]["value"] for one in found["candidates"] if name in one["figures"]
    ]
    return (1e-3, "ms") if max(values, default=0.0) < 1 else (1.0, "s")


def _tone(found: Found, one: Found) -> str:
    if one["label"] == found["answer"]:
        return "answer"
    return "fits" if one["status"] == "FITS" else "misses"


def costs(found: Found) -> Plot:
    """Return the cost an hour against the rate, a line for each deployment with a valid rate."""
    terms, fleets = found["terms"], []
    for one in found["candidates"]:
        figures = one["figures"]
        if "qps" not in figures or "usd_per_hour" not in figures:
            continue
        price = figures["usd_per_hour"]["value"] / figures["servers"]["value"]
        qps = figures["qps"]["value"] / (1 + terms["margin"])
        fleets.append(Fleet(shown(one["label"]), qps, price))
    if not fleets:
        return Plot("Cost", "")
    svg = at_both_widths(cost_by_rate, _cheapest(fleets), float(terms["need_qps"]))
    note = (
        "US dollars an hour against queries per second: servers come in whole numbers, so each line"
        " climbs in steps. The dashed line is the needed rate."
    )
    return Plot("Cost at every rate", svg, note)


def _cheapest(fleets: Sequence[Fleet]) -> list[Fleet]:
    """Return the eight that are cheapest per query, in their own order."""
    kept = sorted(fleets, key=lambda fleet: fleet.usd_per_hour / fleet.qps)[:8]
    return [fleet for fleet in fleets if fleet in kept]
