"""Which tokens does a model find hard? Figures by their place and kind, and the single ones that
cost or gain most.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from accuracy.likelihood.figures import Figures, TextScores, figures_of
from accuracy.likelihood.kinds import KINDS, kinds, sentence_numbers
from accuracy.likelihood.models import same_tokens
from accuracy.resampling import Floats
from harness.kernel.errors import BadInput

_MOST_SENTENCES = 10
_DOING = "figures by kind of token"

Key = TypeVar("Key", bound=Hashable)


# ---- groups


def by_position(texts: Sequence[TextScores]) -> dict[tuple[int, int], Figures]:
    """Return figures by place among the scored tokens: first and last place of a bin -> figures,
    for 0, 1, 2-3, 4-7, ... Late bins hold the long texts only.
    """
    longest = max(map(len, texts), default=0)
    at = [0, *(1 << k for k in range(longest.bit_length() + 1))]
    labels = [np.searchsorted(at, np.arange(len(text)), side="right") - 1 for text in texts]
    return by_label(texts, labels, [(first, after - 1) for first, after in pairwise(at)])


def by_sentence(texts: Sequence[TextScores], documents: Mapping[str, str]) -> dict[int, Figures]:
    """Return figures by number of the sentence, from 1; the last number stands for all later ones
    too. `documents`: text_id -> text.
    """
    labels = []
    for text in texts:
        numbers = sentence_numbers(_document(documents, text), text.starts, text.ends)
        labels.append(np.minimum(numbers, _MOST_SENTENCES - 1))
    return by_label(texts, labels, range(1, _MOST_SENTENCES + 1))


def by_kind(texts: Sequence[TextScores], documents: Mapping[str, str]) -> dict[str, Figures]:
    """Return figures by class of token (`token_kinds`). `documents`: text_id -> text."""
    return by_label(
        texts, [kinds(_document(documents, text), text.starts, text.ends) for text in texts], KINDS
    )


def _document(documents: Mapping[str, str], text: TextScores) -> str:
    if text.text_id not in documents:
        raise BadInput(_DOING, f"no text {text.text_id!r}", f"{len(documents)} texts are given")
    document = documents[text.text_id]
    if len(text) and int(text.ends.max()) > len(document):
        found = f"a token of {text.text_id!r} ends at character {int(text.ends.max())}"
        fine = f"the text has {len(document)}"
        raise BadInput(_DOING, found, fine, "Is it the one that was scored?")
    return document


def by_label(
    texts: Sequence[TextScores], labels: Sequence[NDArray[Any]], keys: Sequence[Key]
) -> dict[Key, Figures]:
    """Return figures of tokens in groups: `labels` are (T,) places in `keys`, one array per text;
    what is no place there is left out.

    Groups without a token are left out too.
    """
    for text, label in zip(texts, labels, strict=True):
        if len(text) != len(label):
            doing = f"groups of tokens in text {text.text_id!r}"
            raise BadInput(doing, f"{len(label)} labels", f"{len(text)} tokens")
    group = _joined(labels, np.int64)
    inside = (group >= 0) & (group < len(keys))
    owner = np.repeat(np.arange(len(texts)), [len(text) for text in texts])
    cell = (owner * len(keys) + group)[inside]
    columns = (
        _joined([text.nll_nats for text in texts]),
        np.ones(len(group)),
        _joined([text.correct for text in texts]),
    )
    size = len(texts) * len(keys)
    counts = [np.bincount(cell, column[inside], minlength=size) for column in columns]
    sums: Floats = np.stack(counts, axis=-1)
    figures = figures_of(sums.reshape(len(texts), len(keys), 3))
    return {key: one for key, one in zip(keys, figures, strict=True) if one.tokens}


def _joined(columns: Sequence[NDArray[Any]], kind: Any = np.float64) -> NDArray[Any]:
    return np.concatenate([np.empty(0, kind), *(np.asarray(column, kind) for column in columns)])


# ---- single tokens


class Token(NamedTuple):
    """`position` counts the scored tokens of the text from 0."""

    text_id: str
    position: int
    token_id: int
    start: int
    end: int
    nll_nats: float
    correct: bool


class TokenGain(NamedTuple):
    """What a token cost one model, and how many nats less it cost the other."""

    token: Token
    gain_nats: float


def hardest(texts: Sequence[TextScores], count: int) -> list[Token]:
    """Return the tokens that cost most; of equals the first."""
    return [_token(texts, *place) for place in _largest([text.nll_nats for text in texts], count)]


def largest_gains(
    model: Sequence[TextScores], better: Sequence[TextScores], count: int
) -> list[TokenGain]:
    """Return the tokens that cost `better` least in comparison; swap the two for those that cost it
    more.
    """
    pairs = list(same_tokens("gains by token", model, better))
    gains = [np.subtract(a.nll_nats, b.nll_nats, dtype=np.float64) for a, b in pairs]
    places = [(i, at) for i, at in _largest(gains, count) if gains[i][at] > 0]
    return [TokenGain(_token(model, i, at), float(gains[i][at])) for i, at in places]


def _largest(columns: Sequence[NDArray[Any]], count: int) -> list[tuple[int, int]]:
    """Return (which column, where in it) of the largest values, the largest first."""
    values, firsts = _joined(columns), np.cumsum([0, *map(len, columns)])
    count = min(count, len(values))
    if count <= 0:
        return []
    least = np.partition(values, len(values) - count)[len(values) - count]
    above, equal = np.flatnonzero(values > least), np.flatnonzero(values == least)
    chosen = np.concatenate([above, equal[: count - len(above)]])
    chosen = chosen[np.lexsort((chosen, -values[chosen]))]
    which = np.searchsorted(firsts, chosen, side="right") - 1
    return [(int(i), int(at - firsts[i])) for i, at in zip(which, chosen, strict=True)]


def _token(texts: Sequence[TextScores], i: int, at: int) -> Token:
    text = texts[i]
    where = int(text.token_ids[at]), int(text.starts[at]), int(text.ends[at])
    return Token(text.text_id, at, *where, float(text.nll_nats[at]), bool(text.correct[at]))
