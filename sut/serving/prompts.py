"""How likely did the model find the tokens of a prompt? Scored as `harness perplexity` scores a
text, so that the figures are the same (`sut.likelihood.scoring`).

A prompt is scored whole, in a pass that takes no row of the cache, together with others while they
fit its budget; between two steps of the engine there is one such pass. Who wants no more than the
most likely token after it has that from the same pass.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch

from harness.kernel.errors import RunBroke
from sut.engine.sampling.engines import own_tokens
from sut.engine.sampling.thoughts import Thought, thoughts
from sut.engine.sampling.wanted import Asking
from sut.likelihood.forward.batch import Span
from sut.likelihood.forward.output_layer import OutputLayer
from sut.likelihood.scoring import Settings, Text, by_text, walk

_BATCH_TOKENS = 2048  # padding included
_TO_COME = 0  # stands for the token after the prompt, which nobody feeds


class Wish(NamedTuple):
    """So many of the most likely tokens are wanted beside those of the prompt."""

    request: Asking
    beside: int

    @property
    def length(self) -> int:
        return len(self.request.prompt_ids)

    @property
    def ends_here(self) -> bool:
        """Is nothing wanted that another pass would have to say?"""
        request = self.request
        return request.max_new_tokens == 0 or (
            request.max_new_tokens == 1 and request.wanted.is_plain
        )


class Told(NamedTuple):
    """What became of a wish. `prompt` is None where the logits were no numbers."""

    request: Asking
    prompt: list[Thought] | None
    following: Thought | None = None  # the token after it, where that ends here
    ends_here: bool = True


class PromptScorer:
    """Prompts wait in order; no text is longer than `max_len`."""

    def __init__(self, model: Any, layer: OutputLayer, max_len: int) -> None:
        self._model, self._layer = model, layer
        alone = layer.changes_beside(max_len)  # then each prompt is scored by itself
        self._settings = Settings(context=max_len, batch_tokens=1 if alone else _BATCH_TOKENS)
        self._waiting: deque[Wish] = deque()

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, wish: Wish) -> None:
        self._waiting.append(wish)

    def drop(self, request: Asking) -> None:
        """Give a request up that waits here; others are nobody's concern."""
        self._waiting = deque(wish for wish in self._waiting if wish.request is not request)

    def score(self, begins: Callable[[int], None]) -> list[Told]:
        """Score those that fit one pass; `begins` hears their ids first."""
        wishes = self._admit()
        for wish in wishes:
            begins(wish.request.sample_id)
        try:
            return self._scored(wishes)
        except RunBroke:  # logits that are no numbers
            if len(wishes) == 1:
                return [Told(wishes[0].request, None)]
            return [told for wish in wishes for told in self._alone(wish)]

    def _alone(self, wish: Wish) -> list[Told]:
        try:
            return self._scored([wish])
        except RunBroke:
            return [Told(wish.request, None)]

    def _admit(self) -> list[Wish]:
        joining = [self._waiting.popleft()]
        longest = joining[0].length
        while self._waiting:
            longest = max(longest, self._waiting[0].length)
            if longest * (len(joining) + 1) > (self._settings.batch_tokens or 0):
                break
            joining.append(self._waiting.popleft())
        return joining

    def _scored(self, wishes: Sequence[Wish]) -> list[Told]:
        found: list[dict[int, Thought]] = [{} for _ in wishes]  # by position

        def of_one(
            span: Span, targets: torch.Tensor, log_probs: torch.Tensor
        ) -> Mapping[str, torch.Tensor]:
            wish, came = wishes[span.text], targets
            counts = [wish.beside] * len(targets)
            if span.first + span.number > wish.length:  # the last row says what follows
                came = targets.clone()
                came[-1] = own_tokens(log_probs[-1:], [wish.request])[0] if wish.ends_here else 0
                counts[-1] = wish.request.wanted.logprobs or 0
            found[span.text] |= enumerate(thoughts(log_probs, came, counts), span.first)
            return {"tokens": came}

        texts = [Text([*wish.request.prompt_ids, _TO_COME]) for wish in wishes]
        for _ in walk((self._model,), texts, by_text(of_one), self._settings, [self._layer]):
            pass
        return [_told(wish, [*own.values()]) for wish, own in zip(wishes, found, strict=True)]


def _told(wish: Wish, found: list[Thought]) -> Told:
    *prompt, following = found
    wants_token = wish.ends_here and wish.request.max_new_tokens > 0
    return Told(wish.request, prompt, following if wants_token else None, wish.ends_here)
