"""Which models can be compared, and what is a context worth? Scores of the same texts in, paired
differences out.

Per token only models of one tokenizer compare (`figures` says why); `ranking` puts several in
order.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from accuracy.likelihood.figures import Figures, TextScores, corpus
from accuracy.resampling import Estimate, exp, negative, ratio, resampled
from harness.kernel.errors import BadInput


@dataclass(frozen=True, slots=True)
class Gain:
    """What a context before the same tokens is worth: positive nats, and a ratio below 1, where it
    helps.
    """

    base: Figures
    conditioned: Figures
    loss_nats: Estimate
    perplexity_ratio: Estimate  # conditioned / base
    tokens_helped: Estimate  # share of the tokens that cost less


def gain(base: Sequence[TextScores], conditioned: Sequence[TextScores]) -> Gain:
    """Return what the context is worth. Both must have scored the same tokens at the same places;
    a draw takes a text for both.
    """
    pairs = list(same_tokens("the gain from a context", base, conditioned))
    sums = np.array([_change(a, b) for a, b in pairs if len(a)], np.float64).reshape(-1, 3)
    (nats, helped, tokens), draws = sums.sum(axis=0), resampled(sums)
    change = ratio(nats, tokens, draws[:, 0], draws[:, 2], len(sums))
    return Gain(
        base=corpus([a for a, _ in pairs]),
        conditioned=corpus([b for _, b in pairs]),
        loss_nats=negative(change),
        perplexity_ratio=change.map(exp),
        tokens_helped=ratio(helped, tokens, draws[:, 1], draws[:, 2], len(sums)),
    )


def _change(base: TextScores, conditioned: TextScores) -> tuple[float, int, int]:
    """Return the nats that the context adds to a text, the tokens that it helps, and all tokens."""
    nats = conditioned.nll_nats.sum(dtype=np.float64) - base.nll_nats.sum(dtype=np.float64)
    helped = int((conditioned.nll_nats < base.nll_nats).sum())
    return float(nats), helped, len(base)


# ---- many models


class Comparable(NamedTuple):
    """`groups`: models of one tokenizer each. Per token only within a group; bits per byte
    always.
    """

    per_token: bool
    groups: list[list[str]]
    why: str


def comparable(tokenizers: Mapping[str, str]) -> Comparable:
    """Say whether figures per token compare. `tokenizers`: model -> its tokenizer's fingerprint."""
    groups: dict[str, list[str]] = {}
    for model, fingerprint in tokenizers.items():
        groups.setdefault(fingerprint, []).append(model)
    if len(groups) < 2:
        return Comparable(
            True, list(groups.values()), "All models cut the texts into the same tokens."
        )
    names = " | ".join(", ".join(models) for models in groups.values())
    why = (
        f"These models cut the same text into different tokens ({names}): with longer tokens there"
        " are fewer and harder guesses, and perplexity, loss and accuracy per token change though"
        " the model knows no more and no less. Bits per byte counts the same bytes for all, and"
        " alone compares them."
    )
    return Comparable(False, list(groups.values()), why)


# ---- what may be paired


def same_texts(
    doing: str, ours: Sequence[TextScores], theirs: Sequence[TextScores]
) -> Iterator[tuple[TextScores, TextScores]]:
    """Yield pairs by id, in our order."""
    others = {text.text_id: text for text in theirs}
    mine = {text.text_id for text in ours}
    if len(mine) < len(ours) or len(others) < len(theirs):
        raise BadInput(doing, "two texts of one id", "an id for each text")
    if unlike := sorted(mine ^ others.keys()):
        side = "first" if unlike[0] in mine else "second"
        raise BadInput(
            doing,
            f"{len(unlike)} texts on one side only, {unlike[0]!r} on the {side}",
            "the same texts",
        )
    yield from ((text, others[text.text_id]) for text in ours)


def same_tokens(
    doing: str, ours: Sequence[TextScores], theirs: Sequence[TextScores]
) -> Iterator[tuple[TextScores, TextScores]]:
    """Yield pairs by id that have the same tokens at the same characters."""
    for a, b in same_texts(doing, ours, theirs):
        if (at := _first_unlike(a, b)) is not None:
            found = (
                f"text {a.text_id!r} differs from scored token {at} on: {_where(a, at)} beside"
                f" {_where(b, at)}"
            )
            raise BadInput(doing, found, "the same tokens at the same characters")
        yield a, b


def _first_unlike(a: TextScores, b: TextScores) -> int | None:
    n = min(len(a), len(b))
    unlike = (
        (a.token_ids[:n] != b.token_ids[:n])
        | (a.starts[:n] != b.starts[:n])
        | (a.ends[:n] != b.ends[:n])
    )
    if unlike.any():
        return int(unlike.argmax())
    return None if len(a) == len(b) else n


def _where(text: TextScores, at: int) -> str:
    if at >= len(text):
        return "no token"
    return f"token {int(text.token_ids[at])} at {int(text.starts[at])}-{int(text.ends[at])}"
