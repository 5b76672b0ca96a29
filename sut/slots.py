"""The tensors of the engine: a preallocated key-value cache in rows, and a model of the
transformers library.

Every row starts at position 0 of its own slot, so requests of any length share a batch without left
padding. The cache implements transformers' cache interface, so the model's own classes do the
arithmetic (grouped-query attention, rotary or learned positions, sliding windows). Whether a model
gets along with that is tried, not assumed: `probe` compares a few steps with the model's own
forward pass. Shapes: R rows, B running rows, T prompt tokens, L longest row, H key-value heads, D
head size, V vocabulary.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import torch
from transformers import Cache

from sut.lean import LeanStep
from sut.scoring import first_choice

# cosine of logits: rounding in any precision stays above, a wrong mask or position does not
_ALIKE = 0.98  # another batch: INT8 sees other outliers in it
_SAME = 0.999  # the same rows, other kernels


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
        if layer_idx == len(self._keys):
            for kept, states in ((self._keys, key_states), (self._values, value_states)):
                kept.append(
                    states.new_zeros((self.rows, states.shape[1], self.max_len, states.shape[3]))
                )
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
        """(L,) columns, (B, T) positions -> (B, 1, T, L), True or 0 = visible; by kind of layer
        where there are several.
        """
        if self._by_kind:
            return {
                kind: self._visible(columns, at, window) for kind, window in self._windows.items()
            }
        return self._visible(columns, at, self._window)

    def added(self, columns: torch.Tensor, at: torch.Tensor) -> torch.Tensor:
        """The same to be added to the scores, for layers without a window."""
        return self._as_numbers((columns <= at[:, :, None])[:, None])

    def _visible(self, columns: torch.Tensor, at: torch.Tensor, window: int | None) -> torch.Tensor:
        seen = columns[None, None, :] <= at[:, :, None]
        if window is not None:
            seen &= columns[None, None, :] > at[:, :, None] - window
        return self._as_numbers(seen[:, None]) if self._additive else seen[:, None]

    def _as_numbers(self, seen: torch.Tensor) -> torch.Tensor:
        return torch.where(seen, 0.0, torch.finfo(self._dtype).min).to(self._dtype)


class SlotRunner:
    """Greedy decoding with a causal language model over a SlotCache. Tokens go in and come out as
    Python integers.
    """

    def __init__(
        self, model: Any, max_rows: int, max_len: int, step: LeanStep | None = None
    ) -> None:
        """`step` decodes instead of the model's own classes, which always prefill."""
        self.max_rows, self.max_len = max_rows, max_len
        self.cache = SlotCache(max_rows, max_len)
        self.most_tokens = 0  # that the cache held at once
        self._model, self._device, self._step = model, model.device, step
        self._masks = Masks(model.config, model.dtype)
        self._rows = torch.arange(max_rows, device=self._device)
        self._columns = torch.arange(max_len, device=self._device)

    @property
    def cache_bytes(self) -> int | None:
        return self.cache.num_bytes

    @property
    def used_bytes(self) -> int | None:
        return self.cache.num_bytes * self.most_tokens // (self.max_rows * self.max_len)

    @torch.inference_mode()
    def prefill(self, first_row: int, pieces: Sequence[Sequence[int]], start: int = 0) -> list[int]:
        return _best(self.prefill_logits(first_row, pieces, start))

    @torch.inference_mode()
    def decode(self, tokens: Sequence[int], positions: Sequence[int]) -> list[int]:
        return _best(self.decode_logits(tokens, positions))

    def move(self, source: int, target: int) -> None:
        self.cache.move(source, target)

    def prefill_logits(
        self, first_row: int, pieces: Sequence[Sequence[int]], start: int
    ) -> torch.Tensor:
        """(B, V) after the last token of each piece. Right-padded: under a causal mask no real
        token sees the padding, and decoding overwrites it. A piece that starts later sees what the
        cache holds of its row.
        """
        longest = max(map(len, pieces))
        ids = torch.tensor(
            [[*p, *[0] * (longest - len(p))] for p in pieces], device=self._device
        )  # (B, T)
        last = sorted({len(p) - 1 for p in pieces})
        at = self._columns[None, start : start + longest]
        self.cache.prefill_from(first_row, start)
        logits = self._model(
            input_ids=ids,
            attention_mask=self._masks(self._columns[: start + longest], at)
            if start
            else None,  # None: the model's own
            position_ids=at,
            past_key_values=self.cache,
            use_cache=True,
            logits_to_keep=torch.tensor(last, device=self._device),
        ).logits  # (B, len(last), V)
        keep = torch.tensor([last.index(len(p) - 1) for p in pieces], device=self._device)
        return logits[self._rows[: len(pieces)], keep]

    def decode_logits(self, tokens: Sequence[int], positions: Sequence[int]) -> torch.Tensor:
        """(B, V)."""
        count, length = len(tokens), max(positions) + 1
        self.most_tokens = max(self.most_tokens, sum(positions) + count)
        ids = torch.tensor(tokens, device=self._device)  # (B,)
        at = torch.tensor(positions, device=self._device)  # (B,)
        self.cache.decode_at(at, self._rows[:count], length)
        if self._step is not None:
            return self._step(
                ids, at, self._masks.added(self._columns[:length], at[:, None]), self.cache
            )
        logits = self._model(
            input_ids=ids[:, None],
            attention_mask=self._masks(self._columns[:length], at[:, None]),
            position_ids=at[:, None],
            past_key_values=self.cache,
            use_cache=True,
        ).logits  # (B, 1, V)
        return logits[:, -1]


def _best(logits: torch.Tensor) -> list[int]:
    tokens: list[int] = first_choice(logits).tolist()
    return tokens


@torch.inference_mode()
def probe(model: Any) -> int | None:
    """Bytes of cache per token if this model decodes in rows as it does by itself, else None.

    Two prompts, one of them in two pieces, and two steps are tried.
    """
    word = (
        model.config.get_text_config().vocab_size // 2
    )  # the first ids are special, and odd in low precision
    prompts = [[word + 5, word + 3, word + 7], [word + i for i in (4, 6, 5, 3, 8, 7, 4)]]
    runner = SlotRunner(model, 2, 16)
    try:
        first = runner.prefill_logits(0, prompts[:1], 0)
        runner.prefill_logits(1, [prompts[1][:4]], 0)
        second = runner.prefill_logits(1, [prompts[1][4:]], 4)
        if not _alike(torch.cat((first, second)), _alone(model, prompts)):
            return None
        for token in (word + 6, word + 9):
            logits = runner.decode_logits([token, token], [len(p) for p in prompts])
            prompts = [[*p, token] for p in prompts]
            if not _alike(logits, _alone(model, prompts)):
                return None
    except _ANOTHER_KIND:
        return None
    return runner.cache.num_bytes // 32 or None


@torch.inference_mode()
def agrees(model: Any, step: LeanStep) -> bool:
    """Whether `step` decodes as the model's own classes do, over the same rows of different
    lengths.
    """
    word = model.config.get_text_config().vocab_size // 2
    both = []
    for kind in (None, step):
        runner = SlotRunner(model, 2, 16, kind)
        runner.prefill_logits(
            0, [[word + i for i in (5, 3, 7)], [word + i for i in (4, 6, 5, 3, 8, 7, 4)]], 0
        )
        try:
            both.append(
                torch.cat(
                    [
                        runner.decode_logits([word + i, word + i + 3], [3 + i, 7 + i])
                        for i in range(3)
                    ]
                )
            )
        except _ANOTHER_KIND:
            return False
    return _alike(both[0], both[1], _SAME)


# what a model says to a cache, a mask or an argument that it does not know
_ANOTHER_KIND = (
    TypeError,
    ValueError,
    AttributeError,
    IndexError,
    KeyError,
    RuntimeError,
    NotImplementedError,
)


def _alone(model: Any, prompts: Sequence[Sequence[int]]) -> torch.Tensor:
    """(B, V) after each prompt, by the plain forward pass."""
    device = model.device
    return torch.cat(
        [
            model(input_ids=torch.tensor([p], device=device), use_cache=False).logits[:, -1]
            for p in prompts
        ]
    )


def _alike(ours: torch.Tensor, theirs: torch.Tensor, least: float = _ALIKE) -> bool:
    ours, theirs = ours.float(), theirs.float()
    ours, theirs = ours - ours.mean(-1, keepdim=True), theirs - theirs.mean(-1, keepdim=True)
    return bool((torch.nn.functional.cosine_similarity(ours, theirs, dim=-1) > least).all())


class StaticRunner:
    """For a model with a state of another kind (recurrent, hybrid): left-padded batches, over the
    state it makes itself.
    """

    cache_bytes = used_bytes = None  # the model's own affair

    def __init__(self, model: Any, max_rows: int, max_len: int, pad_id: int) -> None:
        self.max_rows, self.max_len, self._model, self._pad_id = max_rows, max_len, model, pad_id
        self._arguments = set(inspect.signature(model.forward).parameters)
        self._state_name = (
            "past_key_values" if "past_key_values" in self._arguments else "cache_params"
        )

    @torch.inference_mode()
    def prefill(self, first_row: int, pieces: Sequence[Sequence[int]], start: int = 0) -> list[int]:
        longest, device = max(map(len, pieces)), self._model.device
        padding = [longest - len(p) for p in pieces]
        ids = torch.tensor(
            [[*[self._pad_id] * n, *p] for n, p in zip(padding, pieces, strict=True)], device=device
        )
        self._mask = torch.tensor(
            [[0] * n + [1] * len(p) for n, p in zip(padding, pieces, strict=True)], device=device
        )
        self._state: Any = None
        return self._next(ids, (self._mask.cumsum(-1) - 1).clamp(min=0))

    @torch.inference_mode()
    def decode(self, tokens: Sequence[int], positions: Sequence[int]) -> list[int]:
        """Rows that have finished go on from their last token: nobody hears of it."""
        self._mask = torch.cat((self._mask, self._mask.new_ones((len(tokens), 1))), dim=-1)
        at = self._mask.sum(-1, keepdim=True) - 1
        return self._next(torch.tensor(tokens, device=self._mask.device)[:, None], at)

    def move(self, source: int, target: int) -> None:
        raise AssertionError("rows of a static batch stay where they are")

    def _next(self, ids: torch.Tensor, at: torch.Tensor) -> list[int]:
        recurrent = (
            self._state_name == "cache_params" and self._state is not None
        )  # past padding, its state needs no mask
        given = {
            "attention_mask": None if recurrent else self._mask,
            "position_ids": at,
            self._state_name: self._state,
        }
        given = {
            name: value
            for name, value in given.items()
            if name in self._arguments and value is not None
        }
        outputs = self._model(input_ids=ids, use_cache=True, **given)
        self._state = getattr(outputs, self._state_name)
        return _best(outputs.logits[:, -1])
