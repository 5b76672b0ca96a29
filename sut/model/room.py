"""Has the GPU room for a model? Asked before anything is loaded: the least that its weights and the
cache of one request take, against what is free.

The least, because a model that would fit must not be refused: quantised layers are counted without
their scales, and nothing for what a pass computes. What runs out of memory later says so with the
peak (`sut.model.faults`).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.kernel.errors import SetupFailed
from sut.checkpoint import stored
from sut.checkpoint.stored import Stored

_BITS_OF_LAYERS = {"int8": 8, "nf4": 4}  # quantised while they are loaded
_BITS = {"fp32": 32} | dict.fromkeys(
    ("bf16", "fp16", "int8", "nf4", "fp8", "fp8-tensor", "int8-quanto", "int4-quanto"), 16
)  # of floats as they reach the device; quanto and FP8 begin with all of them
_NOT_QUANTISED = ("embed", "lm_head", "wte", "wpe", "output")
_FLOATS = ("float64", "float32", "float16", "bfloat16", "float8_e4m3fn", "float8_e5m2")
_GIB = 2**30


def check(path: str, variant: str, config: Any, longest: int, device: str) -> None:
    """Raise SetupFailed where a CUDA device has less free memory than the model needs at least;
    `longest` is the tokens of the longest request. Nothing where the files are not here yet.
    """
    if not device.startswith("cuda"):
        return
    import torch

    folder = stored.folder_of(path)
    held = {} if folder is None else stored.tensors(_readable(folder))
    base = _base(variant)
    weights, cache = weights_bytes(held, base), longest * token_bytes(config, base)
    free = int(torch.cuda.mem_get_info(torch.device(device))[0])
    if weights + cache <= free:
        return
    raise SetupFailed(
        f"loading model {path!r} as {variant} on {device}",
        f"it needs at least {(weights + cache) / _GIB:.2f} GiB ({weights / _GIB:.2f} for the"
        f" weights, {cache / _GIB:.2f} for the cache of one request), and {free / _GIB:.2f} are"
        " free",
        "expected a model that fits into the GPU's memory",
        "Choose a smaller variant, a shorter answer, another --device, or --device-map auto.",
    )


def needed_bytes(path: str, variant: str) -> int:
    """Return the least that a model's weights take in this variant; 0 where its files are not
    here.
    """
    folder = stored.folder_of(path)
    held = {} if folder is None else stored.tensors(_readable(folder))
    return weights_bytes(held, _base(variant))


def _base(variant: str) -> str:
    return variant.removeprefix("lora-") if variant != "lora" else "fp32"


def weights_bytes(held: Mapping[str, Stored], variant: str) -> int:
    """Return the least that stored tensors take on the device in this variant."""
    return sum(_tensor_bytes(name, tensor, variant) for name, tensor in held.items())


def _tensor_bytes(name: str, tensor: Stored, variant: str) -> int:
    bits = _BITS.get(variant)
    if bits is None or tensor.dtype not in _FLOATS:
        return tensor.num_bytes
    is_layer = len(tensor.shape) == 2 and not any(word in name for word in _NOT_QUANTISED)
    if is_layer:
        bits = _BITS_OF_LAYERS.get(variant, bits)
    return tensor.values * bits // 8


def token_bytes(config: Any, variant: str) -> int:
    """Return what a token takes in the cache, of 16 or 32 bits; 0 where the configuration does not
    tell.
    """
    text = config.get_text_config(decoder=True)
    layers, heads = (
        getattr(text, name, None) for name in ("num_hidden_layers", "num_attention_heads")
    )
    width = getattr(text, "hidden_size", None)
    if not (layers and heads and width):
        return 0
    kv_heads = getattr(text, "num_key_value_heads", None) or heads
    size = getattr(text, "head_dim", None) or width // heads
    keys_and_values = 2
    return int(keys_and_values * layers * kv_heads * size * (4 if variant == "fp32" else 2))


def _readable(folder: Path) -> list[Path]:
    """Return the weight files whose headers tell all: those of safetensors."""
    return [file for file in stored.files(folder) if file.suffix == ".safetensors"]
