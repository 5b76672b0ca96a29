"""Linear layers in FP8 (e4m3: 4 bits of exponent, 3 of mantissa, at most 448), weights and
activations alike: y = (x / s_x)(W / s_w)^T s_x s_w, each quotient rounded to FP8, sums in float32.

    fp8          s_w of each output row, s_x of each token
    fp8-tensor   one s_w, one s_x of all tokens of a pass: answers depend on who shares the batch

Scales bring the largest value to 448 and are found anew for the activations of every pass. GPUs of
compute capability 8.9 and later multiply FP8 themselves (`torch._scaled_mm`, with the short sums
that servers use as well); the product is tried at load, and where it fails, or differs, and on the
CPU the same is computed in float32: the quality is that of FP8, the speed is not.

Shapes: N tokens, I inputs, O outputs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import nn
from torch.nn.functional import linear

from harness.kernel.errors import first_line
from sut.model import findings
from sut.precision.quanto import as_linear

E4M3 = torch.float8_e4m3fn
LARGEST = torch.finfo(E4M3).max  # 448
KERNEL, EMULATED = "torch._scaled_mm", "emulated in float32"
_SMALLEST = 1e-12  # a scale of nothing but zeros
_UNBIAS = 2.0**120  # e4m3's exponents begin at -7, float32's at -127
_NEIGHBOURS = (("q_proj", "k_proj", "v_proj"), ("gate_proj", "up_proj"))
_TRIAL_TOKENS, _SAME = 17, 0.02  # |a - b| / |b|: short sums round once in a while
_REFUSALS = (RuntimeError, NotImplementedError, ValueError, TypeError)

# (x in FP8 (N, I), s_x (N, 1) or (1, 1), W in FP8 (O, I), s_w (O, 1) or (1, 1), bias (O,) or None,
# type of the result) -> (N, O)
Multiply = Callable[..., torch.Tensor]


def by_kernel(
    x: torch.Tensor,
    x_scale: torch.Tensor,
    weight: torch.Tensor,
    scale: torch.Tensor,
    bias: torch.Tensor | None,
    dtype: torch.dtype,
) -> torch.Tensor:
    """Multiply as the device does."""
    y: torch.Tensor = torch._scaled_mm(
        x, weight.t(), x_scale, scale.t(), bias=bias, out_dtype=dtype, use_fast_accum=x.is_cuda
    )
    return y


def emulated(
    x: torch.Tensor,
    x_scale: torch.Tensor,
    weight: torch.Tensor,
    scale: torch.Tensor,
    bias: torch.Tensor | None,
    dtype: torch.dtype,
) -> torch.Tensor:
    """Multiply in float32, which holds each product of two FP8 values exactly; round once."""
    y = linear(x.float(), restored(weight)) * x_scale * scale.t()
    return (y if bias is None else y + bias.float()).to(dtype)


def restored(codes: torch.Tensor) -> torch.Tensor:
    """Return finite FP8 values in float32 by moving their bits, for which torch has no fast
    conversion on CPUs. Exponents that count from elsewhere are put right by one multiplication.
    """
    bits = codes.view(torch.int8).to(torch.int32).bitwise_left_shift_(20)
    return bits.bitwise_and_(-0x78000001).view(torch.float32).mul_(_UNBIAS)


class Product:
    """W and s_w of layers with the same input, their rows one after the other."""

    def __init__(self, layers: Sequence[nn.Linear], is_by_row: bool) -> None:
        self.is_by_row = is_by_row
        self.scale = _weight_scale(layers, is_by_row)  # (O, 1), or (1, 1)
        self.weight = _weight(layers, self.scale)  # (O, I) in FP8
        biases = [layer.bias.detach() for layer in layers if layer.bias is not None]
        self.bias = torch.cat(biases) if biases else None
        self.multiply: Multiply = emulated

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
        codes, x_scale = quantised(x.reshape(-1, x.shape[-1]), self.is_by_row)
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


def quantised(x: torch.Tensor, is_by_row: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """Return x (N, I) in FP8 and its scales: (N, 1), or (1, 1). A row with a value that is no
    number comes out as none, and leaves the others alone.
    """
    if is_by_row:
        largest = x.abs().amax(-1, keepdim=True)
    else:
        largest = x.abs().nan_to_num(0, 0).amax().view(1, 1)
        x = x + (x - x)  # infinity becomes NaN, which no conversion to FP8 rounds to 448
    scale = largest.float().clamp_min(_SMALLEST) / LARGEST
    return (x / scale).to(E4M3), scale


def quantize(model: Any, is_by_row: bool, kernel: Multiply | None) -> Any:
    """Quantise every linear layer but the output embedding, in place. `kernel` multiplies where it
    agrees with the emulation; None where the device has none.
    """
    head, products = model.get_output_embeddings(), list[Product]()
    for owner in list(model.modules()):
        for names in _groups(owner, head):
            layers = [_linear(getattr(owner, name)) for name in names]
            products.append(Product(layers, is_by_row))
            start = 0
            for name, layer in zip(names, layers, strict=True):
                setattr(owner, name, Fp8Linear(layer, products[-1], start))
                start += layer.out_features
    _note(model, is_by_row, [] if kernel is None else _choose(products, kernel, model.dtype))
    return model


def _weight_scale(layers: Sequence[nn.Linear], is_by_row: bool) -> torch.Tensor:
    largest = torch.cat([layer.weight.detach().abs().amax(-1, keepdim=True) for layer in layers])
    largest = largest if is_by_row else largest.amax().view(1, 1)
    return largest.float().clamp_min(_SMALLEST) / LARGEST


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


# ---- does the device multiply as the emulation does?


def _choose(products: Sequence[Product], kernel: Multiply, dtype: torch.dtype) -> list[str]:
    """Give each product the kernel if it agrees; return what was found against it, once each."""
    found: dict[tuple[int, ...], str] = {}
    for product in products:
        shape = (*product.weight.shape, len(product.scale))
        if shape not in found:
            found[shape] = _trial(product, kernel, dtype)
        if not found[shape]:
            product.multiply = kernel
    return list(dict.fromkeys(filter(None, found.values())))


def _trial(product: Product, kernel: Multiply, dtype: torch.dtype) -> str:
    """Return how a kernel differs from the emulation over a few tokens; empty if it does not."""
    inputs = product.weight.shape[1]
    spread = torch.linspace(-3, 3, _TRIAL_TOKENS * inputs, device=product.weight.device)
    x = spread.sin().view(_TRIAL_TOKENS, inputs).to(dtype)
    codes, x_scale = quantised(x, product.is_by_row)
    given = (codes, x_scale, product.weight, product.scale, product.bias, dtype)
    try:
        ours = kernel(*given).float()
    except _REFUSALS as error:
        return f"it refuses {tuple(product.weight.shape)}: {first_line(error)}"
    wanted = emulated(*given).float()
    distance = float((ours - wanted).norm() / wanted.norm().clamp_min(_SMALLEST))
    if distance <= _SAME:  # not a number is not near
        return ""
    return f"it differs by {distance:.2g} for {tuple(product.weight.shape)}"


def _note(model: Any, is_by_row: bool, against: Sequence[str]) -> None:
    """Say by what FP8 is multiplied, and what one scale for a whole batch means."""
    told = findings.of(model)
    layers = [layer for layer in model.modules() if isinstance(layer, Fp8Linear)]
    count = sum(layer.product.multiply is not emulated for layer in layers)
    told.facts["fp8_products"] = KERNEL if layers and count == len(layers) else EMULATED
    if count < len(layers):
        why = f" ({against[0]})" if against else ""
        told.notes.append(
            f"FP8 is emulated in {len(layers) - count} of {len(layers)} layers{why}: the quality is"
            " that of FP8, the speed is not"
        )
    if not is_by_row:
        told.notes.append(
            "all tokens of a pass share one scale, so an answer depends on the requests that are in"
            " the batch with it"
        )
