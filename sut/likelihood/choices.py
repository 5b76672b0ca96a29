"""How likely is each of several given continuations of a prompt? Sums over the continuation's
tokens, as lm-eval's `loglikelihood` has them.

Continuations of one prompt that differ in their last token alone (the letters of MMLU) come out of
one pass: the logits that predict that token tell of all of them. Others take a pass each, prompt
included, so four long answers to a question cost four times its prompt.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch

from sut.likelihood.answers import Loaded
from sut.likelihood.forward.batch import Span
from sut.likelihood.forward.output_layer import side_by_side
from sut.likelihood.scoring import Columns, Settings, Text, at, by_text, walk
from sut.prompts.continuing import Pair, continued
from sut.prompts.encode import Encoder
from sut.prompts.vocabulary import check_ids

Row = tuple[int, list[float], list[int]]  # index, nll (nats) and tokens of each continuation
_NEVER = math.inf  # of what the model cannot be asked


class Comparison:
    """Answers for the samples of one load. What it finds out about the model is kept."""

    def __init__(self, of: Loaded) -> None:
        self._of = of
        self._encoder = Encoder(of.tokenizer)
        self._samples = {sample.index: sample for sample in of.samples}
        self._layers = side_by_side([of.model])

    def rows(
        self, asked: Sequence[tuple[int, Sequence[str]]], batch_tokens: int | None = None
    ) -> list[Row]:
        """Return a row for each (index of a sample, its continuations). What has no tokens, or does
        not fit the context, is infinitely unlikely. Raises SetupFailed for tokens that the model
        has no row for.
        """
        of = self._of
        indices = [index for index, _ in asked]
        named = [(self._samples[index], texts) for index, texts in asked]
        pairs = list(continued(self._encoder, named))
        for index, own in zip(indices, pairs, strict=True):
            for pair in own:
                check_ids(
                    f"a choice of sample {index}", pair.answer_ids, of.room.rows, of.tokenizer
                )
        settings = Settings(of.room.context, batch_tokens=batch_tokens)
        found = iter(self._losses([self._fitting(one) for own in pairs for one in own], settings))
        return [
            (index, [next(found) for _ in own], [len(pair.answer_ids) for pair in own])
            for index, own in zip(indices, pairs, strict=True)
        ]

    def _fitting(self, pair: Pair) -> Pair | None:
        """Return what the model is asked, its front cut where prompts may be cut; None where it
        cannot be asked.
        """
        room = self._of.room
        if not pair.answer_ids or not pair.prompt_ids:
            return None
        if room.context is None or pair.length - 1 <= room.context:
            return pair
        kept = room.context + 1 - len(pair.answer_ids)
        if room.truncate and kept > 0:
            return Pair(pair.prompt_ids[-kept:], pair.answer_ids)
        return None

    def _losses(self, pairs: Sequence[Pair | None], settings: Settings) -> list[float]:
        """Return the negative log likelihood of each, in nats."""
        groups = _groups(pairs)
        texts = [Text([*one.ids, one.last[0]], one.first) for one in groups]
        losses = [_NEVER] * len(pairs)
        measure = by_text(_LastTokens([one.last for one in groups]))
        for i, columns in walk((self._of.model,), texts, measure, settings, self._layers):
            for place, nll_nats in groups[i].losses(columns):
                losses[place] = nll_nats
        return losses


class _Group(NamedTuple):
    """Pairs that are the same but for their last token: all other ids, where the answer begins,
    the last tokens, and the places of the pairs.
    """

    ids: Sequence[int]
    first: int
    last: list[int]
    places: list[int]

    def losses(self, columns: Columns) -> Iterator[tuple[int, float]]:
        """Yield each place and its loss."""
        before = columns["own"][:-1].sum(dtype=np.float64)
        for column, place in enumerate(self.places):
            yield place, float(before + columns["last"][-1, column])


def _groups(pairs: Sequence[Pair | None]) -> list[_Group]:
    found: dict[tuple[tuple[int, ...], int], _Group] = {}
    for place, pair in enumerate(pairs):
        if pair is None:
            continue
        *ids, last = (*pair.prompt_ids, *pair.answer_ids)
        first = len(pair.prompt_ids)
        group = found.setdefault((tuple(ids), first), _Group(ids, first, [], []))
        group.last.append(last)
        group.places.append(place)
    return list(found.values())


class _LastTokens:
    """A measure: the loss of each token that came, and those of the tokens that a group ends
    with.
    """

    def __init__(self, last: Sequence[Sequence[int]]) -> None:
        width = max(map(len, last), default=0)
        padded = [[*ids, *[0] * (width - len(ids))] for ids in last]
        self._last = torch.tensor(padded)  # (texts, width)

    def __call__(
        self, span: Span, targets: torch.Tensor, log_probs: torch.Tensor
    ) -> Mapping[str, torch.Tensor]:
        self._last = self._last.to(log_probs.device)
        ids = self._last[span.text].expand(len(targets), -1)
        return {"own": -at(log_probs, targets), "last": -log_probs.gather(-1, ids)}
