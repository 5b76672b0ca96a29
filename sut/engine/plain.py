"""What does the model itself say? Its plain forward pass: one text at a time, without cache, mask,
padding or batch. All ways of serving are held against it, and it is held against two rules:

    finite    its logits are numbers; -inf is allowed for tokens that are masked out
    causal    a token that is changed moves no logits before it, at several places: else a
              perplexity would know what comes next, and no cache could serve the model

Long texts go through the first layers alone: as many as it takes to have one of each kind. Masks,
windows and rotary tables are the same in all layers of a kind, and two of thirty cost a fifteenth.

Shapes: T tokens, K of them kept, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from harness.kernel.errors import SetupFailed
from sut.engine import state

_LEAST_LAYERS = 2
_OWN_NUMBERS = ("layer_idx", "layer_id", "layer_index", "layer_number", "block_idx")


@torch.inference_mode()
def logits_of(model: Any, ids: Sequence[int], keep: Sequence[int]) -> torch.Tensor:
    """Return (K, V) at the positions `keep` of a text."""
    if len(ids) > 1 and remembers(model):
        logits_of(model, ids[:1], [0])
    input_ids = torch.tensor([list(ids)], device=model.device)
    arguments: dict[str, Any] = {}
    if takes(model, "use_cache"):
        arguments["use_cache"] = False
    if keeps_logits(model):
        arguments["logits_to_keep"] = torch.tensor(list(keep), device=model.device)
    logits: torch.Tensor = model(input_ids=input_ids, **arguments).logits[0]
    return logits if len(logits) == len(keep) < len(ids) else logits[list(keep)]


def remembers(model: Any) -> bool:
    """Say whether a pass depends on those before it: a dynamic rotary table grows with the longest
    text so far, until a short one comes.
    """
    rope = getattr(model.config.get_text_config(decoder=True), "rope_parameters", None) or {}
    tables = [rope, *(table for table in rope.values() if isinstance(table, dict))]
    return any("dynamic" in str(table.get("rope_type")) for table in tables)


def takes(model: Any, name: str) -> bool:
    """Say whether the forward pass knows an argument of that name."""
    return name in state.parameters(model)


def keeps_logits(model: Any) -> bool:
    """Say whether the forward pass can leave out the logits that nobody asks for."""
    return takes(model, "logits_to_keep")


def check_finite(model: Any, logits: torch.Tensor, ids: Sequence[int]) -> None:
    """Raise SetupFailed unless each row of (K, V) has a highest logit that is a number."""
    if bool(logits.max(-1).values.isfinite().all()):
        return
    dtype = str(model.dtype).removeprefix("torch.")
    raise SetupFailed(
        f"trying model {model.name_or_path!r}",
        f"its logits are not finite (NaN or infinite) after a prompt of {len(ids)} tokens",
        f"its activations may exceed the range of {dtype}",
        "Choose another variant, such as bf16 or fp32.",
    )


def check_causal(
    model: Any, ids: Sequence[int], changed: Sequence[int], other: int, allowed: float, apart: Any
) -> None:
    """Raise SetupFailed if the logits of a token move when the last tokens, of each number in
    `changed`, become `other`. `apart` measures the distance of two (K, V), `allowed` is rounding.
    """
    ends = [len(ids) - count for count in changed]
    keep = sorted({*range(0, min(ends), max(1, min(ends) // 8)), *(end - 1 for end in ends)})
    before = logits_of(model, ids, keep)
    moved = 0.0
    for end in ends:
        after = logits_of(model, [*ids[:end], *[other] * (len(ids) - end)], keep)
        same = [i for i, place in enumerate(keep) if place < end]
        moved = max(moved, float(apart(after[same], before[same]).max()))
    if moved <= allowed:
        return
    raise SetupFailed(
        f"trying model {model.name_or_path!r}",
        f"the logits of a token change with the tokens that follow it (1 - cosine {moved:.2g}, "
        f"in a text of {len(ids)} tokens)",
        "a causal language model does not know what comes next",
        "Choose another model, or make this one a decoder (is_decoder in its config.json).",
    )


@contextmanager
def first_layers(model: Any) -> Iterator[None]:
    """Leave only the first layers in the model, one of each kind at least, until the end of the
    block. A model without a list of layers keeps all.
    """
    found = _stack(model)
    if found is None:
        yield
        return
    owner, name, layers = found
    owner._modules[name] = layers[: _kept(layers)]
    try:
        yield
    finally:
        owner._modules[name] = layers


def _stack(model: Any) -> tuple[nn.Module, str, nn.ModuleList] | None:
    """Return the list of layers, its owner and its name there."""
    config = model.config.get_text_config(decoder=True)
    count = getattr(config, "num_hidden_layers", None)
    for owner in model.modules():
        for name, module in owner._modules.items():
            if isinstance(module, nn.ModuleList) and len(module) == count:
                return owner, name, module
    return None


def _kept(layers: nn.ModuleList) -> int:
    kinds = [_kind(layer) for layer in layers]
    last_new = max(kinds.index(kind) for kind in set(kinds))
    return max(_LEAST_LAYERS, last_new + 1)


def _kind(layer: nn.Module) -> Hashable:
    """Return what is alike in layers of one kind: the classes of their parts, and their settings
    (a window, whether positions turn). Which layer it is counts for nothing.
    """
    return tuple((name, type(part), _settings(part)) for name, part in layer.named_modules())


def _settings(part: nn.Module) -> Hashable:
    return tuple(
        (name, value)
        for name, value in sorted(vars(part).items())
        if isinstance(value, bool | int | float | str | None) and name not in _OWN_NUMBERS
    )
