"""How many tokens, padding included, does a batch of texts hold?

On the CPU 2,048: caches decide there, and larger batches are no faster. On a GPU the smallest
number whose speed is within 3 % of the best, among 2,048, 4,096 ... 65,536: those that half of the
free memory can take, as far as the texts fill them. It is measured on texts as long as the longest,
through the first layers alone, which takes a fifteenth of the time; all layers of a kind cost the
same.

What a token takes in a pass is estimated from the configuration, on the safe side: the widest
layer's activations in float32, scores of attention where they exist at once, logits where a model
gives them for a whole batch. Should memory run out all the same, the batch is halved (`scoring`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch

from sut.likelihood.forward.device import is_gpu
from sut.likelihood.forward.output_layer import OutputLayer
from sut.model import faults, peak

_CPU, _GPU = 2048, 16_384  # a GPU's where speed is not measured
_LEAST, _MOST = 2048, 65_536
_NEAR = 0.97  # of the best speed
_FREE_SHARE = 0.5
_HIDDEN_COPIES, _INNER_COPIES = 12, 4  # of a token's activations that exist at once
_FLOAT = 4

Seconds = Callable[[int], float | None]  # (tokens of a batch) -> of a pass; None: no memory for it
Timed = Callable[[Callable[[], None]], float]  # (work) -> seconds that the device takes for it


def batch_tokens(layers: Sequence[OutputLayer], longest: int, all_tokens: int) -> int:
    """Return the size for texts of up to `longest` tokens, `all_tokens` together."""
    device = layers[0].device
    if not is_gpu(device):
        return _CPU
    token_bytes = sum(bytes_per_token(layer, longest) for layer in layers)
    free_bytes = _free_bytes(device)
    fitting = sizes(longest, all_tokens, int(_FREE_SHARE * free_bytes / token_bytes))
    if len(fitting) == 1 or not all(is_free_to_choose(layer.model) for layer in layers):
        return min(_GPU, fitting[-1])
    return best(fitting, partial(seconds_of, layers, longest, partial(_on_the_gpu, device)))


def sizes(longest: int, all_tokens: int, room_tokens: int) -> list[int]:
    """Return the sizes that are worth trying, ascending; at least one."""
    most = min(_MOST, room_tokens, 2 * all_tokens)
    found = [_LEAST]
    while found[-1] * 2 <= most:
        found.append(found[-1] * 2)
    return [size for size in found if size >= longest] or [found[-1]]


def best(candidates: Sequence[int], seconds: Seconds) -> int:
    """Return the smallest size whose tokens a second are near the best; sizes beyond one that does
    not fit are not tried.
    """
    rates: dict[int, float] = {}
    for size in candidates:
        took = seconds(size)
        if took is None:
            break
        rates[size] = size / max(took, 1e-9)
    highest = max(rates.values(), default=0.0)
    return next((size for size, rate in rates.items() if rate >= _NEAR * highest), candidates[0])


def bytes_per_token(layer: OutputLayer, longest: int) -> int:
    """Return what a token of a batch takes at most while the batch passes through the model."""
    config = layer.model.config.get_text_config(decoder=True)
    hidden = _number(config, "hidden_size", "n_embd", "d_model", least=1)
    inner = _number(config, "intermediate_size", "ffn_dim", "n_inner", least=4 * hidden)
    found = _FLOAT * (_HIDDEN_COPIES * hidden + _INNER_COPIES * inner)
    if getattr(layer.model.config, "_attn_implementation", None) == "eager":
        found += 3 * _FLOAT * longest * _number(config, "num_attention_heads", "n_head", least=1)
    if not layer.in_pieces:
        found += 3 * _FLOAT * _number(config, "vocab_size", least=1)
    return found


def _number(config: Any, *names: str, least: int) -> int:
    """Return the largest of the settings of these names: experts have a width of their own."""
    values = [getattr(config, name, None) for name in names]
    return max([least, *(value for value in values if isinstance(value, int))])


def _free_bytes(device: torch.device) -> int:
    """Return what the driver has left, and what torch holds without using it."""
    held = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return peak.free_bytes(device) + held


def is_free_to_choose(model: Any) -> bool:
    """Say whether a measurement may decide: not for a model on several devices, since the events of
    one do not tell of the others; nor for bitsandbytes' INT8, whose figures depend on who shares a
    batch and would then depend on the time that something took.
    """
    devices = {parameter.device for parameter in model.parameters()}
    return len(devices) == 1 and not getattr(model, "is_loaded_in_8bit", False)


def seconds_of(
    layers: Sequence[OutputLayer], longest: int, timed: Timed, tokens: int
) -> float | None:
    """Time a pass of this size, after one that is not counted; None where memory runs out."""
    rows = max(1, tokens // longest)

    def work() -> None:
        for layer in layers:
            layer.try_pass(rows, longest)

    try:
        work()
        return timed(work) * tokens / (rows * longest)
    except RuntimeError as error:
        if not faults.is_out_of_memory(error):
            raise
    return None


def _on_the_gpu(device: torch.device, work: Callable[[], None]) -> float:
    new: Any = torch.cuda.Event
    start, end = new(enable_timing=True), new(enable_timing=True)
    with torch.cuda.device(device):
        start.record()
        work()
        end.record()
    end.synchronize()
    return float(start.elapsed_time(end)) / 1e3
