"""Which model predicts the same texts better, and what is a context worth? Two models' scores in,
paired differences out.

Per token only models of one tokenizer compare (`perplexity` says why); `perplexity_ranking` puts
several in order.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from accuracy.likelihood.figures import Figures, TextScores, corpus, in_bits, sums_of
from accuracy.resampling import (
    NOTHING,
    Estimate,
    divided,
    exp,
    interval,
    negative,
    ratio,
    resampled,
)
from harness.kernel.errors import BadInput


@dataclass(frozen=True, slots=True)
class Difference:
    """Ours less theirs, on the same texts. Per token only if both cut them into the same tokens."""

    texts: int
    loss_nats: Estimate
    perplexity_ratio: Estimate  # ours / theirs
    accuracy: Estimate
    bits_per_byte: Estimate


def difference(ours: Sequence[TextScores], theirs: Sequence[TextScores]) -> Difference:
    """Paired: a draw takes a text for both. A text without a scored token on one side is left out
    on both.
    """
    pairs = [(a, b) for a, b in same_texts("a difference", ours, theirs) if len(a) and len(b)]
    n = len(pairs)
    sums = np.concatenate([sums_of([a for a, _ in pairs]), sums_of([b for _, b in pairs])], axis=1)
    draws, total = resampled(sums), sums.sum(axis=0)

    def less(over: int, under: int) -> Estimate:
        if not (total[under] > 0 and total[4 + under] > 0):
            return NOTHING
        value = float(total[over] / total[under] - total[4 + over] / total[4 + under])
        drawn = divided(draws[:, over], draws[:, under]) - divided(
            draws[:, 4 + over], draws[:, 4 + under]
        )
        return interval(value, drawn, n)

    same = all(_first_unlike(a, b) is None for a, b in pairs)
    loss, accuracy = (less(0, 1), less(2, 1)) if same else (NOTHING, NOTHING)
    return Difference(n, loss, Estimate(*(exp(end) for end in loss)), accuracy, in_bits(less(0, 3)))


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
    """Both must have scored the same tokens at the same places."""
    pairs = list(same_tokens("the gain from a context", base, conditioned))
    a, b = [first for first, _ in pairs], [second for _, second in pairs]
    change = difference(b, a)
    rows = [
        (float((second.nll_nats < first.nll_nats).sum()), len(first))
        for first, second in pairs
        if len(first)
    ]
    helped = np.array(rows, np.float64).reshape(len(rows), 2)
    draws, total = resampled(helped), helped.sum(axis=0)
    return Gain(
        base=corpus(a),
        conditioned=corpus(b),
        loss_nats=negative(change.loss_nats),
        perplexity_ratio=change.perplexity_ratio,
        tokens_helped=ratio(total[0], total[1], draws[:, 0], draws[:, 1], len(rows)),
    )


# ---- many models


class Comparable(NamedTuple):
    """`groups`: models of one tokenizer each. Per token only within a group; bits per byte
    always.
    """

    per_token: bool
    groups: list[list[str]]
    why: str


def comparable(tokenizers: Mapping[str, str]) -> Comparable:
    """`tokenizers`: model -> fingerprint of its tokenizer."""
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
    """Pairs by id, in our order."""
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
    """Pairs by id that have the same tokens at the same characters."""
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
