"""Whom does the page compare? Each subject with figures: its label, its colour, its tokens."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from reports.pages.likelihood import shading, words
from reports.pages.likelihood.shading import Tokens
from reports.pages.likelihood.words import Subject, Summary, measured
from reports.plots.labels import series_colour


class Side(NamedTuple):
    """A subject with figures: its label, place among all subjects, colour, and its tokens if they
    were kept.
    """

    label: str
    number: int
    colour: str
    subject: Subject
    tokens: Tokens | None


def sides(summary: Summary, folder: Path) -> list[Side]:
    """Return the subjects with figures."""
    tokens = shading.tokens(folder, summary["subjects"])
    known = {id(subject) for _, subject in words.done(summary)}
    pairs = zip(words.labels(summary), summary["subjects"], strict=True)
    found = []
    for i, (label, subject) in enumerate(pairs):
        if id(subject) in known:
            found.append(Side(label, i, series_colour(i), subject, tokens[i]))
    return found


def by_text(side: Side) -> dict[str, tuple[float, int]]:
    """Return id -> (perplexity, tokens) of each text, as perplexity.json has them."""
    found = {}
    for row in side.subject.get("by_text") or ():
        value = measured(row, "perplexity")
        if value is not None and value.value > 0:
            found[str(row["id"])] = (value.value, int(row.get("tokens") or 0))
    return found


def smallest_and_largest(among: Sequence[Side]) -> tuple[Side, Side] | None:
    """Return two sizes of one tokenizer in one variant, as far apart as there are."""
    best: tuple[float, Side, Side] | None = None
    for a in among:
        for b in among:
            same = all(a.subject.get(key) == b.subject.get(key) for key in ("tokenizer", "variant"))
            small, large = (side.subject.get("parameters") or 0 for side in (a, b))
            ratio = large / small if small else 0
            if same and ratio > 1.05 and (best is None or ratio > best[0]):
                best = (ratio, a, b)
    return best[1:] if best else None


def most_divergent(among: Sequence[Side]) -> tuple[Side, Side] | None:
    """Return the variant that moved furthest, and the reference that it moved from."""
    moved = []
    for side in among:
        if found := measured(side.subject.get("divergence"), "mean_kld"):
            moved.append((found.value, side))
    if not moved:
        return None
    side = max(moved, key=lambda row: row[0])[1]
    told = side.subject["divergence"]
    origin = told.get("reference_model") or side.subject["model"], told.get("reference")
    others = (o for o in among if (o.subject["model"], o.subject["variant"]) == origin)
    other = next(others, None)
    return other and (side, other)
