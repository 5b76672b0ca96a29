"""What did each token cost? Texts with every token shaded by its surprise, and the tokens where two
subjects differ most.

The shaded texts are HTML made here and nowhere else, piece by piece: every piece of text goes
through `shown` and is escaped. No script: a token says what it cost in a line at the foot of the
window (style sheet, `i:hover`).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from markupsafe import Markup, escape
from numpy.typing import NDArray

from harness.kernel.foreign import parsed
from harness.kernel.foreign.tables import read_table
from harness.kernel.texts import shown

LEVELS_NATS = (0.25, 0.5, 1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 11.0)  # where a deeper shade begins
MAX_TOKENS = 30_000  # shaded ones on a page
MAX_TOKENS_OF_TEXT = 700
_AROUND = 44  # characters on each side of a token in a table
_GAIN_NATS = 1.0  # a token is marked from here on ...
_MARKED = 0.04  # ... and at most this share of a text


@dataclass(frozen=True, slots=True, eq=False)
class Tokens:
    """The scored tokens of one subject, plain texts only, text by text and in order."""

    rows: dict[str, slice]
    position: NDArray[Any]
    token_id: NDArray[Any]
    start: NDArray[Any]
    end: NDArray[Any]
    nll_nats: NDArray[Any]
    correct: NDArray[Any]
    kld: NDArray[Any] | None


class Document(NamedTuple):
    id: str
    title: str
    category: str
    text: str


class Spot(NamedTuple):
    """A token and what stands around it, with what it costs in nats: one subject; or two, and the
    difference.
    """

    document: Document
    before: str
    token: str
    after: str
    costs: tuple[float, ...]


# ---- reading


def documents(folder: Path) -> dict[str, Document]:
    """Return the texts in their order; none without texts.parquet."""
    if not (folder / "texts.parquet").is_file():
        return {}
    columns = _columns(folder / "texts.parquet")
    n = len(columns["id"])
    titles, categories = (columns.get(key, [""] * n) for key in ("title", "category"))
    rows = zip(map(str, columns["id"]), titles, categories, columns["text"], strict=True)
    return {
        id: Document(id, str(title or ""), str(category or ""), text)
        for id, title, category, text in rows
    }


def tokens(folder: Path, subjects: Sequence[Mapping[str, Any]]) -> list[Tokens | None]:
    """Return the tokens of each subject of perplexity.json; None where the folder has none."""
    places = [_place(folder, subject) / "tokens.parquet" for subject in subjects]
    return [_tokens(place) if place.is_file() else None for place in places]


def _place(folder: Path, subject: Mapping[str, Any]) -> Path:
    """Return the subject's own folder: the one that is named, else the one whose subject.json has
    its model and variant.
    """
    named = str(subject.get("folder") or "")
    if named and named != ".." and Path(named).name == named:
        return folder / named
    wanted = subject["model"], subject["variant"]
    for file in sorted(folder.glob("*/subject.json")):
        said = parsed.read_json(file)
        if (said.get("model"), said.get("variant")) == wanted:
            return file.parent
    return folder / "none"


def _tokens(file: Path) -> Tokens | None:
    columns = {name: np.asarray(column) for name, column in _columns(file).items()}
    if not len(columns["text"]):
        return None
    plain = columns["condition"] == "plain"
    texts = columns["text"][plain].astype(str)
    ids, numbers = np.unique(texts, return_inverse=True)
    order = np.lexsort((columns["position"][plain], numbers))
    edges = np.searchsorted(numbers[order], np.arange(len(ids) + 1))
    kept = columns.keys() - {"text", "condition"}
    picked = {name: columns[name][plain][order] for name in kept}
    slices = (slice(int(a), int(b)) for a, b in pairwise(edges))
    return Tokens(
        dict(zip(map(str, ids), slices, strict=True)),
        picked["position"],
        picked["token_id"],
        picked["start"],
        picked["end"],
        picked["nll_nats"].astype(np.float64),
        picked["correct"],
        picked["kld"].astype(np.float64) if "kld" in picked else None,
    )


def _columns(file: Path) -> dict[str, Any]:
    table = read_table(file)
    return {name: table[name].to_numpy(zero_copy_only=False) for name in table.column_names}


# ---- tokens of two subjects


def contrasts(texts: Mapping[str, Document], less: Tokens, more: Tokens, count: int) -> list[Spot]:
    """Return tokens that cost `more` most beyond what they cost `less`, at most two of a text and
    one of a kind of token.
    """
    found = [(difference, id, i, j) for id in texts for i, j, difference in _pairs(id, less, more)]
    found.sort(key=lambda row: -row[0])
    of_text: Counter[str] = Counter()
    rows: list[Spot] = []
    said: set[str] = set()
    for difference, id, i, j in found:
        if len(rows) == count or difference <= 0:
            break
        text, start, end = texts[id].text, int(less.start[i]), int(less.end[i])
        word = text[start:end].strip().lower()
        if of_text[id] < 2 and word not in said:
            of_text[id] += 1
            said.add(word)
            costs = float(less.nll_nats[i]), float(more.nll_nats[j]), difference
            rows.append(Spot(texts[id], *_within(text, start, end), costs))
    return rows


def marked(id: str, less: Tokens | None, more: Tokens | None) -> set[int]:
    """Return the positions of a text where `less` gains most over `more`."""
    if less is None or more is None:
        return set()
    pairs = sorted(_pairs(id, less, more), key=lambda pair: -pair[2])
    most = max(1, math.ceil(_MARKED * len(pairs)))
    kept = [i for i, _, difference in pairs if difference >= _GAIN_NATS][:most]
    return {int(less.position[i]) for i in kept}


def _pairs(id: str, less: Tokens, more: Tokens) -> list[tuple[int, int, float]]:
    """Return (row there, row here, difference in nats) of the tokens that both scored; only the
    highest few hundred of a text.
    """
    if id not in less.rows or id not in more.rows:
        return []
    a, b = less.rows[id], more.rows[id]
    _, i, j = np.intersect1d(
        less.position[a], more.position[b], assume_unique=True, return_indices=True
    )
    i, j = i + a.start, j + b.start
    same = (less.token_id[i] == more.token_id[j]) & (less.end[i] > less.start[i])
    i, j = i[same], j[same]
    difference = more.nll_nats[j] - less.nll_nats[i]
    keep = np.argsort(-difference, kind="stable")[:300]
    return [(int(i[k]), int(j[k]), float(difference[k])) for k in keep]


def hardest(texts: Mapping[str, Document], scores: Tokens, count: int) -> list[Spot]:
    """Return the tokens that cost most, one of a text."""
    rows: list[Spot] = []
    seen: set[str] = set()
    ids, ends = list(scores.rows), [part.stop for part in scores.rows.values()]
    for i in np.argsort(-scores.nll_nats, kind="stable")[: 200 * count].tolist():
        id = ids[int(np.searchsorted(ends, i, side="right"))]
        if id in texts and id not in seen and len(rows) < count:
            seen.add(id)
            around = _within(texts[id].text, int(scores.start[i]), int(scores.end[i]))
            rows.append(Spot(texts[id], *around, (float(scores.nll_nats[i]),)))
    return rows


def _within(text: str, start: int, end: int) -> tuple[str, str, str]:
    """Return what stands before a token, the token, and what follows, on one line; cut ends are
    marked, a blank before the token is left outside.
    """
    token = text[start:end]
    if token.strip():
        start += len(token) - len(token.lstrip(" "))
    before, after = text[max(0, start - _AROUND) : start], text[end : end + _AROUND]
    before = ("…" if start > _AROUND else "") + before.replace("\n", "↵")
    after = after.replace("\n", "↵") + ("…" if end + _AROUND < len(text) else "")
    return before, text[start:end].replace("\n", "↵"), after


# ---- shading


def level(nats: float) -> int:
    """Return how deep the shade is, from 0 to 9."""
    return int(np.searchsorted(LEVELS_NATS, nats, side="right"))


def legend() -> list[tuple[int, str, str]]:
    """Return (level, nats, the probability that goes with them)."""
    ends = [0.0, *LEVELS_NATS]
    return [(k, f"{nats:g}" if k else "0", percent(nats)) for k, nats in enumerate(ends)]


def percent(nats: float) -> str:
    """Write the probability of a token that costs so much."""
    share = 100 * math.exp(-nats)
    return f"{share:.0f} %" if share >= 9.95 else f"{share:.2g} %" if share >= 0.001 else "<0.001 %"


def shaded(document: Document, scores: Tokens, most: int, gains: set[int]) -> Markup:
    """Return the text with its tokens shaded, cut after `most` tokens. What was not scored has no
    shade.
    """
    text, rows = document.text, scores.rows[document.id]
    parts: list[str] = []
    at = 0
    for i in range(rows.start, min(rows.stop, rows.start + most)):
        start, end = max(int(scores.start[i]), at), int(scores.end[i])
        if start > at:
            parts.append(f"<s>{_safe(text[at:start])}</s>")
        parts.append(_token(text[start:end], scores, i, int(scores.position[i]) in gains))
        at = max(at, end)
    left = len(text) - at
    if rows.stop - rows.start > most:
        parts.append(f'<span class="soft"> … {left:,} more characters</span>')
    elif left:
        parts.append(f"<s>{_safe(text[at:])}</s>")
    return Markup("".join(parts))


def _token(piece: str, scores: Tokens, i: int, gain: bool) -> str:
    nats = float(scores.nll_nats[i])
    classes = f"h{level(nats)}{' g' if gain else ''}{'' if scores.correct[i] else ' x'}"
    kld = ""
    if scores.kld is not None and math.isfinite(scores.kld[i]):
        kld = f", KL {scores.kld[i]:.2g}"
    said = _safe(piece.replace(" ", "␣").replace("\n", "↵") or "part of a character")
    # Blanks before it would shade the ends of lines.
    blank = piece[: len(piece) - len(piece.lstrip(" "))] if piece.strip() else ""
    seen = _safe(piece[len(blank) :]).replace("\n", "<u>↵</u>\n") or "<u>·</u>"
    return (
        f'{blank}<i class="{classes}" data-w="{said}" data-n="{nats:.2f} nats, p'
        f' {percent(nats)}{kld}">{seen}</i>'
    )


def _safe(text: str) -> str:
    return str(escape(shown(text)))
