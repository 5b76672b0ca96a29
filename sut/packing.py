"""Linear layers whose weights lie as the processor's matrix kernels want them (oneDNN's blocked layout).

A plain weight is rearranged anew in every product, which for the few rows of a decode step costs more than the product. Packed
once, at load, SmolLM2-135M's vocabulary projection (576 to 49,152) takes, in microseconds on 2 cores with AVX-512, for
    rows          1        8       32                 1       8      32
    fp32 plain    11,900   17,200  26,500     bf16    3,500   4,800   7,600
    fp32 packed    4,200    4,600  10,200             2,500   2,600   5,500
Weights shared with an embedding then exist twice: the embedding keeps the plain ones.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

_ROWS = 32  # the packing is a little better for batches near this size, and good for all
_LEAST_FEATURES = 64  # a LoRA's narrow matrices gain nothing, and peft reads their weights
_DTYPES = (torch.float32, torch.bfloat16)


class PackedLinear(nn.Module):
    """y = x W^T + b for inference on the CPU; x is (..., in_features)."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.in_features, self.out_features = linear.in_features, linear.out_features
        self.dtype = linear.weight.dtype
        self.packed = torch.ops.mkldnn._reorder_linear_weight(linear.weight.detach(), _ROWS)
        self.bias = None if linear.bias is None else linear.bias.detach()

    @property
    def num_bytes(self) -> int:
        bias_bytes = 0 if self.bias is None else self.bias.numel() * self.bias.element_size()
        return self.in_features * self.out_features * self.dtype.itemsize + bias_bytes

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.ops.mkldnn._linear_pointwise(x, self.packed, self.bias, "none", [], "")

    def extra_repr(self) -> str:
        return f"in_features={self.in_features}, out_features={self.out_features}, dtype={self.dtype}"


def pack(model: nn.Module) -> int:
    """Replace the model's plain linear layers in place; how many. Leaves alone what is not plain, or not on the CPU."""
    if not can_pack():
        return 0
    names = [name for name, module in model.named_modules() if _is_plain(module)]
    for name in names:
        parent, _, child = name.rpartition(".")
        owner = model.get_submodule(parent)
        setattr(owner, child, PackedLinear(owner.get_submodule(child)))  # type: ignore[arg-type]
    return len(names)


def can_pack() -> bool:
    return torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_reorder_linear_weight")


def _is_plain(module: Any) -> bool:
    return (
        type(module) is nn.Linear
        and module.weight.device.type == "cpu"
        and module.weight.dtype in _DTYPES
        and min(module.in_features, module.out_features) >= _LEAST_FEATURES
        and not hasattr(module, "_hf_hook")  # accelerate moves it about
    )
