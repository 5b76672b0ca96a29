"""What does perplexity.html show? The page of a measurement of perplexity, part by part.

A part whose figures are missing is left out, or says why. Tables, pictures and texts are made by
the files beside this one; shaded texts by `shading`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.kernel.texts import shown
from reports.blocks import Plot
from reports.pages import html
from reports.pages.likelihood import (
    contexts,
    pictures,
    places,
    shading,
    tables,
    texts,
    verdicts,
    words,
)
from reports.pages.likelihood.sides import sides as sides_of
from reports.pages.likelihood.sides import smallest_and_largest
from reports.pages.likelihood.words import Summary, measured

_MOST_LINES = 12


def render(summary: Summary, folder: Path) -> str:
    """Return the page as text."""
    summary = {"notes": [], "verdicts": [], "settings": {}, "dataset": {}, **summary}
    documents = shading.documents(folder)
    sides = sides_of(summary, folder)
    colours = {shown(side.label): side.colour for side in sides}
    held = places.Held(summary, {s.subject.get("label", s.label): s.label for s in sides})
    views = texts.views(documents, sides)
    on_page = {view.document.id for view in views}
    made = contexts.contexts([(side.label, side.subject) for side in sides])
    return html.page(
        "perplexity.html",
        summary=summary,
        title=words.title(summary),
        sentences=summary["verdicts"] or verdicts.sentences(summary),
        missing=words.missing(summary),
        conditions=words.conditions(summary),
        tone=_tone(summary),
        figures=tables.subjects(summary),
        notes=_notes(summary),
        sides=sides,
        keys={side.label: side.colour for side in sides},
        by_size=pictures.by_size(summary, sides, colours),
        evidence=_evidence(summary),
        trade=pictures.trade(summary, sides, colours, held),
        speed="writing answers" if pictures.wrote(sides) else "reading whole texts",
        ranks=places.ranks(summary, sides, held),
        most_lines=_MOST_LINES,
        meaning=tables.MEANING,
        divergence=tables.divergence(summary, sides),
        klds=Plot("KL divergence at each position", pictures.klds(sides, colours), _TAIL),
        groups=pictures.groups(summary, sides, colours),
        contexts=[(one, pictures.gains(one, sides, colours)) for one in made],
        texts=tables.texts(summary, documents, sides, on_page),
        extremes=texts.extremes(documents, sides, on_page),
        hardest=texts.hardest(documents, sides),
        contrasts=texts.contrasts(documents, sides),
        views=views,
        num_texts=len(documents),
        legend=shading.legend(),
        marks=smallest_and_largest([side for side in sides if side.tokens is not None]),
        details=_details(summary),
    )


_TAIL = "A tail to the right: a few positions where the variant went another way."


def _details(summary: Summary) -> dict[str, Any]:
    """Return what the figures were made from; a subject without the row per text, which the page
    has already.
    """
    made = {"Settings": summary["settings"], "Dataset": summary["dataset"]}
    for label, subject in zip(words.labels(summary), summary["subjects"], strict=True):
        left_out = ("by_text", "excluded")
        made[label] = {key: value for key, value in subject.items() if key not in left_out}
    return made


def _notes(summary: Summary) -> list[str]:
    """Say how the table of figures is read."""
    first = (
        "Below each figure is its 95 % interval over texts. Perplexity weighs every token the same;"
        " loss is in nats per token; token accuracy: the model's first choice. Colours are the same"
        " in all pictures."
    )
    unlike = (
        "Perplexity, loss and token accuracy do not compare between these models, which split text"
        " into different tokens. Bits per byte does."
    )
    alike = words.comparable(summary)
    return [*([] if alike else [unlike]), first, *words.scored(summary), words.PARAMETERS_NOTE]


def _tone(summary: Summary) -> str:
    if words.missing(summary) or not words.done(summary):
        return "bad"
    return "good" if words.comparable(summary) else "open"


def _evidence(summary: Summary) -> list[str]:
    """Say what each family's law, if any, and its returns are based on."""
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
    """Write the parameters of the law, each with its known uncertainties."""
    found = [measured(law, key) for key in ("exponent", "exponent_models", "floor")]
    (power, texts), (_, models), (floor, around) = (
        words.shown(one, words.three_places) for one in found
    )
    parts = [f"exponent b {power} (over texts {texts}; over models {models})"]
    if floor:
        unit = scaling.get("unit") or "nats per token"
        parts.append(f"floor c {floor} {unit}{f' (over texts {around})' if around else ''}")
    return f"Loss = a·N^-b{' + c' * bool(floor)}: {'; '.join(parts)}."
