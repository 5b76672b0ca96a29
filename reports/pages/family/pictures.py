"""A family as pictures: each figure of quality against size, a line for each precision; and the
answers against the likelihood. Made of family.json alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from harness.kernel.texts import shown
from harness.kernel.words.judged import TABLE, Judged
from reports.blocks import Plot
from reports.pages.family.tables import judged
from reports.plots.family import Across, Panel, Series, against_likelihood, against_size
from reports.plots.labels import Point
from reports.plots.style import at_both_widths

Family = Mapping[str, Any]
_MOST = 9  # small pictures
_ALIKE = 1.05  # as in harness.study.family.members
_OF_LOAD = ("tokens_per_s", "peak_bytes")
_ANSWERS = ("task_solved", "rougeL", "evaluated", "evaluated_lower")


def pictures(found: Family) -> list[Plot]:
    """Return the pictures that have something to show."""
    drawn = [_sizes(found), *_likelihoods(found)]
    return [plot for plot in drawn if plot.svg]


# ---- against size


def _sizes(found: Family) -> Plot:
    across, of, by = _across(found)
    panels = []
    for column in _quality(found):
        figure = judged(column)
        series = _series(found, figure, of, by)
        if sum(len(one.points) for one in series) > 1:
            panels.append(Panel(shown(figure.label), figure.unit, series))
    svg = at_both_widths(against_size, panels[:_MOST], across)
    note = (
        f"Against {across.label}; bars are 95 % intervals. Members of one size stand a little"
        " apart."
    )
    if len(panels) > _MOST:
        note += f" The first {_MOST} figures of {len(panels)}."
    return Plot("Quality against size", svg, note)


def _quality(found: Family) -> list[Mapping[str, Any]]:
    """Return the columns of quality; of one set of texts bits per byte stand for the perplexity."""
    of = {one["of"] for one in found["columns"] if one["figure"] == "bits_per_byte"}
    return [
        one
        for one in found["columns"]
        if one["figure"] not in _OF_LOAD
        and not (one["figure"] == "text_perplexity" and one["of"] in of)
    ]


def _across(found: Family) -> tuple[Across, Mapping[str, float], str]:
    """Return the axis, where each member stands on it, and what makes a line: the precision where
    there are several models, else nothing (a dot each).
    """
    rows, models = found["rows"], list(dict.fromkeys(row["model"] for row in found["rows"]))
    sizes = [row["parameters"] for row in rows if row["parameters"]]
    if len(models) > 1 and sizes and max(sizes) > _ALIKE * min(sizes):
        per = TABLE["parameters"].per_unit
        of = {row["label"]: row["parameters"] / per for row in rows if row["parameters"]}
        return Across("parameters, M", True), of, "variant"
    if len(models) > 1:
        of = {row["label"]: float(models.index(row["model"])) for row in rows}
        return Across("model", False, [shown(model) for model in models]), of, "variant"
    per = TABLE["weights_bytes"].per_unit
    of = {row["label"]: row["weights_bytes"] / per for row in rows if row["weights_bytes"]}
    return Across("weights, MiB", True), of, "label"


def _series(found: Family, figure: Judged, of: Mapping[str, float], by: str) -> list[Series]:
    lines: dict[str, list[Point]] = {}
    for row in found["rows"]:
        value = row["figures"].get(figure.name)
        if value is not None and row["label"] in of and value["value"] is not None:
            point = _point(row["label"], of[row["label"]], figure, value)
            lines.setdefault(shown(row[by]), []).append(point)
    return [Series(name, points) for name, points in lines.items()]


def _point(label: str, x: float, figure: Judged, value: Mapping[str, Any]) -> Point:
    ends = [None if value[end] is None else value[end] / figure.per_unit
            for end in ("value", "low", "high")]  # fmt: skip
    middle, low, high = ends
    assert middle is not None
    return Point(label, x, middle, low, high)


# ---- against likelihood


def _likelihoods(found: Family) -> list[Plot]:
    """Return a picture for each likelihood: bits per byte, or else the perplexity."""
    names = ("bits_per_byte", "perplexity")
    drawn = []
    for column in (one for one in found["columns"] if one["figure"] in names):
        across = judged(column)
        panels = [
            Panel(shown(other["label"]), judged(other).unit, dots)
            for other in found["columns"] if other["figure"] in _ANSWERS
            if len(dots := _dots(found, across, judged(other))) > 1
        ]  # fmt: skip
        svg = at_both_widths(against_likelihood, panels[:_MOST], Across(across.label, False))
        note = (
            "To the left is better by likelihood, up by the answers: where both agree, the dots"
            " fall from the upper left to the lower right. Bars are 95 % intervals."
        )
        drawn.append(Plot(f"Answers against {across.label}", svg, note))
    return drawn


def _dots(found: Family, across: Judged, up: Judged) -> list[Series]:
    dots = []
    for row in found["rows"]:
        known: Sequence[Any] = [row["figures"].get(figure.name) for figure in (across, up)]
        if all(one is not None and one["value"] is not None for one in known):
            x, y = known
            place = _point(row["label"], 0.0, across, x)
            point = _point(row["label"], place.value, up, y)
            dots.append(Series(shown(row["label"]), [point, place]))
    return dots
