"""How far does a variant's distribution over the next token lie from its reference's? KL(reference
|| variant) per position.

    record    the reference's distributions, one text at a time, compactly
    compare   a variant beside what was recorded: the models need not be in memory together
    exact     both models in one process, the whole vocabulary, nothing left out

What is recorded of a position: the `k` likeliest tokens with their log-probabilities, the mass P of
all others (the tail), and some tokens of the tail, drawn in proportion to their probability. With
512 and 32 of 49,152 tokens this takes 1.7 % of float32 logits; both numbers are smaller where that
would be more than `SHARE`. A vocabulary of up to `_WHOLE` tokens is recorded whole and compared
exactly. (Log-probabilities are float32: the rounding of float16, 0.4 % of a probability, would
stand in the way of small figures: bfloat16 is about 0.001 nats from fp32.)

KL splits into the kept tokens, the tail as if it were one token, and what happens inside the tail:

    KL = sum over kept of p ln(p/q)  +  P ln(P/Q)  +  P KL(p/P || q/Q inside the tail)

`kld_low` leaves the last term out. By the log-sum inequality that term is never negative, so this
is a lower bound. `kld` estimates it from the drawn tokens as the mean of ln r - 1 + 1/r, r = (p/P)
/ (q/Q): its expectation over the tail is the term itself (that of 1/r is 1), and no draw is
negative. It errs by chance, not to one side; `kld_error` says how far. `kld_high` uses that no
token of the tail has more than the least of the kept probabilities, p_k, nor less in the variant
than the variant's smallest, q_min: sum over the tail of p ln(p/q) <= P (ln p_k - ln q_min). It
holds always, and is wide.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from harness.kernel import files
from harness.kernel.errors import BadInput
from harness.kernel.foreign.arrays import read_arrays
from sut.engine.choice import first_choice
from sut.likelihood.forward.batch import Span
from sut.likelihood.forward.transfer import from_array
from sut.likelihood.scoring import DEFAULTS, Rows, Settings, Text, at, by_text, walk

SHARE = 0.02  # of float32 logits, at most
_KEPT, _DRAWN, _WHOLE = 512, 32, 1024
_OTHER_BYTES = 16  # a position's target, loss, first choice and tail
_DRAWN_SHARE = 1 / 8  # of the tokens, at most
_GOLDEN = 0.6180339887498949  # its multiples are spread evenly over [0, 1)


@dataclass(frozen=True, slots=True)
class Distributions:
    """The reference's, for the T scored tokens of one text. `tail` is the mass outside `ids`: 0 if
    that is everything.
    """

    vocabulary: int
    targets: NDArray[np.int32]  # (T,) the tokens that came
    nll_nats: NDArray[np.float32]  # (T,)
    top: NDArray[np.int32]  # (T,) the first choice
    ids: NDArray[Any]  # (T, k), the likeliest first
    log_probs: NDArray[np.float32]  # (T, k)
    tail: NDArray[np.float32]  # (T,)
    drawn_ids: NDArray[Any]  # (T, m)
    drawn_log_probs: NDArray[np.float32]  # (T, m)


_ARRAYS = [field.name for field in fields(Distributions) if field.name != "vocabulary"]


class Divergence(NamedTuple):
    """Of one text's T scored tokens: KL and losses in nats, if both have one first choice, if the
    variant's is right.
    """

    kld: NDArray[np.float64]
    kld_low: NDArray[np.float64]
    kld_high: NDArray[np.float64]
    kld_error: NDArray[np.float64]  # the standard error of its estimate
    nll_reference: NDArray[np.float32]
    nll_variant: NDArray[np.float32]
    same_top: NDArray[np.bool_]
    correct: NDArray[np.bool_]


def record(
    model: Any,
    texts: Sequence[Text],
    settings: Settings = DEFAULTS,
    top_k: int | None = None,
) -> Iterator[tuple[int, Distributions]]:
    """Yield (index of a text, its distributions) as the texts are done; see `scoring.token_scores`.

    `top_k` likeliest tokens of a position are kept, or as many as `SHARE` allows.
    """
    vocabulary = 0

    def measure(
        rows: Rows, targets: torch.Tensor, log_probs: torch.Tensor
    ) -> Mapping[str, torch.Tensor]:
        nonlocal vocabulary
        vocabulary = log_probs.shape[-1]
        return _recorded(rows.positions, targets, log_probs, top_k)

    for text, columns in walk((model,), texts, measure, settings):
        kinds = {"targets": np.int32, "top": np.int32} | dict.fromkeys(
            ("ids", "drawn_ids"), _id_type(vocabulary)
        )
        arrays = {
            name: column.astype(kinds.get(name, np.float32)) for name, column in columns.items()
        }
        yield text, Distributions(vocabulary=vocabulary, **arrays)


def compare(
    model: Any,
    texts: Sequence[Text],
    reference: Callable[[int], Distributions],
    settings: Settings = DEFAULTS,
) -> Iterator[tuple[int, Divergence]]:
    """Yield (index of a text, its divergence). `reference(index of a text)` is what was recorded of
    it: a list's `__getitem__`, or something that loads it.

    Raises BadInput where that is of other tokens or another vocabulary.
    """
    known = lru_cache(maxsize=2)(reference)  # a text's rows come together

    def of_one(
        span: Span, targets: torch.Tensor, log_probs: torch.Tensor
    ) -> Mapping[str, torch.Tensor]:
        text, kept = texts[span.text], known(span.text)
        _check_same(text, f"text {text.name or span.text}", kept, log_probs.shape[-1])
        start = span.first - text.first
        return _compared(kept, slice(start, start + span.number), targets, log_probs)

    for text, columns in walk((model,), texts, by_text(of_one), settings):
        yield text, Divergence(**columns)


def exact(
    reference: Any,
    variant: Any,
    texts: Sequence[Text],
    settings: Settings = DEFAULTS,
) -> Iterator[tuple[int, Divergence]]:
    for text, columns in walk((reference, variant), texts, _exactly, settings):
        yield text, Divergence(**columns)


# ---- the reference's


def recorded_tokens(vocabulary: int, top_k: int | None = None) -> tuple[int, int]:
    """Return how many tokens of a position are kept, and how many are drawn from the rest."""
    if top_k is not None:
        kept = min(top_k, vocabulary)
        return kept, min(_DRAWN, vocabulary - kept)
    if vocabulary <= _WHOLE:
        return vocabulary, 0
    count = (int(SHARE * 4 * vocabulary) - _OTHER_BYTES) // (_id_type(vocabulary).itemsize + 4)
    drawn = min(_DRAWN, int(count * _DRAWN_SHARE))
    return min(_KEPT, count - drawn), drawn


def _id_type(vocabulary: int) -> np.dtype[Any]:
    return np.dtype(np.uint16 if vocabulary <= 2**16 else np.uint32)


def _recorded(
    positions: torch.Tensor,
    targets: torch.Tensor,
    log_probs: torch.Tensor,
    top_k: int | None = None,
) -> dict[str, torch.Tensor]:
    kept, drawn = recorded_tokens(log_probs.shape[-1], top_k)
    top, ids = log_probs.topk(kept)
    others = log_probs.exp().scatter_(-1, ids, 0.0)
    drawn_ids = _drawn(others, positions, drawn)
    return {
        "targets": targets,
        "nll_nats": -at(log_probs, targets),
        "top": first_choice(log_probs),
        "ids": ids,
        "log_probs": top,
        "tail": others.sum(-1),
        "drawn_ids": drawn_ids,
        "drawn_log_probs": log_probs.gather(-1, drawn_ids),
    }


def _drawn(masses: torch.Tensor, positions: torch.Tensor, count: int) -> torch.Tensor:
    """Draw `count` ids per row, in proportion to their masses: evenly spaced along the sum, from
    where the position says.
    """
    sums = masses.cumsum(-1, dtype=torch.float64)
    columns = torch.arange(count, device=masses.device, dtype=torch.float64)
    shares = ((positions.double() * _GOLDEN).frac()[:, None] + columns) / max(1, count)
    return torch.searchsorted(sums, shares * sums[:, -1:], right=True).clamp_(
        max=masses.shape[-1] - 1
    )


# ---- beside it


def _compared(
    kept: Distributions, rows: slice, targets: torch.Tensor, log_q: torch.Tensor
) -> dict[str, torch.Tensor]:
    ids, log_p = _on(log_q, kept.ids[rows]), _on(log_q, kept.log_probs[rows]).double()
    tail = _on(log_q, kept.tail[rows]).double()
    log_p += ((1 - tail).log() - log_p.logsumexp(-1))[:, None]  # with the tail they sum to 1
    log_rest = log_q.scatter(-1, ids, -torch.inf).logsumexp(-1).double()  # the variant's mass there
    among_kept = bregman(log_p, log_q.gather(-1, ids).double())
    low = (among_kept + bregman(tail.log()[:, None], log_rest[:, None])).clamp(min=0)
    high = among_kept + log_rest.exp() - tail + tail * (log_p.amin(-1) - log_q.amin(-1))
    choice = first_choice(log_q)
    inside, error = _inside(tail.log() - log_rest, kept, rows, log_q)
    return {
        "kld": low + torch.where(tail > 0, tail * inside, 0.0),
        "kld_low": low,
        "kld_high": torch.where(tail > 0, torch.maximum(low, high), low),
        "kld_error": torch.where(tail > 0, tail * error, 0.0),
        "nll_reference": _on(log_q, kept.nll_nats[rows]),
        "nll_variant": -at(log_q, targets),
        "same_top": choice == _on(log_q, kept.top[rows]),
        "correct": choice == targets,
    }


def _inside(
    log_tails: torch.Tensor, kept: Distributions, rows: slice, log_q: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return KL inside the tail, from the tokens that were drawn of it, and its standard error;
    `log_tails` is ln(P/Q).
    """
    ids, log_p = _on(log_q, kept.drawn_ids[rows]), _on(log_q, kept.drawn_log_probs[rows]).double()
    count = ids.shape[-1]
    if count < 2:
        return torch.zeros_like(log_tails), torch.zeros_like(log_tails)
    log_ratio = log_p - log_q.gather(-1, ids) - log_tails[:, None]
    each = log_ratio - 1 + (-log_ratio).exp()
    return each.mean(-1), each.std(-1) / math.sqrt(count)


def bregman(log_p: torch.Tensor, log_q: torch.Tensor) -> torch.Tensor:
    """Return, of (n, V) each, the sum of p ln(p/q) - p + q: KL where both sum to the same, and
    blind to small errors in the sums.
    """
    p = log_p.exp()
    return (torch.where(p > 0, p * (log_p - log_q), 0.0) - p + log_q.exp()).sum(-1)


def _exactly(
    _: Rows, targets: torch.Tensor, log_p: torch.Tensor, log_q: torch.Tensor
) -> dict[str, torch.Tensor]:
    kld, choice = bregman(log_p.double(), log_q.double()).clamp(min=0), first_choice(log_q)
    return {
        "kld": kld,
        "kld_low": kld,
        "kld_high": kld,
        "kld_error": torch.zeros_like(kld),
        "nll_reference": -at(log_p, targets),
        "nll_variant": -at(log_q, targets),
        "same_top": first_choice(log_p) == choice,
        "correct": choice == targets,
    }


def _on(like: torch.Tensor, array: NDArray[Any]) -> torch.Tensor:
    return from_array(array, like.device)


def _check_same(text: Text, name: str, kept: Distributions, vocabulary: int) -> None:
    fine = "variants are compared on the reference's own tokens"
    todo = "Use the reference's tokenizer, or record the reference again."
    if vocabulary != kept.vocabulary:
        found = (
            f"the variant knows {vocabulary:,} tokens, the recorded reference {kept.vocabulary:,}"
        )
        raise BadInput(name, found, fine, todo)
    if not np.array_equal(kept.targets, text.ids[text.first :]):
        raise BadInput(name, "its tokens are not those that were recorded", fine, todo)


# ---- files


def save(path: Path, distributions: Distributions) -> None:
    """Save one text's, as .npz: whole, or not there at all."""
    with files.replacing(path) as file:
        np.savez(
            file,
            vocabulary=distributions.vocabulary,
            **{name: getattr(distributions, name) for name in _ARRAYS},
        )


def load(path: Path) -> Distributions:
    """Load one text's. Raises BadInput for a file that is damaged or something else."""
    try:
        arrays = read_arrays(path)
        return Distributions(
            vocabulary=int(arrays["vocabulary"]), **{name: arrays[name] for name in _ARRAYS}
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        found = f"it cannot be read ({error})"
        raise BadInput(
            str(path), found, "the distributions of one text", "Delete it: it is recorded again."
        ) from error
