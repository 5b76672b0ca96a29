"""The tensors of the engine: a preallocated key-value cache in rows, and a model of the transformers library.

Every row starts at position 0 of its own slot, so requests of any length share a batch without left padding. The cache
implements transformers' cache interface, so the model's own classes do the arithmetic (grouped-query attention, rotary
positions, learned positions). Shapes: R rows, B running rows, T prompt tokens, L longest row, H key-value heads, D head
size.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from transformers import Cache


class SlotCache(Cache):
    """Keys and values of every layer: (R, H, max_len, D) each, made when a layer first shows its shape.

    Zeroed: attention multiplies masked positions by 0, and 0 times an uninitialised NaN is NaN.
    """

    def __init__(self, rows: int, max_len: int) -> None:
        super().__init__(layers=[])
        self.rows, self.max_len = rows, max_len
        self._keys: list[torch.Tensor] = []
        self._values: list[torch.Tensor] = []
        self._first_row = 0
        self._positions: torch.Tensor | None = None  # (B,) while decoding, None while prefilling
        self._length = 0

    def prefill_from(self, first_row: int) -> None:
        self._first_row, self._positions = first_row, None

    def decode_at(self, positions: torch.Tensor, row_index: torch.Tensor, length: int) -> None:
        self._positions, self._row_index, self._length = positions, row_index, length

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, layer_idx: int, *_: Any, **__: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Store (B, H, T, D) and return what attention should see."""
        if layer_idx == len(self._keys):
            for kept, states in ((self._keys, key_states), (self._values, value_states)):
                kept.append(states.new_zeros((self.rows, states.shape[1], self.max_len, states.shape[3])))
        keys, values = self._keys[layer_idx], self._values[layer_idx]
        if self._positions is None:
            length = key_states.shape[2]
            rows = slice(self._first_row, self._first_row + key_states.shape[0])
            keys[rows, :, :length] = key_states
            values[rows, :, :length] = value_states
            return key_states, value_states
        count = len(self._positions)
        keys[self._row_index, :, self._positions] = key_states[:, :, 0]
        values[self._row_index, :, self._positions] = value_states[:, :, 0]
        return keys[:count, :, : self._length], values[:count, :, : self._length]

    def get_seq_length(self, layer_idx: int = 0) -> int:
        return 0

    @torch.inference_mode()
    def move(self, source: int, target: int) -> None:
        for tensor in (*self._keys, *self._values):
            tensor[target] = tensor[source]

    @property
    def num_bytes(self) -> int:
        return sum(t.numel() * t.element_size() for t in (*self._keys, *self._values))


class SlotRunner:
    """Greedy decoding with a causal language model over a SlotCache. Tokens go in and come out as Python integers."""

    def __init__(self, model: Any, max_rows: int, max_len: int) -> None:
        self.max_rows = max_rows
        self.cache = SlotCache(max_rows, max_len)
        self._model, self._device = model, model.device
        self._rows = torch.arange(max_rows, device=self._device)
        self._columns = torch.arange(max_len, device=self._device)

    @torch.inference_mode()
    def prefill(self, first_row: int, prompts: Sequence[Sequence[int]]) -> list[int]:
        """Right-padded: under a causal mask no real token sees the padding, and decoding overwrites it."""
        longest = max(map(len, prompts))
        ids = torch.tensor([[*p, *[0] * (longest - len(p))] for p in prompts], device=self._device)  # (B, T)
        last = sorted({len(p) - 1 for p in prompts})
        self.cache.prefill_from(first_row)
        logits = self._model(
            input_ids=ids,
            position_ids=self._columns[None, :longest],
            past_key_values=self.cache,
            use_cache=True,
            logits_to_keep=torch.tensor(last, device=self._device),
        ).logits  # (B, len(last), V)
        keep = torch.tensor([last.index(len(p) - 1) for p in prompts], device=self._device)
        tokens: list[int] = logits[self._rows[: len(prompts)], keep].argmax(-1).tolist()
        return tokens

    @torch.inference_mode()
    def decode(self, tokens: Sequence[int], positions: Sequence[int]) -> list[int]:
        count, length = len(tokens), max(positions) + 1
        ids = torch.tensor(tokens, device=self._device)[:, None]  # (B, 1)
        at = torch.tensor(positions, device=self._device)  # (B,)
        seen = self._columns[None, :length] <= at[:, None]  # (B, L)
        self.cache.decode_at(at, self._rows[:count], length)
        logits = self._model(
            input_ids=ids,
            attention_mask=seen[:, None, None, :],
            position_ids=at[:, None],
            past_key_values=self.cache,
            use_cache=True,
        ).logits  # (B, 1, V)
        following: list[int] = logits[:, -1].argmax(-1).tolist()
        return following

    def move(self, source: int, target: int) -> None:
        self.cache.move(source, target)
