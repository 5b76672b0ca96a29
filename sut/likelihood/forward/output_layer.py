"""Which logits does a model give at chosen positions, without making all of them at once?

The output layer runs over some hundred positions at a time, and only over those that are asked for.
Models that do something to their logits after the output layer (a cap, a scale) get them from their
own forward pass, for a batch at once and in the model's own type; which models do is tried, not
assumed.

Shapes: B texts, T tokens, N positions, D hidden, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch

from sut.engine.agreement import is_rounding
from sut.engine.plain import first_layers, remembers
from sut.likelihood.forward.device import per_device

_LOGITS_BYTES, _LOGITS_BYTES_GPU = 96 * 2**20, 512 * 2**20  # at once, in the model's own type
_SHORT = 7  # tokens of a text that is tried beside a long one


def side_by_side(models: Sequence[Any]) -> list[OutputLayer]:
    """Return the output layers; all give as many rows at a time as the one that gives fewest."""
    layers = [OutputLayer(model) for model in models]
    rows = min(layer.rows for layer in layers)
    for layer in layers:
        layer.rows = rows
    return layers


class OutputLayer:
    """Logits at chosen positions, `_LOGITS_BYTES` at a time where the model allows it."""

    @torch.inference_mode()
    def __init__(self, model: Any) -> None:
        self.model, self.device, self._head = model, model.device, model.get_output_embeddings()
        first = torch.zeros(1, dtype=torch.long)
        states, logits = self._run(torch.tensor([[1, 0]]), first, first, 1)
        is_last = states is not None and torch.equal(
            self._head(states[None])[0].float(), logits.float()
        )
        self.in_pieces = is_last  # or the model does something to them afterwards
        budget_bytes = per_device(self.device, _LOGITS_BYTES, _LOGITS_BYTES_GPU)
        self.rows = max(1, budget_bytes // logits[0].nbytes)
        self._changes: dict[int, bool] = {}  # by the longest text

    def logits(
        self, ids: torch.Tensor, rows: torch.Tensor, columns: torch.Tensor
    ) -> Iterator[torch.Tensor]:
        """Yield logits (n, V) again and again, N in all: of ids (B, T) at N positions."""
        starts = range(0, len(rows), self.rows)
        if not self.in_pieces:
            _, logits = self._run(ids, rows, columns, len(rows))
            yield from (logits[start : start + self.rows] for start in starts)
            return
        states, _ = self._run(ids, rows, columns, 1)
        yield from (self._head(states[None, start : start + self.rows])[0] for start in starts)

    def changes_beside(self, longest: int) -> bool:
        """Say whether the logits of a short text change when one of `longest` tokens shares its
        batch, as LongRoPE's do: the longest text chooses the factors of all.
        """
        if longest not in self._changes:
            self._changes[longest] = longest > _SHORT and self._changed_beside(longest)
        return self._changes[longest]

    @torch.inference_mode()
    def try_pass(self, count: int, length: int) -> None:
        """Feed made-up texts to the first layers, for whoever measures how long that takes."""
        first = torch.zeros(1, dtype=torch.long)
        with first_layers(self.model):
            self._run(self._made_up(count, length), first, first, 1)

    def _made_up(self, count: int, length: int) -> torch.Tensor:
        size = self.model.config.get_text_config(decoder=True).vocab_size
        ids = torch.arange(count * length).remainder(size // 2).add(size // 4)
        return ids.view(count, length)

    @torch.inference_mode()
    def _changed_beside(self, longest: int) -> bool:
        ids = self._made_up(2, longest)
        row, last = torch.zeros(1, dtype=torch.long), torch.tensor([_SHORT - 1])
        with first_layers(self.model):
            _, alone = self._run(ids[:1, :_SHORT], row, last, 1)
            _, beside = self._run(ids, row, last, 1)
        return not is_rounding(beside, alone)

    def _run(
        self, ids: torch.Tensor, rows: torch.Tensor, columns: torch.Tensor, count: int
    ) -> tuple[Any, torch.Tensor]:
        """Return what the output layer sees at these positions, (N, D), and the model's logits at
        the first `count`, (count, V).

        The layer is given these few as one sequence. No states if the model does not call it;
        logits at all N then.
        """
        kept: list[torch.Tensor] = []

        def pick(_: Any, args: tuple[Any, ...]) -> tuple[Any, ...]:
            states, *rest = args
            kept.append(states[rows.to(states.device), columns.to(states.device)])
            return kept[0][None, :count], *rest

        if remembers(self.model):
            self.model(input_ids=ids[:1, :1].to(self.device), use_cache=False)
        handle = self._head.register_forward_pre_hook(pick) if self._head is not None else None
        try:
            logits = self.model(input_ids=ids.to(self.device), use_cache=False).logits
        finally:
            if handle is not None:
                handle.remove()
        if kept:
            return kept[0], logits[0]
        return None, logits[rows.to(logits.device), columns.to(logits.device)]
