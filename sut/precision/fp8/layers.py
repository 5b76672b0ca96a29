"""Linear layers in FP8, weights and activations alike.

    fp8          a scale of each output row, and of each token
    fp8-tensor   one of the weights, and one of all tokens of a pass: answers depend on who shares
                 the batch

Scales bring the largest value to 448. Those of the activations are found anew in every pass. Layers
that see the same input (queries, keys and values; gate and up) lie in one matrix, so that a decode
step rounds their input once and multiplies once.

Shapes: I inputs, O outputs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import nn

from sut.precision.fp8.products import (
    E4M3,
    LARGEST,
    SMALLEST,
    Multiply,
    Rounding,
    emulated,
    quantised,
)
from sut.precision.quanto import as_linear

_NEIGHBOURS = (("q_proj", "k_proj", "v_proj"), ("gate_proj", "up_proj"))


class Product:
    """W and s_w of layers with the same input, their rows one after the other."""

    def __init__(self, layers: Sequence[nn.Linear], is_by_row: bool) -> None:
        self.is_by_row = is_by_row
        self.scale = _weight_scale(layers, is_by_row)  # (O, 1), or (1, 1)
        self.weight = _weight(layers, self.scale)  # (O, I) in FP8
        biases = [layer.bias.detach() for layer in layers if layer.bias is not None]
        self.bias = torch.cat(biases) if biases else None
        self.multiply: Multiply = emulated
        self.rounding: Rounding = quantised

    def whole(self, x: torch.Tensor) -> torch.Tensor:
        """Return (..., O) for x (..., I)."""
        return self.of(x, self.weight, self.scale, self.bias)

    def of(
        self,
        x: torch.Tensor,
        weight: torch.Tensor,
        scale: torch.Tensor,
        bias: torch.Tensor | None,
    ) -> torch.Tensor:
        """Return the same for some of the rows."""
        codes, x_scale = self.rounding(x.reshape(-1, x.shape[-1]), self.is_by_row)
        y = self.multiply(codes, x_scale, weight, scale, bias, x.dtype)
        return y.view(*x.shape[:-1], -1)


class Fp8Linear(nn.Linear):
    """One layer of a product, whose memory it shares. Its weight is told as bytes: peft rounds an
    adapter to the type of the weight where that is a float.
    """

    is_fp8 = True
    scale: torch.Tensor

    def __init__(self, source: nn.Linear, product: Product, start: int) -> None:
        super().__init__(source.in_features, source.out_features, bias=False, device="meta")
        rows = slice(start, start + source.out_features)
        codes = product.weight[rows].view(torch.uint8)  # (O, I)
        self.weight = nn.Parameter(codes, requires_grad=False)
        self.register_buffer("scale", product.scale[rows] if product.is_by_row else product.scale)
        self.bias = source.bias
        self.product = product

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.product.of(x, self.weight.view(E4M3), self.scale, self.bias)


def quantize(model: Any, is_by_row: bool) -> Any:
    """Quantise every linear layer but the output embedding, in place."""
    head = model.get_output_embeddings()
    for owner in list(model.modules()):
        for names in _groups(owner, head):
            layers = [_linear(getattr(owner, name)) for name in names]
            product, start = Product(layers, is_by_row), 0
            for name, layer in zip(names, layers, strict=True):
                setattr(owner, name, Fp8Linear(layer, product, start))
                start += layer.out_features
    return model


def _weight_scale(layers: Sequence[nn.Linear], is_by_row: bool) -> torch.Tensor:
    largest = torch.cat([layer.weight.detach().abs().amax(-1, keepdim=True) for layer in layers])
    largest = largest if is_by_row else largest.amax().view(1, 1)
    return largest.float().clamp_min(SMALLEST) / LARGEST


def _weight(layers: Sequence[nn.Linear], scale: torch.Tensor) -> torch.Tensor:
    """Divide and round layer by layer, which keeps the memory of the quotients small."""
    parts, start = [], 0
    for layer in layers:
        own = scale if len(scale) == 1 else scale[start : start + layer.out_features]
        parts.append((layer.weight.detach() / own).to(E4M3))
        start += layer.out_features
    return torch.cat(parts) if len(parts) > 1 else parts[0]


def _groups(owner: nn.Module, head: Any) -> Iterator[tuple[str, ...]]:
    """Return the names of an owner's linear layers: neighbours with the same input together."""
    from transformers.pytorch_utils import Conv1D

    found = {
        name: layer
        for name, layer in owner.named_children()
        if isinstance(layer, nn.Linear | Conv1D) and layer is not head
    }
    for names in _NEIGHBOURS:
        layers = [found[name] for name in names if name in found]
        alike = {(type(one), one.weight.shape[-1], one.bias is None) for one in layers}
        if len(layers) == len(names) and len(alike) == 1:
            yield names
            found = {name: layer for name, layer in found.items() if name not in names}
    yield from ((name,) for name in found)


def _linear(module: Any) -> nn.Linear:
    return module if isinstance(module, nn.Linear) else as_linear(module)
