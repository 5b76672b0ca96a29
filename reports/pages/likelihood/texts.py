"""Which texts and tokens are shown in full? Views token by token, the texts of the highest and the
lowest perplexity, and the tokens where subjects differ most.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from reports.pages.likelihood import shading, words
from reports.pages.likelihood.shading import Document
from reports.pages.likelihood.sides import Side, by_text, most_divergent, smallest_and_largest

MAX_TEXTS, MAX_CHARACTERS = 12, 6000
_EXTREMES, _CONTRASTS, _HARDEST = 3, 15, 8


class Panel(NamedTuple):
    """One text under one subject."""

    side: Side
    perplexity: str
    html: str


class View(NamedTuple):
    """One text, its place in the dataset, and why it was chosen."""

    number: int
    document: Document
    why: str
    panels: list[Panel]


def _order(side: Side) -> list[str]:
    """Return the ids of the texts, the highest perplexity first."""
    found = by_text(side)
    return sorted(found, key=lambda id: -found[id][0])


def _chosen(texts: Mapping[str, Document], sides: Sequence[Side]) -> list[tuple[str, str]]:
    """Return (id, why) of the texts whose tokens are shown: all of a few, else the highest, the
    lowest and some between.
    """
    ranked = [id for id in _order(sides[0]) if id in texts]
    if len(ranked) <= MAX_TEXTS:
        return [(id, "") for id in ranked]
    n = len(ranked)
    between = np.linspace(_EXTREMES, n - _EXTREMES - 1, MAX_TEXTS - 2 * _EXTREMES)
    places = [*range(_EXTREMES), *between.round().astype(int).tolist(), *range(n - _EXTREMES, n)]
    whys = ["highest"] * _EXTREMES + ["between"] * len(between) + ["lowest"] * _EXTREMES
    return [(ranked[place], why) for place, why in zip(places, whys, strict=True)]


def views(texts: Mapping[str, Document], sides: Sequence[Side]) -> list[View]:
    """Return the texts that are shown token by token, each under every subject."""
    shown = [side for side in sides if side.tokens is not None]
    if not shown or not texts:
        return []
    chosen = _chosen(texts, shown)
    each = shading.MAX_TOKENS // max(len(chosen) * len(shown), 1)
    most = min(shading.MAX_TOKENS_OF_TEXT, each)
    small, large = smallest_and_largest(shown) or (None, None)
    ordered = sorted(shown, key=lambda side: side not in (small, large))  # these two side by side
    made = []
    for id, why in chosen:
        panels = []
        for side in ordered:
            if side.tokens is None or id not in side.tokens.rows:
                continue
            gains: set[int] = set()
            if side is large and small is not None:
                gains = shading.marked(id, side.tokens, small.tokens)
            value = by_text(side).get(id)
            html = shading.shaded(texts[id], side.tokens, most, gains)
            panels.append(Panel(side, words.figure(value[0]) if value else "", html))
        made.append(View(list(texts).index(id), texts[id], why, panels))
    return made


def contrasts(texts: Mapping[str, Document], sides: Sequence[Side]) -> list[dict[str, Any]]:
    """Return the tokens where the larger model gains most, and where the variant loses most."""
    headings = {
        "Where {1} gains most over {0}": smallest_and_largest(sides),
        "Where {0} loses most against {1}": most_divergent(sides),
    }
    found = []
    for heading, pair in headings.items():
        if pair is None or pair[0].tokens is None or pair[1].tokens is None:
            continue
        more, less = pair
        rows = shading.contrasts(texts, pair[1].tokens, pair[0].tokens, _CONTRASTS)
        if rows:
            heading = heading.format(more.label, less.label)
            found.append({"heading": heading, "less": less, "more": more, "rows": rows})
    return found


def hardest(texts: Mapping[str, Document], sides: Sequence[Side]) -> list[tuple[Side, list[Any]]]:
    """Return the hardest tokens of each model in its first variant."""
    first = {side.subject["model"]: side for side in reversed(sides)}.values()
    found = []
    for side in reversed(first):
        if side.tokens is not None:
            found.append((side, shading.hardest(texts, side.tokens, _HARDEST)))
    return [(side, rows) for side, rows in found if rows]


def extremes(
    texts: Mapping[str, Document], sides: Sequence[Side], on_page: set[str]
) -> dict[str, list[dict[str, Any]]]:
    """Return the texts of the highest and the lowest perplexity for the first subject, in full."""
    ranked = [id for id in _order(sides[0]) if id in texts] if sides else []
    if len(ranked) < 2:
        return {}
    count = min(_EXTREMES, len(ranked) // 2)
    parts = {"Highest perplexity": ranked[:count], "Lowest perplexity": ranked[: -count - 1 : -1]}
    return {name: [_story(texts, id, sides, on_page) for id in ids] for name, ids in parts.items()}


def _story(
    texts: Mapping[str, Document], id: str, sides: Sequence[Side], on_page: set[str]
) -> dict[str, Any]:
    text = texts[id].text
    known = [(side.label, by_text(side).get(id)) for side in sides]
    return {
        "document": texts[id],
        "text": text[:MAX_CHARACTERS],
        "more": max(0, len(text) - MAX_CHARACTERS),
        "figures": [(label, words.figure(value[0])) for label, value in known if value],
        "link": f"text-{list(texts).index(id)}" if id in on_page else "",
    }
