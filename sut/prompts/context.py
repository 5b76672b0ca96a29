"""How many tokens does a model take? As its configuration says, under whichever name.

A configuration names its longest text in one of these ways, and many that need no limit (BLOOM's
ALiBi, Mamba's state) in none. Then the tokenizer's `model_max_length` counts, unless that is the
huge number that stands for "not known"; and where nobody names a limit there is none.

Scaled rotary positions reach beyond `max_position_embeddings` where that is still the length before
scaling. Yarn says so (`factor` times `original_max_position_embeddings`), dynamic scaling means it
by its formula. Linear scaling does not tell: Gemma 3 and DeepSeek Coder name the scaled length,
Vicuna the unscaled one beside a `max_sequence_length`; so the largest length that is named counts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

_OWN = ("max_position_embeddings", "n_positions")  # what the library's models are built with
_OTHER = (
    "max_seq_len",  # MPT, DBRX
    "max_target_positions",  # Whisper
    "n_ctx",
    "seq_length",
    "max_sequence_length",
    "max_seq_length",
    "context_length",
    "model_max_length",
)
_UNKNOWN = 10**9  # tokenizers write 1e30 where they know no limit
_ROBERTAS = (
    "roberta",
    "roberta-prelayernorm",
    "camembert",
    "xlm-roberta",
    "xlm-roberta-xl",
    "data2vec-text",
    "xmod",
)
# Their positions begin this many rows behind the padding's: transformers'
# create_position_ids_from_input_ids; ProphetNet also looks one position ahead.
_BEHIND_PADDING = dict.fromkeys(_ROBERTAS, 1) | {"prophetnet": 2}


def context_of(config: Any, tokenizer: Any = None) -> int | None:
    """Return the most tokens that a text and its answer may have together; None: no limit."""
    text = config.get_text_config()
    own, other = list(_named(text, _OWN)), list(_named(text, _OTHER))
    if own:
        return _scaled(text, own[0], max(own + other)) - _reserved(text)
    if other:
        return _scaled(text, min(other), max(other))
    return next(_named(tokenizer, ("model_max_length",)), None)


def _named(owner: Any, names: tuple[str, ...]) -> Iterator[int]:
    """Yield the lengths that `owner` has under these names; -1, 0 and 1e30 are none."""
    for name in names:
        value = getattr(owner, name, None)
        if isinstance(value, int | float) and 0 < value < _UNKNOWN:
            yield int(value)


def _scaled(text: Any, length: int, largest: int) -> int:
    """Return the length with scaled rotary positions; `largest` is the largest that is named."""
    lengths = [length]
    for rope in _rope_parameters(text):
        factor = rope.get("factor") or 1.0
        original = rope.get("original_max_position_embeddings")
        kind = rope.get("rope_type") or rope.get("type")
        if kind in ("yarn", "linear", "dynamic") and original:
            lengths.append(int(factor * original))
        elif kind == "dynamic":
            lengths.append(int(factor * length))
        elif kind == "linear" and factor > 1:
            lengths.append(largest)
    return max(lengths)


def _rope_parameters(text: Any) -> list[Mapping[str, Any]]:
    """Return the parameters of rotary positions: one set, or one per type of layer."""
    found = getattr(text, "rope_parameters", None) or getattr(text, "rope_scaling", None)
    if not isinstance(found, Mapping):
        return []
    by_layer = [value for value in found.values() if isinstance(value, Mapping)]
    return by_layer or [found]


def _reserved(text: Any) -> int:
    """Return how many of the learned positions stand before the first token's."""
    behind = _BEHIND_PADDING.get(text.model_type)
    return 0 if behind is None else int(text.pad_token_id or 0) + behind
