"""How do requests with settings of their own share a batch with those that take the most likely
token? The choice is made for all rows at once, as ever; only rows that ask get more.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import torch

from harness.kernel.protocols import Sink
from harness.kernel.types import Finish
from sut.engine.batching import Engine, Request, StaticEngine
from sut.engine.choice import chosen, first_choice
from sut.engine.sampling.adjust import adjust
from sut.engine.sampling.draw import draw
from sut.engine.sampling.thoughts import Thought, thoughts
from sut.engine.sampling.wanted import Asking


class ThoughtSink(Sink, Protocol):
    def thought(self, sample_id: int, thought: Thought) -> None:
        """Hear of a token that `first_token` or `tokens` tells next."""
        ...

    def begins(self, sample_id: int) -> None:
        """Hear that a request waits no longer."""
        ...


class AskingEngine(Engine):
    """Takes `Asking` requests, whose ends are their own."""

    _sink: ThoughtSink
    _runner: Any  # a Chooser

    @torch.inference_mode()
    def _first_tokens(
        self, joining: Sequence[Request], pieces: Sequence[Sequence[int]], start: int
    ) -> list[int]:
        self._say_who_begins(joining)
        logits = self._runner.prefill_logits(len(self._running), pieces, start)
        return self._choice(logits, joining, are_whole(joining, pieces))

    def _say_who_begins(self, joining: Sequence[Request]) -> None:
        for request in joining:
            if request.fed == 0:
                self._sink.begins(request.sample_id)

    @torch.inference_mode()
    def _next_tokens(self, batch: Sequence[Request]) -> list[int]:
        logits = self._runner.decode_logits([r.ids[-1] for r in batch], [r.position for r in batch])
        return self._choice(logits, batch, self._are_heard(batch))

    def _are_heard(self, batch: Sequence[Request]) -> list[bool]:
        return [True] * len(batch)

    def _choice(
        self, logits: torch.Tensor, requests: Sequence[Any], is_heard: Sequence[bool]
    ) -> list[int]:
        """Return a token for each row of (n, V). Nobody hears of the others' tokens."""
        tokens = chosen(logits)
        asking = [
            i
            for i, (request, token) in enumerate(zip(requests, tokens, strict=True))
            if is_heard[i] and request.asks(token)
        ]
        if asking:
            own = logits[asking].float()  # a copy
            for i, token in zip(
                asking, self._own_choice(own, [requests[i] for i in asking]), strict=True
            ):
                tokens[i] = token
        return tokens

    def _own_choice(self, logits: torch.Tensor, requests: Sequence[Asking]) -> list[int]:
        tokens = own_tokens(logits, requests)
        told = [i for i, r in enumerate(requests) if r.wanted.logprobs is not None]
        if told:
            log_probs = logits[told].log_softmax(-1)
            came = torch.tensor([tokens[i] for i in told], device=logits.device)
            counts = [requests[i].wanted.logprobs or 0 for i in told]
            for i, thought in zip(told, thoughts(log_probs, came, counts), strict=True):
                self._sink.thought(requests[i].sample_id, thought)
        return tokens

    def _finish(self, request: Any) -> Finish | None:
        finish: Finish | None = request.finish(self._eos_ids)
        return finish


class StaticAskingEngine(AskingEngine, StaticEngine):
    """The same where nobody joins until the whole batch has finished."""

    def _are_heard(self, batch: Sequence[Request]) -> list[bool]:
        return [row not in self._done for row in range(len(batch))]


def asking(engine: type[Engine]) -> type[AskingEngine]:
    """Return the engine that takes `Asking` requests in the same way."""
    return StaticAskingEngine if issubclass(engine, StaticEngine) else AskingEngine


def are_whole(joining: Sequence[Request], pieces: Sequence[Sequence[int]]) -> list[bool]:
    """Say of which prompts these pieces are the last."""
    return [
        r.fed + len(piece) == len(r.prompt_ids) for r, piece in zip(joining, pieces, strict=True)
    ]


def own_tokens(logits: torch.Tensor, requests: Sequence[Asking]) -> list[int]:
    """Return what each request makes of its row of (n, V), which is left as it is."""
    adjusted = logits.clone() if any(_is_adjusted(r) for r in requests) else logits
    for row, request in enumerate(requests):
        if _is_adjusted(request):
            adjust(adjusted[row], request)
    tokens: list[int] = first_choice(adjusted).tolist()
    drawing = [i for i, request in enumerate(requests) if not request.wanted.is_greedy]
    if drawing:
        drawn = draw(adjusted[drawing], [requests[i] for i in drawing])
        for i, token in zip(drawing, drawn, strict=True):
            tokens[i] = token
    return tokens


def _is_adjusted(request: Asking) -> bool:
    wanted = request.wanted
    return bool(wanted.logit_bias or wanted.penalises or (wanted.ends and not request.may_end))
