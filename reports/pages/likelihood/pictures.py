"""Which pictures does a measurement of perplexity have, and of what?"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.kernel.texts import shown
from reports.blocks import Plot
from reports.pages.likelihood import places, words
from reports.pages.likelihood.contexts import Context
from reports.pages.likelihood.sides import Side
from reports.pages.likelihood.words import Summary, measured
from reports.plots import likelihood as plots
from reports.plots.labels import Colours, Line, Point
from reports.plots.style import at_both_widths

_KINDS = {
    "word_start": "start of a word",
    "name": "name",
    "word_inside": "inside a word",
    "number": "number",
    "punctuation": "punctuation",
    "space": "blanks, line breaks",
    "none": "special token",
}


def by_size(summary: Summary, sides: Sequence[Side], colours: Colours) -> str:
    """Draw the figure against the number of parameters, where models of several sizes differ."""
    key, unit = words.measure(summary)
    points = _points(sides, key, lambda side: side.subject.get("parameters"))
    models = {side.subject["model"] for side in sides}
    if len(models) < 2 or len({point.x for point in points}) < 2:
        return ""
    variants = {side.subject["variant"] for side in sides}
    laws = _laws(summary.get("scaling") or {}, len(variants))
    return at_both_widths(plots.quality_against_size, points, laws, unit, colours)


def _laws(scaling: Mapping[str, Any], num_variants: int) -> list[Line]:
    """Return the curves of the families that follow a law. One of losses is drawn as perplexity,
    which is its exponential.
    """
    families = [family for family in scaling.get("families") or () if family.get("law")]
    variant = scaling.get("variant")
    through = f" through {variant}" if variant and num_variants > 1 else ""
    lines = []
    for family in families:
        of = f" of {family['models'][0]} and larger" if len(families) > 1 else ""
        curve = family["law"]["curve"]
        of_loss = "loss_nats" in curve
        keys = ("loss_nats" if of_loss else "bits_per_byte", "low", "high")
        value, low, high = (_drawn(curve[key], of_loss) for key in keys)
        band = (low, high) if len(low) == len(high) == len(value) else ((), ())
        name = shown(f"power law{of}{through}")
        lines.append(Line(name, curve["parameters"], value, *band))
    return lines


def _drawn(column: Sequence[float | None], of_loss: bool) -> list[float]:
    known = [value for value in column if value is not None]
    return [math.exp(value) for value in known] if of_loss else known


def trade(summary: Summary, sides: Sequence[Side], colours: Colours, held: places.Held) -> str:
    """Draw the figure against speed, and who is beaten on both."""
    key, unit = words.measure(summary)
    is_written = wrote(sides)
    of, speed = ("beside", "answer_tokens_per_s") if is_written else ("figures", "tokens_per_s")

    def rate(side: Side) -> float | None:
        found = measured(side.subject[of], speed)
        return found and found.value

    points = _points(sides, key, rate)
    by = "eval_loss" if key == "perplexity" else key
    names = {shown(side.label): side.label for side in sides}

    def beats(one: Point, other: Point) -> bool:
        return _beats(one, other, held.decision(names[one.label], names[other.label], by))

    front = [p.label for p in points if not any(beats(q, p) for q in points)]
    return at_both_widths(plots.speed_against_quality, points, front, unit, colours)


def _beats(one: Point, other: Point, decision: str) -> bool:
    """Is one at least as fast and decidedly better, or faster and no worse as far as the texts can
    tell? Where they are too few to tell, the figure decides.
    """
    is_better = decision == "better" or (decision == "open" and one.value < other.value)
    if is_better:
        return one.x >= other.x
    is_equal = decision in ("tie", "same") or (decision == "open" and one.value == other.value)
    return is_equal and one.x > other.x


def wrote(sides: Sequence[Side]) -> bool:
    """Do runs set beside them tell how fast each writes?"""
    return all((side.subject.get("beside") or {}).get("answer_tokens_per_s") for side in sides)


def _points(sides: Sequence[Side], key: str, x: Callable[[Side], float | None]) -> list[Point]:
    found = [(side, x(side), measured(side.subject["figures"], key)) for side in sides]
    return [
        Point(shown(side.label), at, *value)
        for side, at, value in found
        if at and value and value.value > 0
    ]


def klds(sides: Sequence[Side], colours: Colours) -> str:
    """Draw the distribution of the divergence at each position, of whoever has one."""
    found: dict[str, NDArray[np.float64]] = {}
    for side in sides:
        if side.tokens is not None and side.tokens.kld is not None:
            kld = side.tokens.kld[np.isfinite(side.tokens.kld)]
            found |= {shown(side.label): kld} if kld.any() else {}
    return plots.kld_histogram(found, colours)


def _groups(found: Any) -> dict[str, Mapping[str, Any]]:
    """Return figures by the name of their group; rows of places, from 0, are named by the first
    and the last, from 1.
    """
    if isinstance(found, Mapping):
        return {str(key): value for key, value in found.items() if isinstance(value, Mapping)}
    rows = [row for row in found or () if "first" in row]
    return {_span_name(row["first"] + 1, row["last"] + 1): row for row in rows}


def _span_name(first: int, last: int) -> str:
    return f"{first}" if first == last else f"{first}-{last}"


def dots(
    sides: Sequence[Side], part: str, key: str, unit: str, colours: Colours, beside: str
) -> str:
    """Draw a dot per group and subject; as high as the picture beside it, if that is no more than
    twice as high.
    """
    found = {shown(side.label): _groups(side.subject.get(part)) for side in sides}
    rows = list(dict.fromkeys(name for column in found.values() for name in column))
    if len(rows) < 2:
        return ""
    rows_beside = len({name for side in sides for name in _groups(side.subject.get(beside))})
    least = min(rows_beside, 2 * len(rows))
    columns = {}
    for label, column in found.items():
        if column:
            columns[label] = [measured(column.get(row), key) for row in rows]
    names = [shown(_KINDS.get(row, row)) for row in rows]
    log = key == "perplexity"  # nats and bits are logarithms already
    return plots.intervals(names, columns, unit, colours, log=log, high_as=least)


def along(sides: Sequence[Side], part: str, x_name: str, colours: Colours) -> str:
    """Draw the loss from place to place in the texts."""
    found = {shown(side.label): _groups(side.subject.get(part)) for side in sides}
    places = max((list(column) for column in found.values()), key=len, default=[])
    columns = {
        label: [measured(column.get(place), "eval_loss") for place in places]
        for label, column in found.items()
    }
    known = {label: column for label, column in columns.items() if any(column)}
    return plots.along(places, known, x_name, "nats per token", colours)


def _given(sides: Sequence[Side]) -> str:
    """Say what a token of a text has before it."""
    reach = ", as far as its window reaches"
    in_windows = any(side.subject.get("in_windows") for side in sides)
    return f"Each token is given all of its text before it{reach if in_windows else ''}."


def _first_place(sides: Sequence[Side]) -> str:
    """Say which token the first place is, and that it is easy where it is."""
    first = "Place 1 is the first token that is scored"
    starts = {side.subject.get("bos") for side in sides}
    if starts == {"added"}:
        first += ": the text's first, given the start token alone"
    elif starts == {"none"}:
        first += ": the text's second, as nothing predicts the first without a start token"
    cheap = "; it is easier than the second where texts begin alike"
    return f"{first}{cheap if _first_is_cheap(sides) else ''}."


def _first_is_cheap(sides: Sequence[Side]) -> bool:
    """Does someone guess the first token of a text, which has only BOS before it, more easily than
    the second, beyond what either interval leaves open?
    """
    for side in sides:
        if side.subject.get("bos") != "added":
            continue
        groups = _groups(side.subject.get("by_position"))
        first, second = (measured(groups.get(place), "eval_loss") for place in ("1", "2"))
        if first is None or second is None or first.high is None or second.low is None:
            continue
        if first.high < second.low:
            return True
    return False


def gains(context: Context, sides: Sequence[Side], colours: Colours) -> str:
    """Draw what each context gains over none."""
    subjects = {side.label: side.subject for side in sides}
    columns = {}
    for label in context.labels:
        own = subjects[label]["conditions"]
        columns[shown(label)] = [measured(own.get(n), "gain_nats") for n in context.gaining]
    names = [shown(name) for name in context.gaining]
    return plots.intervals(names, columns, "nats gained per token", colours, from_zero=True)


def groups(summary: Summary, sides: Sequence[Side], colours: Colours) -> list[Plot]:
    """Return the pictures of parts of the texts: categories, kinds of token, places, sentences."""
    categories = dots(sides, "by_category", *words.measure(summary), colours, beside="by_kind")
    kinds = dots(sides, "by_kind", "eval_loss", "nats per token", colours, beside="by_category")
    positions = along(sides, "by_position", "number of the scored token in its text", colours)
    sentences = along(sides, "by_sentence", "sentence", colours)
    given = _given(sides)
    plots = (
        Plot("By category", categories, "Less is better. Categories differ in difficulty, so"
             " compare the dots within a row. Categories with too few texts have no interval."),
        Plot("By kind of token", kinds, "In nats. At the start of a word the model must choose;"
             " inside it, the rest often follows."),
        Plot("By place in the text", positions, f"{_first_place(sides)} {given} Only long texts"
             " have late places."),
        Plot("By sentence", sentences, f"{given} Only long texts have late sentences; the last of"
             " the ten holds all later ones."),
    )  # fmt: skip
    return [plot for plot in plots if plot.svg]
