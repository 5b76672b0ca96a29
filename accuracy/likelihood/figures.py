"""How well does a model predict texts? What every token cost it comes in; perplexity and its kin
come out, with intervals.

    loss            mean negative log likelihood of a token, in nats: every token weighs the same,
                    whichever text it is in
    perplexity      exp(loss), of the corpus; those of single texts and their means are
                    `perplexity_spread`, another thing
    bits per byte   all the nats / ln 2 / the UTF-8 bytes that the scored tokens stand for
    accuracy        share of the tokens that the model would have chosen itself

A token is a unit of the tokenizer's making. A model with longer tokens has fewer and harder guesses
in the same text, and a higher perplexity for the same knowledge; bytes are the same for all.
Intervals (`resampling`) are over texts.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from accuracy.resampling import NOTHING, Estimate, Floats, exp, ratio, resampled
from harness.kernel.errors import BadInput

_COLUMNS = 256  # sums that are resampled at once


@dataclass(frozen=True, slots=True, eq=False)
class TextScores:
    """One text under one model: its T scored tokens, in order.

    A first token that nothing predicts (no BOS) is not scored, and its bytes do not count.
    """

    text_id: str
    category: str
    token_ids: NDArray[np.int32]  # (T,)
    starts: NDArray[np.int32]  # (T,) where the token stands in the text, in characters
    ends: NDArray[np.int32]  # (T,)
    nll_nats: NDArray[np.float32]  # (T,)
    correct: NDArray[np.bool_]  # (T,) the model would have chosen this token itself
    num_bytes: int  # that the scored tokens stand for

    def __post_init__(self) -> None:
        lengths = {
            name: len(getattr(self, name))
            for name in ("token_ids", "starts", "ends", "nll_nats", "correct")
        }
        if len(set(lengths.values())) != 1:
            found = ", ".join(f"{n} {name}" for name, n in lengths.items())
            raise BadInput(f"scores of text {self.text_id!r}", found, "as many of each")
        if len(broken := np.flatnonzero(~np.isfinite(self.nll_nats))):
            found = f"{float(self.nll_nats[broken[0]])} nats at token {int(broken[0])}"
            raise BadInput(
                f"scores of text {self.text_id!r}",
                found,
                "a finite number",
                "The model's logits are broken there.",
            )

    def __len__(self) -> int:
        return len(self.token_ids)


@dataclass(frozen=True, slots=True)
class Figures:
    """Of some tokens. A perplexity beyond 1e308 is infinite; bits per byte are for whole texts
    only.
    """

    texts: int  # that have such a token
    tokens: int
    bytes: int | None
    loss_nats: Estimate
    perplexity: Estimate
    bits_per_byte: Estimate
    accuracy: Estimate


def corpus(texts: Sequence[TextScores]) -> Figures:
    """Return the figures of all tokens of all texts."""
    return figures_of(sums_of(texts)[:, None])[0]


def sums_of(texts: Sequence[TextScores]) -> Floats:
    """Return (n, 4): nats, tokens, correct tokens, bytes of each text."""
    rows = [
        (text.nll_nats.sum(dtype=np.float64), len(text), text.correct.sum(), text.num_bytes)
        for text in texts
    ]
    return np.array(rows, np.float64).reshape(len(texts), 4)


def figures_of(sums: Floats) -> list[Figures]:
    """Return K figures of the sums (n, K, 4) of n texts in K groups; 3 without the bytes."""
    _, num_groups, width = sums.shape
    drawn_from = sums[sums[:, :, 1].any(axis=1)]
    found = []
    step = max(1, _COLUMNS // width)
    for first in range(0, num_groups, step):
        part = drawn_from[:, first : first + step]
        size = part.shape[1]
        draws = resampled(part.reshape(len(part), size * width)).reshape(-1, size, width)
        found += [_group(part[:, k], draws[:, k]) for k in range(size)]
    return found


def _group(sums: Floats, draws: Floats) -> Figures:
    n, total = int((sums[:, 1] > 0).sum()), sums.sum(axis=0)
    loss = ratio(total[0], total[1], draws[:, 0], draws[:, 1], n)
    whole = sums.shape[1] == 4
    bits = NOTHING
    if whole:
        bits = in_bits(ratio(total[0], total[3], draws[:, 0], draws[:, 3], n))
    return Figures(
        texts=n,
        tokens=int(total[1]),
        bytes=int(total[3]) if whole else None,
        loss_nats=loss,
        perplexity=loss.map(exp),
        bits_per_byte=bits,
        accuracy=ratio(total[2], total[1], draws[:, 2], draws[:, 1], n),
    )


def in_bits(nats: Estimate) -> Estimate:
    """Return an estimate in bits."""
    return nats.map(lambda end: end / math.log(2))
