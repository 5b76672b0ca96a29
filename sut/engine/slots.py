"""The tensors of the engine: a preallocated key-value cache in rows, and a model of the
transformers library.

Every row starts at position 0 of its own slot, so requests of any length share a batch without left
padding. The cache implements transformers' cache interface, so the model's own classes do the
arithmetic (grouped-query attention, rotary or learned positions, sliding windows). Whether a model
gets along with that is tried at load, not assumed (`sut.engine.serving`). Shapes: R rows, B running
rows, T prompt tokens, L longest row, H key-value heads, D head size, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from transformers import Cache

from sut.engine import state
from sut.engine.ahead.transfers import sent
from sut.engine.choice import Chooser
from sut.engine.lean import LeanStep
from sut.engine.prefill.packed import Packed


class SlotCache(Cache):
    """Keys and values of every layer: (R, H, max_len, D) each, made when a layer first shows its
    shape.

    Zeroed: attention multiplies masked positions by 0, and 0 times an uninitialised NaN is NaN.
    """

    def __init__(self, rows: int, max_len: int) -> None:
        super().__init__(layers=[])
        self.rows, self.max_len = rows, max_len
        self._keys: list[torch.Tensor] = []
        self._values: list[torch.Tensor] = []
        self._first_row = self._start = 0
        self._positions: torch.Tensor | None = None  # (B,) while decoding, None while prefilling
        self._length = 0

    @property
    def is_made(self) -> bool:
        return bool(self._keys)

    def prefill_from(self, first_row: int, start: int) -> None:
        self._first_row, self._start, self._positions = first_row, start, None

    def decode_at(self, positions: torch.Tensor, row_index: torch.Tensor, length: int) -> None:
        self._positions, self._row_index, self._length = positions, row_index, length

    def update(
        self,
        key_states: torch.Tensor,
        value_states: torch.Tensor,
        layer_idx: int,
        *_: Any,
        **__: Any,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Store (B, H, T, D) and return what attention should see."""
        self._make(layer_idx, key_states[:, :, 0], value_states[:, :, 0])
        keys, values = self._keys[layer_idx], self._values[layer_idx]
        if self._positions is None:
            end = self._start + key_states.shape[2]
            rows = slice(self._first_row, self._first_row + key_states.shape[0])
            keys[rows, :, self._start : end] = key_states
            values[rows, :, self._start : end] = value_states
            return (
                (keys[rows, :, :end], values[rows, :, :end])
                if self._start
                else (key_states, value_states)
            )
        return self.store(layer_idx, key_states[:, :, 0], value_states[:, :, 0])

    def store(
        self, layer: int, new_keys: torch.Tensor, new_values: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """While decoding: a token of each row, (B, H, D), goes to its position; all that the rows
        hold comes back.
        """
        keys, values, count = self._keys[layer], self._values[layer], len(new_keys)
        keys[self._row_index, :, self._positions] = new_keys
        values[self._row_index, :, self._positions] = new_values
        return keys[:count, :, : self._length], values[:count, :, : self._length]

    def write(
        self,
        layer: int,
        rows: torch.Tensor,
        positions: torch.Tensor,
        keys: torch.Tensor,
        values: torch.Tensor,
    ) -> None:
        """Store tokens of prompts, (T, H, D) twice, each in its row (T,) at its position (T,)."""
        self._make(layer, keys, values)
        self._keys[layer][rows, :, positions] = keys
        self._values[layer][rows, :, positions] = values

    def held(self, layer: int, row: int, end: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the first `end` positions of a row, (H, L, D) twice."""
        return self._keys[layer][row, :, :end], self._values[layer][row, :, :end]

    def _make(self, layer: int, keys: torch.Tensor, values: torch.Tensor) -> None:
        """Make a layer that is seen for the first time; of tokens (N, H, D)."""
        if layer == len(self._keys):
            for kept, states in ((self._keys, keys), (self._values, values)):
                _, heads, size = states.shape
                kept.append(states.new_zeros((self.rows, heads, self.max_len, size)))

    def get_seq_length(self, layer_idx: int = 0) -> int:
        return 0

    @torch.inference_mode()
    def move(self, source: int, target: int) -> None:
        for tensor in (*self._keys, *self._values):
            tensor[target] = tensor[source]

    @property
    def num_bytes(self) -> int:
        return sum(t.numel() * t.element_size() for t in (*self._keys, *self._values))


class Masks:
    """Which cached positions may a token see? All before it, or in sliding layers the last `window`
    of them.
    """

    def __init__(self, config: Any, dtype: torch.dtype) -> None:
        text = config.get_text_config()
        window = (
            getattr(text, "sliding_window", None)
            if getattr(text, "use_sliding_window", True) is not False
            else None
        )
        kinds = set(getattr(text, "layer_types", None) or ())
        self._windows: dict[str, int | None] = {"full_attention": None, "sliding_attention": window}
        self._by_kind = window is not None and "sliding_attention" in kinds
        self._window = window if window is not None and not kinds else None
        self._dtype = dtype
        self._additive = config._attn_implementation == "eager"  # it adds the mask to the scores

    def __call__(self, columns: torch.Tensor, at: torch.Tensor) -> Any:
        """Return (B, 1, T, L) of columns (L,) and positions (B, T), True or 0 = visible; by kind of
        layer where there are several.
        """
        if self._by_kind:
            return {
                kind: self._visible(columns, at, window) for kind, window in self._windows.items()
            }
        return self._visible(columns, at, self._window)

    def added(self, columns: torch.Tensor, at: torch.Tensor) -> torch.Tensor:
        """Return the same to be added to the scores, for layers without a window."""
        return self._as_numbers((columns <= at[:, :, None])[:, None])

    def _visible(self, columns: torch.Tensor, at: torch.Tensor, window: int | None) -> torch.Tensor:
        seen = columns[None, None, :] <= at[:, :, None]
        if window is not None:
            seen &= columns[None, None, :] > at[:, :, None] - window
        return self._as_numbers(seen[:, None]) if self._additive else seen[:, None]

    def _as_numbers(self, seen: torch.Tensor) -> torch.Tensor:
        return torch.where(seen, 0.0, torch.finfo(self._dtype).min).to(self._dtype)


class SlotRunner(Chooser):
    """Greedy decoding with a causal language model over a SlotCache. Tokens go in and come out as
    Python integers.
    """

    in_pieces = True

    def __init__(
        self,
        model: Any,
        max_rows: int,
        max_len: int,
        step: LeanStep | None = None,
        packed: Packed | None = None,
        spare_rows: int = 0,
    ) -> None:
        """`step` decodes and `packed` prefills instead of the model's own classes. `spare_rows` of
        the cache lie behind those that requests take. Raises NoState for a model that takes no
        cache.
        """
        self._packed, self.packs = packed, packed is not None
        self.max_rows, self.max_len = max_rows, max_len
        self.cache = SlotCache(max_rows + spare_rows, max_len)
        self.most_tokens = 0  # that the cache held at once
        self._model, self._device, self._step = model, model.device, step
        self._masks = Masks(model.config, model.dtype)
        self._given_cache = {state.argument(model): self.cache, "use_cache": True}
        self._rows = torch.arange(max_rows, device=self._device)
        self._columns = torch.arange(max_len, device=self._device)

    @property
    def cache_bytes(self) -> int | None:
        return self.cache.num_bytes

    @property
    def used_bytes(self) -> int | None:
        return self.cache.num_bytes * self.most_tokens // (self.cache.rows * self.cache.max_len)

    def move(self, source: int, target: int) -> None:
        self.cache.move(source, target)

    def prefill_logits(
        self, first_row: int, pieces: Sequence[Sequence[int]], start: int
    ) -> torch.Tensor:
        """Return the logits (B, V) after the last token of each piece; a piece that starts later
        sees what the cache holds of its row.
        """
        if self._packed is not None:
            return self._packed.logits(first_row, pieces, start, self.cache)
        return self._padded_logits(first_row, pieces, start)

    def _padded_logits(
        self, first_row: int, pieces: Sequence[Sequence[int]], start: int
    ) -> torch.Tensor:
        """Return the same by the model's own classes. Right-padded: under a causal mask no real
        token sees the padding, and decoding overwrites it.
        """
        longest = max(map(len, pieces))
        padded = [[*p, *[0] * (longest - len(p))] for p in pieces]
        ids = sent(padded, self._device, torch.int64)  # (B, T)
        last = sorted({len(p) - 1 for p in pieces})
        kept = sent(last, self._device, torch.int64)
        at = self._columns[None, start : start + longest]
        self.cache.prefill_from(first_row, start)
        own_mask = None  # the model makes it
        logits = self._model(
            input_ids=ids,
            attention_mask=self._masks(self._columns[: start + longest], at) if start else own_mask,
            position_ids=at,
            logits_to_keep=kept,
            **self._given_cache,
        ).logits  # (B, len(last), V)
        if logits.shape[1] == longest > len(last):  # a model that knows no `logits_to_keep`
            logits = logits[:, kept]
        keep = sent([last.index(len(p) - 1) for p in pieces], self._device, torch.int64)
        return logits[self._rows[: len(pieces)], keep]

    def decode_logits(self, tokens: Sequence[int], positions: Sequence[int]) -> torch.Tensor:
        """Return the logits (B, V) of the next token."""
        self.count_held(positions)
        ids = torch.tensor(tokens, device=self._device)
        at = torch.tensor(positions, device=self._device)
        return self.logits_at(ids, at, max(positions) + 1)

    def count_held(self, positions: Sequence[int]) -> None:
        """Hear where the tokens of a step go: so much of the cache is in use."""
        self.most_tokens = max(self.most_tokens, sum(positions) + len(positions))

    def logits_at(self, ids: torch.Tensor, at: torch.Tensor, length: int) -> torch.Tensor:
        """Feed row i its token, ids (B,), at its position, at (B,); return the logits (B, V) of the
        next ones. No position reaches `length`. Nothing here waits for the device.
        """
        return self._logits_into(self._rows[: len(ids)], ids, at, length)

    def _logits_into(
        self, into: torch.Tensor, ids: torch.Tensor, at: torch.Tensor, length: int
    ) -> torch.Tensor:
        """Do the same, but store what comes of token i in row `into`[i] of the cache; (B,)."""
        self.cache.decode_at(at, into, length)
        if self._step is not None:
            return self._step(
                ids, at, self._masks.added(self._columns[:length], at[:, None]), self.cache
            )
        logits = self._model(
            input_ids=ids[:, None],
            attention_mask=self._masks(self._columns[:length], at[:, None]),
            position_ids=at[:, None],
            **self._given_cache,
        ).logits  # (B, 1, V)
        return logits[:, -1]
