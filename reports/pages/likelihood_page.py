"""The page of a measurement of perplexity: what perplexity.html shows, part by part, in one file
without scripts or network.

A part whose figures are missing is left out, or says why. The template escapes everything
(`reports.pages.run`); pictures come from `reports.plots`, shaded texts from
`reports.pages.shading`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from reports import plots
from reports.blocks import visible
from reports.pages import contexts as context_tables
from reports.pages import places, verdicts, words
from reports.pages import shading as perplexity_tokens
from reports.pages.run import template
from reports.pages.shading import Document, Tokens
from reports.pages.words import Subject, Summary, measured

MAX_TEXTS, MAX_TABLE_ROWS, MAX_CHARACTERS = 12, 120, 6000
_EXTREMES, _CONTRASTS, _HARDEST = 3, 15, 8
_KINDS = {
    "word_start": "start of a word",
    "name": "name",
    "word_inside": "inside a word",
    "number": "number",
    "punctuation": "punctuation",
    "space": "blanks, line breaks",
    "none": "special token",
}
MEANING = (
    ("perplexity", "How many equally likely tokens the model hesitates between, on average.",
     "Whether what it writes is right, useful or safe. Models that cut text differently cannot be "
     "compared by it."),
    ("bits per byte",
     "The same surprise per byte of text, so that every tokenizer is measured with one ruler.",
     "Everything that perplexity does not say; and the text's language decides how many bytes a "
     "thought takes."),
    ("tokens right", "How often the model's first choice is the token of the text.",
     "How sure it was: 51 % and 99 % count the same. There is often more than one good next word."),
    ("KL divergence",
     "How far a variant's whole distribution moved from the reference's, at every position.",
     "Whether the move is for better or worse; it says nothing of how good the reference is."),
    ("same top token", "How often greedy decoding would take the same step as the reference.",
     "That one different step sends the rest of an answer another way."),
    ("ROUGE, exact match", "Answers that the model wrote itself, compared with wanted ones.",
     "Good answers in other words; with few samples the noise is larger than what perplexity can "
     "tell."),
    ("tokens/s", "Speed of scoring: whole texts read at once.",
     "Speed of writing, which goes token by token and is bound by other things: see a run of the "
     "harness."),
)  # fmt: skip


class Side(NamedTuple):
    """A subject with figures: its label, place among all subjects, colour, and its tokens if they
    were kept.
    """

    label: str
    number: int
    colour: str
    subject: Subject
    tokens: Tokens | None


class Row(NamedTuple):
    """A figure per subject, each with its interval and the depth of its shade (0 to 1)."""

    name: str
    note: str
    cells: list[tuple[str, str, float]]
    link: str = ""


class Panel(NamedTuple):
    """One text under one subject."""

    side: Side
    perplexity: str
    html: str


class View(NamedTuple):
    number: int
    document: Document
    why: str
    panels: list[Panel]


def render(summary: Summary, folder: Path) -> str:
    """The page as text."""
    summary = {"notes": [], "verdicts": [], "settings": {}, "dataset": {}, **summary}
    texts = perplexity_tokens.documents(folder)
    sides = _sides(summary, folder)
    colours = {visible(side.label): side.colour for side in sides}
    held = places.Held(summary, {s.subject.get("label", s.label): s.label for s in sides})
    views = _views(texts, sides)
    on_page = {view.document.id for view in views}
    return template("perplexity.html").render(
        summary=summary,
        title=words.title(summary),
        sentences=summary["verdicts"] or verdicts.sentences(summary),
        missing=words.missing(summary),
        comparable=words.comparable(summary),
        conditions=words.conditions(summary),
        scored=words.scored(summary),
        parameters_note=words.PARAMETERS_NOTE,
        tone=_tone(summary),
        table=_table(summary),
        sides=sides,
        by_size=_by_size(summary, sides, colours),
        evidence=_evidence(summary),
        trade=_trade(summary, sides, colours, held),
        speed="writing answers" if _wrote(sides) else "reading whole texts",
        ranks=places.ranks(summary, sides, held),
        meaning=MEANING,
        divergence=_divergence(summary, sides),
        klds=_klds(sides, colours),
        categories=_dots(sides, "by_category", *words.measure(summary), colours, beside="by_kind"),
        kinds=_dots(sides, "by_kind", "eval_loss", "nats per token", colours, beside="by_category"),
        positions=_along(sides, "by_position", "number of the scored token in its text", colours),
        first_place=_first_place(sides),
        given=_given(sides),
        sentence_places=_along(sides, "by_sentence", "sentence", colours),
        contexts=_contexts(sides, colours),
        texts=_texts(summary, texts, sides, on_page),
        extremes=_extremes(texts, sides, on_page),
        hardest=_hardest(texts, sides),
        contrasts=_contrasts(texts, sides),
        views=views,
        num_texts=len(texts),
        legend=perplexity_tokens.legend(),
        marks=_smallest_and_biggest([side for side in sides if side.tokens is not None]),
        subjects=[_figures_only(subject) for subject in summary["subjects"]],
    )


def _figures_only(subject: Subject) -> dict[str, Any]:
    """Without the row per text, which the page has already."""
    return {key: value for key, value in subject.items() if key not in ("by_text", "excluded")}


def _tone(summary: Summary) -> str:
    if words.missing(summary) or not words.done(summary):
        return "bad"
    return "good" if words.comparable(summary) else "open"


def _sides(summary: Summary, folder: Path) -> list[Side]:
    found = perplexity_tokens.tokens(folder, summary["subjects"])
    known = {id(subject) for _, subject in words.done(summary)}
    return [
        Side(label, i, plots.series_colour(i), subject, found[i])
        for i, (label, subject) in enumerate(
            zip(words.labels(summary), summary["subjects"], strict=True)
        )
        if id(subject) in known
    ]


# ---- tables


def _table(summary: Summary) -> dict[str, Any]:
    columns = [
        column
        for column in (*words.QUALITY, *words.DISTANCE, *words.COST)
        if any(words.cell(subject, column)[0] for subject in summary["subjects"])
    ]
    rows = []
    for i, (label, subject) in enumerate(
        zip(words.labels(summary), summary["subjects"], strict=True)
    ):
        count = subject.get("parameters")
        rows.append({
            "label": label, "model": words.name(subject), "variant": subject["variant"],
            "colour": plots.series_colour(i), "size": words.parameters(count) if count else "-",
            "trainable": words.trainable(subject),
            "status": subject.get("status", "DONE"), "problem": subject.get("problem") or "",
            "measured": bool(subject.get("figures")),
            "cells": [words.cell(subject, column) for column in columns],
        })  # fmt: skip
    return {"columns": [column.name for column in columns], "rows": rows}


def _divergence(summary: Summary, sides: Sequence[Side]) -> dict[str, Any] | None:
    compared = [side for side in sides if measured(side.subject.get("divergence"), "mean_kld")]
    rows = []
    for column in words.DIVERGENCE:
        cells = [
            words.shown(measured(side.subject["divergence"], column.key), column.text)
            for side in compared
        ]
        if any(value for value, _ in cells):
            rows.append((column.name, cells))
    references = {words.reference(side.subject, summary) for side in compared}
    notes = [
        str(side.subject["divergence"]["note"])
        for side in compared
        if side.subject["divergence"].get("note")
    ]
    return (
        {
            "sides": compared,
            "rows": rows,
            "references": sorted(references),
            "notes": list(dict.fromkeys(notes)),
        }
        if rows
        else None
    )


def _texts(
    summary: Summary, texts: Mapping[str, Document], sides: Sequence[Side], on_page: set[str]
) -> dict[str, Any] | None:
    """Each model on each text: the cells shaded from the lowest to the highest, per column where
    columns do not compare.
    """
    found = {side.label: _by_text(side) for side in sides}
    ids = list(dict.fromkeys(id for column in found.values() for id in column))
    if not ids:
        return None
    first = found[sides[0].label]
    if cut := len(ids) > MAX_TABLE_ROWS:
        ordered = sorted((id for id in ids if id in first), key=lambda id: -first[id][0])
        kept = {*ordered[: MAX_TABLE_ROWS // 2], *ordered[-MAX_TABLE_ROWS // 2 :]}
        ids = [id for id in ids if id in kept]
    together = words.comparable(summary)
    logs = {
        label: [math.log(column[id][0]) for id in ids if id in column]
        for label, column in found.items()
    }
    everything = [v for column in logs.values() for v in column]
    spans = {label: _span(everything if together else column) for label, column in logs.items()}
    rows = []
    for id in ids:
        document = texts.get(id, Document(id, "", "", ""))
        cells = []
        for side in sides:
            value = found[side.label].get(id)
            low, high = spans[side.label]
            shade = (math.log(value[0]) - low) / (high - low) if value else 0.0
            cells.append(
                (
                    (
                        f"{value[0]:.2f}"
                        if value and value[0] < 1000
                        else words.figure(value[0])
                        if value
                        else "-"
                    ),
                    "",
                    shade,
                )
            )
        count = next((column[id][1] for column in found.values() if id in column), 0)
        note = " · ".join(filter(None, [document.category, f"{count:,} tokens" if count else ""]))
        rows.append(
            Row(
                document.title or id,
                note,
                cells,
                f"text-{list(texts).index(id)}" if id in on_page else "",
            )
        )
    return {"rows": rows, "cut": cut, "shown": len(ids), "together": together}


def _span(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values, default=0.0), max(values, default=0.0)
    return (low, high) if high > low else (low - 1, low + 1)


def _by_text(side: Side) -> dict[str, tuple[float, int]]:
    """id -> (perplexity, tokens), as perplexity.json has them."""
    found = {}
    for row in side.subject.get("by_text") or ():
        value = measured(row, "perplexity")
        if value is not None and value.value > 0:
            found[str(row["id"])] = (value.value, int(row.get("tokens") or 0))
    return found


# ---- pictures


def _by_size(summary: Summary, sides: Sequence[Side], colours: plots.Colours) -> str:
    key, unit = words.measure(summary)
    points = _points(sides, key, lambda side: side.subject.get("parameters"))
    models = {side.subject["model"] for side in sides}
    if len(models) < 2 or len({point.x for point in points}) < 2:
        return ""
    variants = {side.subject["variant"] for side in sides}
    laws = _laws(summary.get("scaling") or {}, len(variants))
    return plots.at_both_widths(plots.quality_against_size, points, laws, unit, colours)


def _laws(scaling: Mapping[str, Any], num_variants: int) -> list[plots.Line]:
    """The curves of the families that bear a law out. One of losses is drawn as perplexity, which
    is its exponential.
    """
    families = [family for family in scaling.get("families") or () if family.get("law")]
    variant = scaling.get("variant")
    through = f" through {variant}" if variant and num_variants > 1 else ""
    lines = []
    for family in families:
        of = f" of {family['models'][0]} and larger" if len(families) > 1 else ""
        curve = family["law"]["curve"]
        of_loss = "loss_nats" in curve
        columns = [curve["loss_nats" if of_loss else "bits_per_byte"], curve["low"], curve["high"]]
        value, low, high = (_drawn(column, of_loss) for column in columns)
        whole = len(low) == len(high) == len(value)
        band = (low, high) if whole else ((), ())
        name = visible(f"power law{of}{through}")
        lines.append(plots.Line(name, curve["parameters"], value, *band))
    return lines


def _drawn(column: Sequence[float | None], of_loss: bool) -> list[float]:
    known = [value for value in column if value is not None]
    return [math.exp(value) for value in known] if of_loss else known


def _evidence(summary: Summary) -> list[str]:
    """What each family's law, if any, and its returns stand on."""
    scaling = summary.get("scaling") or {}
    lines = []
    for family in scaling.get("families") or ():
        law, returns = family.get("law"), family["diminishing"]
        if law:
            lines += [_fitted(law, scaling), *map(str, law["notes"])]
        if len(family["steps"]) > 1:
            lines.append(f"Diminishing returns: {returns['answer']}. {returns['why']}")
    return lines


def _fitted(law: Mapping[str, Any], scaling: Mapping[str, Any]) -> str:
    """The parameters of the law, each with the doubts that are known of it."""
    found = [measured(law, key) for key in ("exponent", "exponent_models", "floor")]
    (power, texts), (_, models), (floor, around) = (
        words.shown(one, words.three_places) for one in found
    )
    parts = [f"exponent b {power} (over texts {texts}; over models {models})"]
    if floor:
        unit = scaling.get("unit") or "nats per token"
        parts.append(f"floor c {floor} {unit}{f' (over texts {around})' if around else ''}")
    return f"Loss = a·N^-b{' + c' * bool(floor)}: {'; '.join(parts)}."


def _trade(
    summary: Summary, sides: Sequence[Side], colours: plots.Colours, held: places.Held
) -> str:
    key, unit = words.measure(summary)
    is_written = _wrote(sides)
    of, speed = ("beside", "answer_tokens_per_s") if is_written else ("figures", "tokens_per_s")
    points = _points(
        sides, key, lambda side: getattr(measured(side.subject[of], speed), "value", None)
    )
    by = "eval_loss" if key == "perplexity" else key
    names = {visible(side.label): side.label for side in sides}

    def beats(one: plots.Point, other: plots.Point) -> bool:
        return _beats(one, other, held.decision(names[one.label], names[other.label], by))

    front = [p.label for p in points if not any(beats(q, p) for q in points)]
    return plots.at_both_widths(plots.speed_against_quality, points, front, unit, colours)


def _beats(one: plots.Point, other: plots.Point, decision: str) -> bool:
    """Whether one is at least as fast and decidedly better, or faster and no worse as far as the
    texts can tell; where they are too few to tell, by the figure.
    """
    is_better = decision == "better" or (decision == "open" and one.value < other.value)
    if is_better:
        return one.x >= other.x
    is_equal = decision in ("tie", "same") or (decision == "open" and one.value == other.value)
    return is_equal and one.x > other.x


def _wrote(sides: Sequence[Side]) -> bool:
    """Whether runs set beside them tell how fast each writes."""
    return all((side.subject.get("beside") or {}).get("answer_tokens_per_s") for side in sides)


def _points(
    sides: Sequence[Side], key: str, x: Callable[[Side], float | None]
) -> list[plots.Point]:
    found = [(side, x(side), measured(side.subject["figures"], key)) for side in sides]
    return [
        plots.Point(visible(side.label), at, *value)
        for side, at, value in found
        if at and value and value.value > 0
    ]


def _klds(sides: Sequence[Side], colours: plots.Colours) -> str:
    found = {
        visible(side.label): side.tokens.kld
        for side in sides
        if side.tokens is not None and side.tokens.kld is not None
    }
    found = {label: kld[np.isfinite(kld)] for label, kld in found.items()}
    return plots.kld_histogram({label: kld for label, kld in found.items() if kld.any()}, colours)


def _groups(found: Any) -> dict[str, Mapping[str, Any]]:
    """Figures by the name of their group; rows of places, from 0, are named by the first and the
    last, from 1.
    """
    if isinstance(found, Mapping):
        return {str(key): value for key, value in found.items() if isinstance(value, Mapping)}
    return {
        _span_name(row["first"] + 1, row["last"] + 1): row for row in found or () if "first" in row
    }


def _span_name(first: int, last: int) -> str:
    return f"{first}" if first == last else f"{first}-{last}"


def _dots(
    sides: Sequence[Side], part: str, key: str, unit: str, colours: plots.Colours, beside: str
) -> str:
    """A dot per group and subject; as high as the picture that stands beside it, if that is no more
    than twice as high.
    """
    found = {visible(side.label): _groups(side.subject.get(part)) for side in sides}
    rows = list(dict.fromkeys(name for column in found.values() for name in column))
    if len(rows) < 2:
        return ""
    rows_beside = len({name for side in sides for name in _groups(side.subject.get(beside))})
    least = min(rows_beside, 2 * len(rows))
    columns = {
        label: [measured(column.get(row), key) for row in rows]
        for label, column in found.items()
        if column
    }
    names = [visible(_KINDS.get(row, row)) for row in rows]
    log = key == "perplexity"  # nats and bits are logarithms already
    return plots.intervals(names, columns, unit, colours, log=log, high_as=least)


def _along(sides: Sequence[Side], part: str, x_name: str, colours: plots.Colours) -> str:
    found = {visible(side.label): _groups(side.subject.get(part)) for side in sides}
    places = max((list(column) for column in found.values()), key=len, default=[])
    columns = {
        label: [measured(column.get(place), "eval_loss") for place in places]
        for label, column in found.items()
    }
    known = {label: column for label, column in columns.items() if any(column)}
    return plots.along(places, known, x_name, "nats per token", colours)


def _given(sides: Sequence[Side]) -> str:
    """What a token of a text has before it."""
    reach = ", as far as its window reaches"
    in_windows = any(side.subject.get("in_windows") for side in sides)
    return f"Each token is given all of its text before it{reach if in_windows else ''}."


def _first_place(sides: Sequence[Side]) -> str:
    """Which token the first place is, and that it is easy where it is."""
    first = "Place 1 is the first token that is scored"
    starts = {side.subject.get("bos") for side in sides}
    if starts == {"added"}:
        first += ": the text's first, given the start token alone"
    elif starts == {"none"}:
        first += ": the text's second, as nothing predicts the first without a start token"
    cheap = "; it is easier than the second where texts begin alike"
    return f"{first}{cheap if _first_is_cheap(sides) else ''}."


def _first_is_cheap(sides: Sequence[Side]) -> bool:
    """Whether someone guesses the first token of a text, which has BOS alone before it, more easily
    than the second: beyond what either interval leaves open.
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


class Context(NamedTuple):
    table: context_tables.Table
    svg: str


def _contexts(sides: Sequence[Side], colours: plots.Colours) -> list[Context]:
    """What a context before the same tokens is worth, for each kind of condition."""
    made = context_tables.tables([(side.label, side.subject) for side in sides])
    return [Context(table, _gains(table, sides, colours)) for table in made]


def _gains(table: context_tables.Table, sides: Sequence[Side], colours: plots.Colours) -> str:
    subjects = {side.label: side.subject for side in sides}
    names = [name for name, cells in table.rows if any(cell.gain for cell in cells)]
    columns = {}
    for label in table.labels:
        own = subjects[label]["conditions"]
        columns[visible(label)] = [measured(own.get(name), "gain_nats") for name in names]
    unit = "nats gained per token"
    return plots.intervals(
        [visible(name) for name in names], columns, unit, colours, from_zero=True
    )


# ---- texts and tokens


def _order(side: Side) -> list[str]:
    """Ids of the texts, the highest perplexity first."""
    found = _by_text(side)
    return sorted(found, key=lambda id: -found[id][0])


def _chosen(texts: Mapping[str, Document], sides: Sequence[Side]) -> list[tuple[str, str]]:
    """(id, why) of the texts whose tokens are shown: all of a few, else the highest, the lowest and
    some between.
    """
    ranked = [id for id in _order(sides[0]) if id in texts]
    if len(ranked) <= MAX_TEXTS:
        return [(id, "") for id in ranked]
    n = len(ranked)
    between = (
        np.linspace(_EXTREMES, n - _EXTREMES - 1, MAX_TEXTS - 2 * _EXTREMES).round().astype(int)
    )
    places = [*range(_EXTREMES), *between.tolist(), *range(n - _EXTREMES, n)]
    whys = ["highest"] * _EXTREMES + ["between"] * len(between) + ["lowest"] * _EXTREMES
    return [(ranked[place], why) for place, why in zip(places, whys, strict=True)]


def _views(texts: Mapping[str, Document], sides: Sequence[Side]) -> list[View]:
    shown = [side for side in sides if side.tokens is not None]
    if not shown or not texts:
        return []
    chosen = _chosen(texts, shown)
    most = min(
        perplexity_tokens.MAX_TOKENS_OF_TEXT,
        perplexity_tokens.MAX_TOKENS // max(len(chosen) * len(shown), 1),
    )
    small, big = _smallest_and_biggest(shown) or (None, None)
    ordered = sorted(
        shown, key=lambda side: side not in (small, big)
    )  # these two beside each other
    views = []
    for id, why in chosen:
        panels = []
        for side in ordered:
            if side.tokens is None or id not in side.tokens.rows:
                continue
            gains = (
                perplexity_tokens.marked(id, side.tokens, small.tokens)
                if side is big and small
                else set()
            )
            value = _by_text(side).get(id)
            html = perplexity_tokens.shaded(texts[id], side.tokens, most, gains)
            panels.append(Panel(side, words.figure(value[0]) if value else "", html))
        views.append(View(list(texts).index(id), texts[id], why, panels))
    return views


def _smallest_and_biggest(sides: Sequence[Side]) -> tuple[Side, Side] | None:
    """Two sizes of one tokenizer in one variant, as far apart as there are."""
    best: tuple[float, Side, Side] | None = None
    for a in sides:
        for b in sides:
            same = all(a.subject.get(key) == b.subject.get(key) for key in ("tokenizer", "variant"))
            ratio = (b.subject.get("parameters") or 0) / (a.subject.get("parameters") or math.inf)
            if same and ratio > 1.05 and (best is None or ratio > best[0]):
                best = (ratio, a, b)
    return best[1:] if best else None


def _most_divergent(sides: Sequence[Side]) -> tuple[Side, Side] | None:
    """The variant that moved furthest, and the reference that it moved from."""
    moved = [
        (found.value, side)
        for side in sides
        if (found := measured(side.subject.get("divergence"), "mean_kld"))
    ]
    if not moved:
        return None
    side = max(moved, key=lambda row: row[0])[1]
    told = side.subject["divergence"]
    origin = told.get("reference_model") or side.subject["model"], told.get("reference")
    return next(
        (
            (side, other)
            for other in sides
            if (other.subject["model"], other.subject["variant"]) == origin
        ),
        None,
    )


def _contrasts(texts: Mapping[str, Document], sides: Sequence[Side]) -> list[dict[str, Any]]:
    """Where the bigger model gains most, and where the variant loses most."""
    found = []
    for heading, pair in (
        ("Where {1} gains most over {0}", _smallest_and_biggest(sides)),
        ("Where {0} loses most against {1}", _most_divergent(sides)),
    ):
        if pair is None:
            continue
        more, less = pair
        rows = (
            perplexity_tokens.contrasts(texts, less.tokens, more.tokens, _CONTRASTS)
            if less.tokens and more.tokens
            else []
        )
        if rows:
            found.append(
                {
                    "heading": heading.format(more.label, less.label),
                    "less": less,
                    "more": more,
                    "rows": rows,
                }
            )
    return found


def _hardest(texts: Mapping[str, Document], sides: Sequence[Side]) -> list[tuple[Side, list[Any]]]:
    """The hardest tokens of each model in its first variant."""
    first = {side.subject["model"]: side for side in reversed(sides)}.values()
    told = [
        (side, perplexity_tokens.hardest(texts, side.tokens, _HARDEST))
        for side in reversed(first)
        if side.tokens is not None
    ]
    return [(side, rows) for side, rows in told if rows]


def _extremes(
    texts: Mapping[str, Document], sides: Sequence[Side], on_page: set[str]
) -> dict[str, list[dict[str, Any]]]:
    """Texts of the lowest and of the highest perplexity, in full, by the first subject."""
    ranked = [id for id in _order(sides[0]) if id in texts] if sides else []
    if len(ranked) < 2:
        return {}
    count = min(_EXTREMES, len(ranked) // 2)
    parts = {"Highest perplexity": ranked[:count], "Lowest perplexity": ranked[: -count - 1 : -1]}
    return {
        name: [
            {
                "document": texts[id],
                "text": texts[id].text[:MAX_CHARACTERS],
                "more": max(0, len(texts[id].text) - MAX_CHARACTERS),
                "figures": [
                    (side.label, words.figure(_by_text(side)[id][0]))
                    for side in sides
                    if id in _by_text(side)
                ],
                "link": f"text-{list(texts).index(id)}" if id in on_page else "",
            }
            for id in ids
        ]
        for name, ids in parts.items()
    }
