"""What may a request ask beyond the most likely token each time? And when is its answer over?"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from harness.kernel.types import Finish
from sut.engine.batching import NOT_FINITE, Request

_SEEDS = 2**64
_LEAST_TEMPERATURE = 1e-5  # below it the draw is certain, and the division no number


@dataclass(frozen=True, slots=True)
class Wanted:
    """The settings of a request; these defaults are greedy.

    `ends` are the ids that end its answer, after `min_tokens` others: before that they cannot come.
    """

    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0  # 0 or below: all
    seed: int | None = None
    logit_bias: Mapping[int, float] = field(default_factory=dict)
    repetition_penalty: float = 1.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    logprobs: int | None = None
    ends: Collection[int] = frozenset()
    min_tokens: int = 0

    @property
    def is_greedy(self) -> bool:
        return self.temperature < _LEAST_TEMPERATURE

    @property
    def is_cut(self) -> bool:
        """Are some tokens left out of the draw?"""
        return self.top_p < 1.0 or self.top_k > 0

    @property
    def penalises(self) -> bool:
        return bool(
            self.repetition_penalty != 1.0 or self.presence_penalty or self.frequency_penalty
        )

    @property
    def is_plain(self) -> bool:
        """Is the answer what the greedy answer would be, but for its end?"""
        return self.is_greedy and not self.penalises and not self.logit_bias


class Asking(Request):
    """A request with settings of its own."""

    __slots__ = ("is_broken", "random", "wanted")

    def __init__(
        self, sample_id: int, prompt_ids: Sequence[int], max_new_tokens: int, wanted: Wanted
    ) -> None:
        super().__init__(sample_id, prompt_ids, max_new_tokens)
        self.wanted = wanted
        seed = None if wanted.seed is None else wanted.seed % _SEEDS  # numpy takes none below 0
        self.random = None if wanted.is_greedy else np.random.default_rng(seed)
        self.is_broken = False  # its logits were no numbers

    @property
    def may_end(self) -> bool:
        return len(self.ids) >= self.wanted.min_tokens

    @property
    def may_end_next(self) -> bool:
        """The same of the token after those that the device has been asked for."""
        return self.launched >= self.wanted.min_tokens

    @property
    def may_ask(self) -> bool:
        """Is there more to do for the next of these than to take the most likely one?"""
        wanted = self.wanted
        is_more = not wanted.is_plain or wanted.logprobs is not None
        return is_more or (bool(wanted.ends) and not self.may_end_next)

    def finish(self, eos_ids: Collection[int]) -> Finish | None:
        """Say how the answer has ended; None while it goes on."""
        if self.is_broken:
            return "error"
        came, last = len(self.ids), self.ids[-1] if self.ids else NOT_FINITE
        if last in self.wanted.ends and came > self.wanted.min_tokens:
            return "eos" if last in eos_ids else "stop"
        if came and self.stops_here():
            return "stop"
        return "length" if came >= self.max_new_tokens else None

    def asks(self, token: int) -> bool:
        """Is there more to do than to take `token`, the most likely one?"""
        if token == NOT_FINITE:
            return False
        if not self.wanted.is_plain or self.wanted.logprobs is not None:
            return True
        return not self.may_end and token in self.wanted.ends

    def take(self, token: int) -> None:
        """Append the next token. Logits that are no numbers break this request, not the others."""
        if token == NOT_FINITE:
            self.is_broken, token = True, 0
        self.ids.append(token)
