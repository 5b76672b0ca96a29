"""Models whose state cannot be kept in rows (recurrent, hybrid), or who have none: batches over the
state that they make themselves, and whole passes.

Shapes: B rows, T tokens fed, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, Literal

import torch

from sut.engine import plain, state
from sut.engine.choice import Chooser

PaddingShown = Literal["always", "with prompts", "never"]


class StaticRunner(Chooser):
    """Batches over the state that the model makes itself, padded on the left.

    `padding_shown` says when the model hears of the padding: with each call, with the prompts alone
    (a recurrent state is past the padding and wants no mask), or never (nothing but tokens and
    state goes in, which is right for a single row).
    """

    cache_bytes = used_bytes = None  # the model's own affair
    in_pieces = False

    def __init__(
        self,
        model: Any,
        max_rows: int,
        max_len: int,
        pad_id: int,
        padding_shown: PaddingShown = "always",
    ) -> None:
        """Raises NoState for a model that takes none."""
        self.max_rows, self.max_len, self._model, self._pad_id = max_rows, max_len, model, pad_id
        self._padding_shown = padding_shown
        self._state_name = state.argument(model)
        self._state: Any = None
        self._takes_positions = plain.takes(model, "position_ids")
        self._one_logit = {"logits_to_keep": 1} if plain.keeps_logits(model) else {}

    def move(self, source: int, target: int) -> None:
        raise AssertionError("rows of a static batch stay where they are")

    def prefill_logits(
        self, first_row: int, pieces: Sequence[Sequence[int]], start: int
    ) -> torch.Tensor:
        """Return (B, V) after whole prompts; what earlier ones left is forgotten."""
        longest, device = max(map(len, pieces)), self._model.device
        rows = [(longest - len(piece), piece) for piece in pieces]
        ids = torch.tensor([[*[self._pad_id] * n, *piece] for n, piece in rows], device=device)
        seen = [[0] * n + [1] * len(piece) for n, piece in rows]
        self._mask = torch.tensor(seen, device=device)  # (B, T)
        self._state = None
        return self._logits(ids)

    def decode_logits(self, tokens: Sequence[int], positions: Sequence[int]) -> torch.Tensor:
        """Return (B, V). A row that has finished stays at its position: its tokens are padding."""
        at = torch.tensor(positions, device=self._mask.device)
        goes_on = (self._mask.sum(-1) == at).to(self._mask.dtype)
        self._mask = torch.cat((self._mask, goes_on[:, None]), dim=-1)
        ids = torch.tensor(tokens, device=self._mask.device)[:, None]
        return self._logits(ids)

    def _logits(self, ids: torch.Tensor) -> torch.Tensor:
        """Feed (B, T) tokens, and return (B, V) after the last."""
        arguments = self._one_logit | self._given() | self._of_padding(ids)
        outputs = self._model(input_ids=ids, use_cache=True, **arguments)
        self._state = state.returned(outputs)
        logits: torch.Tensor = outputs.logits[:, -1]
        return logits

    def _given(self) -> dict[str, Any]:
        """Return the state after what has been fed so far; a model begins without any."""
        return {} if self._state is None else {self._state_name: self._state}

    def _of_padding(self, ids: torch.Tensor) -> dict[str, torch.Tensor]:
        """Return what the model hears of the padding."""
        arguments: dict[str, torch.Tensor] = {}
        begins = self._state is None
        if self._padding_shown != "never" and self._takes_positions:
            positions = (self._mask.cumsum(-1) - 1).clamp(min=0)
            arguments["position_ids"] = positions[:, -ids.shape[1] :]
        if self._padding_shown == "always" or (self._padding_shown == "with prompts" and begins):
            arguments["attention_mask"] = self._mask
        return arguments


class RenewedRunner(StaticRunner):
    """A row alone, whose state is made anew from the whole text when it passes a border: beyond it
    the model computes its earlier tokens otherwise (LongRoPE).
    """

    def __init__(self, model: Any, max_len: int, borders: Collection[int]) -> None:
        super().__init__(model, 1, max_len, 0, "never")
        self._borders = frozenset(borders)

    def prefill_logits(
        self, first_row: int, pieces: Sequence[Sequence[int]], start: int
    ) -> torch.Tensor:
        """Return (1, V) after a whole prompt."""
        self._ids = list(pieces[0])
        return super().prefill_logits(first_row, pieces, start)

    def decode_logits(self, tokens: Sequence[int], positions: Sequence[int]) -> torch.Tensor:
        """Return (1, V)."""
        self._ids += tokens
        if len(self._ids) - 1 in self._borders:
            return super().prefill_logits(0, [self._ids], 0)
        return super().decode_logits(tokens, positions)


class WholeRunner(Chooser):
    """A row alone, and for each token a pass over the whole text: the plain pass itself."""

    cache_bytes = used_bytes = None
    in_pieces = False
    max_rows = 1

    def __init__(self, model: Any, max_len: int) -> None:
        self.max_len, self._model = max_len, model
        self._ids: list[int] = []

    def move(self, source: int, target: int) -> None:
        raise AssertionError("a row alone stays where it is")

    def prefill_logits(
        self, first_row: int, pieces: Sequence[Sequence[int]], start: int
    ) -> torch.Tensor:
        """Return (1, V) after a whole prompt."""
        self._ids = list(pieces[0])
        return plain.logits_of(self._model, self._ids, [len(self._ids) - 1])

    def decode_logits(self, tokens: Sequence[int], positions: Sequence[int]) -> torch.Tensor:
        """Return (1, V)."""
        self._ids += tokens
        return plain.logits_of(self._model, self._ids, [len(self._ids) - 1])
