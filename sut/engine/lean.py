"""A decode step of a Llama-like model in as few operations as it needs, over the same weights and
the same cache.

For a few rows of a small model, a step of transformers' own classes spends most of its time between
the products: some sixty operations a layer, a few microseconds each, and the Python around them.
Here a layer is about fifteen. Queries and keys turn together; grouped heads are not repeated (a
group is the query length of one attention call); the mask is made once a step; modules whose
forward pass is plain are read, not called.

Which models: those of `_KNOWN`, in any precision and with adapters, for the linear layers
themselves are called as they are. What it computes, rounding included, is what these classes
compute: `serving.differs` compares them, and a model for which they differ keeps its own. Shapes: B
rows, L positions, H query heads, K key-value heads, D head size, F features, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import torch
from torch.nn import functional

from sut.engine.packing import joined

_KNOWN = ("llama", "mistral", "qwen2")


class DecodeCache(Protocol):
    def store(
        self, layer: int, keys: torch.Tensor, values: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Store one token of each row, (B, K, D) twice; return what the rows hold, (B, K, L, D)
        twice.
        """
        ...


# of layer i: queries (N, H, D), keys and values (N, K, D) of N tokens -> what they see, (N, H D)
Attend = Callable[[int, torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]


class _Norm(NamedTuple):
    weight: torch.Tensor
    epsilon: float

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        normal = functional.rms_norm(x, self.weight.shape, None, self.epsilon)
        return normal.mul_(self.weight)  # rounded in between, as there


class _Layer(NamedTuple):
    before_attention: _Norm
    qkv: Any  # (B, F) -> (B, (H + 2 K) D)
    out: Any
    before_mlp: _Norm
    gate_up: Any  # (B, F) -> gates and ups beside each other
    down: Any
    scale: float


class LeanStep:
    """The parts of one model, and how its heads are cut."""

    def __init__(self, model: Any) -> None:
        body = model.model
        self._embedding, self._rotary, self._norm, self._head = (
            body.embed_tokens, body.rotary_emb, _norm(body.norm), model.lm_head,
        )  # fmt: skip
        self._layers = [_layer(layer) for layer in body.layers]
        self.scales = [layer.scale for layer in self._layers]
        self.kv_heads, self._size = (
            model.config.num_key_value_heads,
            body.layers[0].self_attn.head_dim,
        )
        self._turning = model.config.num_attention_heads + self.kv_heads
        self.device = model.device
        ones = torch.ones(self._size // 2, device=model.device, dtype=model.dtype)
        self._sign = torch.cat((-ones, ones))

    def __call__(
        self, ids: torch.Tensor, at: torch.Tensor, mask: torch.Tensor, cache: DecodeCache
    ) -> torch.Tensor:
        """Return logits (B, V) of ids (B,) at positions (B,). The mask is added to the scores: (B,
        1, 1, L).
        """

        def attend(
            i: int, queries: torch.Tensor, new_keys: torch.Tensor, new_values: torch.Tensor
        ) -> torch.Tensor:
            keys, values = cache.store(i, new_keys, new_values)
            groups = queries.view(len(queries), self.kv_heads, -1, self._size)  # (B, K, H / K, D)
            seen = functional.scaled_dot_product_attention(
                groups, keys, values, attn_mask=mask, scale=self.scales[i]
            )
            return seen.flatten(1)

        return self.logits(self.hidden(ids, at, attend))

    def hidden(self, ids: torch.Tensor, at: torch.Tensor, attend: Attend) -> torch.Tensor:
        """Return what the layers make of tokens (N,) at their positions (N,): (N, F). Which of
        them see each other is `attend`'s affair.
        """
        x = self._embedding(ids)  # (N, F)
        cos, sin = (part.transpose(0, 1) for part in self._rotary(x, at[None]))  # (N, 1, D)
        sin = sin * self._sign
        turning, half = self._turning, self._size // 2
        for i, layer in enumerate(self._layers):
            heads = layer.qkv(layer.before_attention(x)).unflatten(
                -1, (-1, self._size)
            )  # (N, H + 2 K, D)
            straight = heads[:, :turning]
            turned = (straight * cos).add_(straight.roll(half, -1).mul_(sin))
            queries, keys = turned[:, : -self.kv_heads], turned[:, -self.kv_heads :]
            x = x + layer.out(attend(i, queries, keys, heads[:, turning:]))
            gate, up = layer.gate_up(layer.before_mlp(x)).chunk(2, -1)
            x = x + layer.down(functional.silu(gate).mul_(up))
        return x

    def logits(self, x: torch.Tensor) -> torch.Tensor:
        """Return (N, V) of what the layers left of N tokens, (N, F)."""
        logits: torch.Tensor = self._head(self._norm(x))
        return logits


def lean_step(model: Any) -> LeanStep | None:
    """Return None for a model of another family, or with parts that its family has not."""
    model = model.get_base_model() if hasattr(model, "get_base_model") else model  # of an adapter
    config = model.config
    windows = getattr(config, "sliding_window", None) is not None and getattr(
        config, "use_sliding_window", True
    )
    if (
        config.model_type not in _KNOWN
        or config.hidden_act != "silu"
        or windows
        or hasattr(model, "_hf_hook")
    ):
        return None
    return LeanStep(model)


def _norm(module: Any) -> _Norm:
    return _Norm(module.weight, module.variance_epsilon)


def _layer(module: Any) -> _Layer:
    attention, mlp = module.self_attn, module.mlp
    return _Layer(
        before_attention=_norm(module.input_layernorm),
        qkv=joined([attention.q_proj, attention.k_proj, attention.v_proj]),
        out=joined([attention.o_proj]),
        before_mlp=_norm(module.post_attention_layernorm),
        gate_up=joined([mlp.gate_proj, mlp.up_proj]),
        down=joined([mlp.down_proj]),
        scale=attention.scaling,
    )
