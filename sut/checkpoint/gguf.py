"""What does a GGUF file say of its model that transformers' loader leaves out?

The loader takes the keys that it knows for an architecture and drops the others without a word:
scaled rotary positions, windows of attention, caps on logits. Here every key of the architecture is
looked at again: it is what the configuration has already, or it is carried over, or it is known not
to matter, or the file is refused by the key's name. Likewise every tensor.

Tensors of rotary factors (`rope_freqs` of Llama 3, `rope_factors_short` and `_long` of Phi-3)
divide the frequencies; transformers calls that longrope.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

from harness.kernel.errors import SetupFailed

_SCALING = "rope.scaling."
_ATTRIBUTES = {  # key of the architecture: names that configurations have for it
    "rope.freq_base": ("rope_theta",),
    "attention.key_length": ("head_dim", "global_head_dim"),
    "attention.value_length": ("head_dim", "global_head_dim"),
    "attention.layer_norm_rms_epsilon": (
        "rms_norm_eps", "layer_norm_eps", "layer_norm_epsilon", "norm_eps",
    ),
    "attention.layer_norm_epsilon": (
        "layer_norm_eps", "layer_norm_epsilon", "norm_epsilon", "norm_eps",
    ),
    "attention.scale": ("attention_multiplier",),
    "attn_logit_softcapping": ("attn_logit_softcapping",),
    "final_logit_softcapping": ("final_logit_softcapping",),
    "expert_count": ("num_experts", "num_local_experts"),
    "expert_used_count": ("num_experts_per_tok",),
    "expert_feed_forward_length": ("moe_intermediate_size",),
    "expert_shared_feed_forward_length": ("shared_expert_intermediate_size",),
    "expert_weights_norm": ("norm_topk_prob",),
    "use_parallel_residual": ("use_parallel_residual",),
    "logit_scale": ("logit_scale",),
    "embedding_scale": ("embedding_multiplier",),
    "residual_scale": ("residual_multiplier",),
}  # fmt: skip
_HARMLESS = {
    "vocab_size", "context_length", "block_count", "embedding_length", "feed_forward_length",
    "tensor_data_layout", "pooling_type", "attention.head_count", "attention.head_count_kv",
}  # fmt: skip
_NEUTRAL = {
    "attention.causal": True, "attention.clamp_kqv": 0.0, "attention.max_alibi_bias": 0.0,
    "expert_count": 0, "expert_used_count": 0, "logit_scale": 1.0, "embedding_scale": 1.0,
    "residual_scale": 1.0, "attention.sliding_window": 0,
}  # fmt: skip
_ROPE_TENSORS = ("rope_freqs.weight", "rope_factors_short.weight", "rope_factors_long.weight")


class Contents(NamedTuple):
    """Of a file: its architecture's keys without its name, its tensors of rotary factors, and the
    names of all tensors.
    """

    architecture: str
    keys: Mapping[str, Any]
    rope: Mapping[str, list[float]]
    tensors: Collection[str]


def read(path: str) -> Contents:
    from gguf import GGUFReader, dequantize

    reader = GGUFReader(path)
    architecture = str(reader.fields["general.architecture"].contents())
    start = f"{architecture}."
    keys = {
        name.removeprefix(start): field.contents()
        for name, field in reader.fields.items()
        if name.startswith(start)
    }
    rope = {
        tensor.name: dequantize(tensor.data, tensor.tensor_type).flatten().tolist()
        for tensor in reader.tensors
        if tensor.name in _ROPE_TENSORS
    }
    return Contents(architecture, keys, rope, [tensor.name for tensor in reader.tensors])


def carry(held: Contents, config: Any, name: str) -> None:
    """Add to a configuration what the loader dropped, in place. Raises SetupFailed for what it has
    no place for.
    """
    _carry_rope(held, config, name)
    mapped = _mapped(held, config)
    for key, value in held.keys.items():
        if key.startswith(_SCALING) or key in _HARMLESS or _is_neutral(held, key, value):
            continue
        if key == "rope.dimension_count":
            _carry_rotary_part(config, value, name)
        elif key == "attention.sliding_window":
            _carry_window(held, config, value, name)
        elif key in mapped or key in _ATTRIBUTES:
            _carry_value(
                config, key, value, (*mapped.get(key, ()), *_ATTRIBUTES.get(key, ())), name
            )
        else:
            raise _refusal(name, key, value)


def check_tensors(held: Contents, known: Collection[str], name: str) -> None:
    """Refuse a file with tensors that the loader has no place for. Raises SetupFailed."""
    dropped = [
        tensor
        for tensor in held.tensors
        if tensor not in known and tensor not in _ROPE_TENSORS and "_exps" not in tensor
    ]
    if dropped:
        doing, found = f"converting {name}", f"{len(dropped)} of its tensors have no place in"
        found = f"{found} transformers' model of {held.architecture}, {dropped[0]} for one"
        raise SetupFailed(doing, found, "expected all to be used", "Pass the model's own folder.")


def _mapped(held: Contents, config: Any) -> dict[str, tuple[str, ...]]:
    """Return the attributes that the loader writes keys to, by key."""
    from transformers.integrations.ggml import GGUF_CONFIG_MAPPING as TABLES

    tables: dict[str, Any] = TABLES
    table = tables.get(config.model_type) or tables.get(held.architecture) or {}
    return {key: (attribute,) for key, attribute in table.items() if attribute}


def _is_neutral(held: Contents, key: str, value: Any) -> bool:
    """Say whether a key says what is so without it."""
    if key == "attention.max_alibi_bias" and held.architecture == "bloom":
        return bool(value == 8.0)  # what the model does
    return key in _NEUTRAL and value == _NEUTRAL[key]


def _carry_value(config: Any, key: str, value: Any, attributes: tuple[str, ...], name: str) -> None:
    """Hold a value against the first of these attributes that the configuration has; write it where
    it differs.
    """
    rope = getattr(config, "rope_parameters", None) or {}
    if "rope_theta" in attributes and "rope_theta" in rope:
        rope["rope_theta"] = value
        return
    attribute = next((one for one in attributes if hasattr(config, one)), None)
    if attribute is None:
        raise _refusal(name, key, value)
    ours = getattr(config, attribute)
    if isinstance(value, list) or _is_same(ours, value):
        return
    is_size = isinstance(value, int) and not isinstance(value, bool)
    if is_size and ours is not None:
        raise _refusal(name, key, value, f"; the model has {ours}")
    setattr(config, attribute, value)


def _is_same(ours: Any, theirs: Any) -> bool:
    if isinstance(ours, int | float) and isinstance(theirs, int | float):
        return math.isclose(ours, theirs, rel_tol=1e-6)  # GGUF has floats of 32 bits
    return bool(ours == theirs)


def _carry_rotary_part(config: Any, rotated: int, name: str) -> None:
    """Carry the number of rotated dimensions of a head, where it is not all of them."""
    head_dim = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    rope = getattr(config, "rope_parameters", None) or {}
    part = rope.get("partial_rotary_factor", getattr(config, "partial_rotary_factor", 1.0))
    if rotated == int(head_dim * part):
        return
    if "partial_rotary_factor" not in rope and not hasattr(config, "partial_rotary_factor"):
        raise _refusal(name, "rope.dimension_count", rotated)
    if "partial_rotary_factor" in rope:
        rope["partial_rotary_factor"] = rotated / head_dim
    if hasattr(config, "partial_rotary_factor"):
        config.partial_rotary_factor = rotated / head_dim


def _carry_window(held: Contents, config: Any, value: Any, name: str) -> None:
    """Carry a window of attention. Where layers differ, it must be the configuration's already."""
    key = "attention.sliding_window"
    if getattr(config, "sliding_window", None) == value:
        return
    if value >= held.keys.get("context_length", math.inf):
        return
    if not hasattr(config, "sliding_window") or getattr(config, "layer_types", None):
        raise _refusal(name, key, value)
    config.sliding_window = value


def _carry_rope(held: Contents, config: Any, name: str) -> None:
    """Carry scaled rotary positions."""
    kind = str(held.keys.get(f"{_SCALING}type", "none"))
    known = {"type", "factor", "original_context_length", "finetuned", "attn_factor",
             "yarn_beta_fast", "yarn_beta_slow"}  # fmt: skip
    for key, value in held.keys.items():
        if key.startswith(_SCALING) and key.removeprefix(_SCALING) not in known:
            raise _refusal(name, key, value)
    if kind == "none" and not held.rope:
        if held.keys.get(f"{_SCALING}factor", 1.0) not in (0.0, 1.0):
            raise _refusal(name, f"{_SCALING}factor", held.keys[f"{_SCALING}factor"])
        return
    scaled = _scaled(held, kind, name)
    if not isinstance(getattr(config, "rope_parameters", None), dict):
        raise _refusal(name, f"{_SCALING}type", kind)
    config.rope_parameters = config.rope_parameters | scaled


def _scaled(held: Contents, kind: str, name: str) -> dict[str, Any]:
    """Return the parameters that transformers has for this kind of scaling."""
    factor = held.keys.get(f"{_SCALING}factor", 1.0)
    original = held.keys.get(f"{_SCALING}original_context_length")
    if held.rope:
        return _by_factors(held, original, name)
    if kind == "linear":
        return {"rope_type": "linear", "factor": factor}
    if kind == "yarn" and held.keys.get(f"{_SCALING}attn_factor", 1.0) == 1.0:
        made = {"rope_type": "yarn", "factor": factor}
        if original:
            made["original_max_position_embeddings"] = original
        for beta in ("beta_fast", "beta_slow"):
            if (key := f"{_SCALING}yarn_{beta}") in held.keys:
                made[beta] = held.keys[key]
        return made
    raise _refusal(name, f"{_SCALING}type", kind)


def _by_factors(held: Contents, original: Any, name: str) -> dict[str, Any]:
    """Return longrope: factors that divide each frequency, for short texts and for long ones."""
    context = held.keys.get("context_length")
    short: list[float] | None
    long: list[float] | None
    attention: Any = None
    if (every := held.rope.get("rope_freqs.weight")) is not None:
        short = long = every
        attention = 1.0
    else:
        short, long = (held.rope.get(f"rope_factors_{one}.weight") for one in ("short", "long"))
        attention = held.keys.get(f"{_SCALING}attn_factor")
    if short is None or long is None or not context:
        raise _refusal(name, "rope_factors", "of one length only")
    original = original or context
    made = {"rope_type": "longrope", "short_factor": short, "long_factor": long}
    made |= {"original_max_position_embeddings": original, "factor": context / original}
    return made if attention is None else made | {"attention_factor": attention}


def _refusal(name: str, key: str, value: Any, why: str = "") -> SetupFailed:
    return SetupFailed(
        f"converting {name}",
        f"its {key} is {str(value)[:60]}, which transformers cannot take from a GGUF file{why}",
        "the converted model would be another one",
        "Pass the model's own folder.",
    )
