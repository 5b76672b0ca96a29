"""How well does a model predict the reference answers after their prompts? Sums per answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from harness.kernel.types import Sample
from sut.likelihood.scoring import Settings, Text, token_scores
from sut.prompts.continuing import Pair
from sut.prompts.encode import Room
from sut.prompts.template import ChatTemplate
from sut.prompts.vocabulary import check_ids

_MARK = "answer"


class Loaded(NamedTuple):
    """A model that has samples to answer: their prompts' ids by index, and what it has room for."""

    model: Any
    tokenizer: Any
    samples: Sequence[Sample]
    prompt_ids: Mapping[int, Sequence[int]]
    room: Room
    eos_ids: frozenset[int]


class Score(NamedTuple):
    """Sums over the tokens of an answer: negative log likelihood in nats, how many the model would
    have chosen itself, and how many there are.
    """

    nll_nats: float = 0.0
    correct: int = 0
    tokens: int = 0


def evaluated(of: Loaded, answers: Sequence[tuple[int, str]]) -> dict[str, Any]:
    """Return the sums over answers, (index of a sample, text) each; see `evaluation`. Raises
    SetupFailed for one whose tokens the model has no row for.
    """
    end_ids = turn_end_ids(of.tokenizer, of.eos_ids)
    pairs = {}
    for index, text in answers:
        ids = answer_ids(of.tokenizer, text, end_ids)
        check_ids(f"the reference answer of sample {index}", ids, of.room.rows, of.tokenizer)
        pairs[index] = Pair(of.prompt_ids[index], ids)
    return evaluation(of.model, pairs, of.room.context)


def evaluation(model: Any, pairs: Mapping[int, Pair], context: int | None) -> dict[str, Any]:
    """Return the sums over all answers, by the index of their samples. An answer without tokens,
    or one that reaches beyond the context, is left out.
    """
    fitting = {i: pair for i, pair in pairs.items() if pair.answer_ids and pair.fits(context)}
    scores = dict(zip(fitting, score_pairs(model, list(fitting.values())), strict=True))
    return {
        "nll_nats": sum(score.nll_nats for score in scores.values()),
        "correct": sum(score.correct for score in scores.values()),
        "tokens": sum(score.tokens for score in scores.values()),
        "samples": len(fitting),
        "left_out": len(pairs) - len(fitting),
        "answers": [[index, score.nll_nats, score.tokens] for index, score in scores.items()],
    }


def score_pairs(model: Any, pairs: Sequence[Pair], batch_tokens: int | None = None) -> list[Score]:
    """Return one score per pair, in their order. No prompt may be empty."""
    texts = [Text([*pair.prompt_ids, *pair.answer_ids], len(pair.prompt_ids)) for pair in pairs]
    scores = [Score()] * len(pairs)
    for i, (nll_nats, correct) in token_scores(model, texts, Settings(batch_tokens=batch_tokens)):
        total = float(nll_nats.sum(dtype=np.float64))
        scores[i] = Score(total, int(correct.sum()), len(correct))
    return scores


def answer_ids(tokenizer: Any, answer: str, end_ids: Sequence[int]) -> list[int]:
    """Return the answer's ids and, where the chat template closes an assistant's turn with an end
    token, that token too.

    Whether a model knows when to stop is part of the answer.
    """
    ids: list[int] = tokenizer(answer, add_special_tokens=False)["input_ids"]
    return [*ids, *end_ids] if ids else []


def turn_end_ids(tokenizer: Any, eos_ids: frozenset[int]) -> list[int]:
    """Return the EOS that follows an assistant's words in the chat template; nothing without a
    template, or where none follows.
    """
    if tokenizer.chat_template is None:
        return []
    after = ChatTemplate(tokenizer).exchange("question", _MARK).rpartition(_MARK)[2]
    ids: list[int] = tokenizer(after, add_special_tokens=False)["input_ids"]
    return ids[:1] if ids and ids[0] in eos_ids else []
