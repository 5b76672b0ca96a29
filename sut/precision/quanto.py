"""Linear layers with the weights of optimum-quanto: quanto chooses scales and integers, torch's
kernels multiply them.

quanto's own tensor subclass compiles an extension with a C++ compiler at first use and cannot run
in inference mode; these layers need neither. Shapes: O outputs, I inputs, G values per group, N
tokens. Microseconds on 2 cores, O 1536, I 576, bf16:

    N      bf16   int8 kernel   int8 restored   int4 kernel   int4 restored
    1        84        28           157              28           1804
    8       124       106           202              90           1705
    288    1357      3438          1873            2995           3566
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn.functional import linear

_KERNEL_TOKENS = 16  # above, restoring the 8-bit weights and multiplying floats is faster on a CPU
_GROUPS = (128, 64, 32)  # what the 4-bit kernel of torch takes


class Int8Linear(nn.Linear):
    """One scale per output row."""

    is_packed = True
    scale: torch.Tensor

    def __init__(self, source: nn.Linear) -> None:
        from optimum.quanto import AbsmaxOptimizer, qint8, quantize_weight

        super().__init__(source.in_features, source.out_features, bias=False, device="meta")
        matrix = source.weight.detach()
        scale = AbsmaxOptimizer()(matrix, qtype=qint8, axis=0)
        packed = quantize_weight(matrix, qtype=qint8, axis=0, scale=scale, optimized=False)
        self.weight = nn.Parameter(packed._data, requires_grad=False)  # (O, I) int8
        self.register_buffer("scale", packed._scale.flatten())  # (O,)
        self.bias = source.bias

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        scale = self.scale
        if (
            x.device.type == "cpu"
            and x.dtype == scale.dtype == torch.bfloat16
            and x[..., 0].numel() <= _KERNEL_TOKENS
        ):
            y = torch._weight_int8pack_mm(x.reshape(-1, self.in_features), self.weight, scale)
            y = y.view(*x.shape[:-1], self.out_features)
        else:
            y = linear(x, self.weight.to(x.dtype)) * scale
        return y if self.bias is None else y + self.bias


class Int4Linear(nn.Linear):
    """A scale and a zero for each group of inputs: weight = (q - 8) * scale + zero."""

    is_packed = True
    scale_zero: torch.Tensor

    def __init__(self, source: nn.Linear) -> None:
        super().__init__(source.in_features, source.out_features, bias=False, device="meta")
        outputs, inputs = source.weight.shape
        self.group = next((g for g in _GROUPS if inputs % g == 0), inputs)
        q, scale, zero = _int4(source.weight.detach(), self.group)
        fits = self.group in _GROUPS and outputs % 16 == 0
        self.kernel = fits and scale.device.type == "cpu" and scale.dtype == torch.bfloat16
        packed = (
            torch._convert_weight_to_int4pack_for_cpu(q.int(), 2)
            if self.kernel
            else q[:, ::2] | q[:, 1::2] << 4
        )
        self.weight = nn.Parameter(packed, requires_grad=False)  # O * I / 2 bytes
        self.register_buffer(
            "scale_zero", torch.stack([scale, zero], -1).transpose(0, 1).contiguous()
        )  # (I / G, O, 2)
        self.bias = source.bias

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.kernel and x.dtype == torch.bfloat16:
            y = torch._weight_int4pack_mm_for_cpu(
                x.reshape(-1, self.in_features), self.weight, self.group, self.scale_zero
            )
            y = y.view(*x.shape[:-1], self.out_features)
        else:
            y = linear(x, self._restored().to(x.dtype))
        return y if self.bias is None else y + self.bias

    def _restored(self) -> torch.Tensor:
        q = torch.stack([self.weight & 15, self.weight >> 4], -1).view(
            self.out_features, -1, self.group
        )
        scale, zero = self.scale_zero.transpose(0, 1).unsqueeze(-1).unbind(2)  # (O, I / G, 1) each
        return ((q.to(scale.dtype) - 8) * scale + zero).view(self.out_features, self.in_features)


def quantize(model: Any, kind: type[Int8Linear] | type[Int4Linear]) -> Any:
    """Quantise every linear layer but the output embedding, in place."""
    from transformers.pytorch_utils import Conv1D

    head = model.get_output_embeddings()
    for path, module in list(model.named_modules()):
        if isinstance(module, Conv1D):
            module = as_linear(module)
        if isinstance(module, nn.Linear) and module is not head:
            model.set_submodule(path, kind(module))
    return model


def _int4(matrix: torch.Tensor, group: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return q (O, I) in 0..15, scale and zero (O, I / G)."""
    from optimum.quanto import MaxOptimizer, qint4, quantize_weight

    outputs, inputs = matrix.shape
    scale, shift = MaxOptimizer()(matrix, qtype=qint4, axis=0, group_size=group)
    packed = quantize_weight(
        matrix, qtype=qint4, axis=0, scale=scale, shift=shift, group_size=group, optimized=False
    )
    halves = packed._data._data  # quanto puts the first half of its rows into the low bits
    q = torch.cat([halves & 15, halves >> 4])[: outputs * inputs // group].view(outputs, inputs)
    scale = packed._scale.view(outputs, -1)
    zero = 8 * scale.float() - packed._shift.view(outputs, -1).float()
    return q, scale, zero.to(scale.dtype)


def as_linear(module: Any) -> nn.Linear:
    """Return a linear layer; GPT-2 keeps its matrices transposed."""
    inputs, outputs = module.weight.shape
    made = nn.Linear(inputs, outputs, bias=module.bias is not None, device="meta")
    made.weight, made.bias = (
        nn.Parameter(module.weight.detach().t().contiguous(), requires_grad=False),
        module.bias,
    )
    return made
