"""How are the weights stored and multiplied? One verb per precision (weights in, model out), one line each in the table."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple


class Precision(NamedTuple):
    """`load(path, **options)` returns a transformers model ready for inference."""

    load: Callable[..., Any]
    summary: str


def _in_dtype(dtype_name: str, path: str, **options: Any) -> Any:
    import torch
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(path, dtype=getattr(torch, dtype_name), **options)


TABLE = {
    "fp32": Precision(partial(_in_dtype, "float32"), "32-bit floats: the reference"),
    "bf16": Precision(partial(_in_dtype, "bfloat16"), "bfloat16: the range of fp32, 8 bits of mantissa"),
    "fp16": Precision(partial(_in_dtype, "float16"), "half precision: 11 bits of mantissa, smaller range"),
}
