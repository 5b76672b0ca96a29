"""The product of two matrices in FP8 (e4m3: 4 bits of exponent, 3 of mantissa, at most 448), and
how activations become FP8: y = (x / s_x)(W / s_w)^T s_x s_w, each quotient rounded, the sums in
float32.

GPUs of compute capability 8.9 and later multiply FP8 themselves (with the short sums that servers
use as well). Elsewhere the same is computed in float32.

Shapes: N tokens, I inputs, O outputs. Scales are float32: (N, 1) and (O, 1), or (1, 1) for all.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch.nn.functional import linear

E4M3 = torch.float8_e4m3fn
LARGEST = torch.finfo(E4M3).max  # 448
SMALLEST = 1e-12  # a scale of nothing but zeros
_UNBIAS = 2.0**120  # e4m3's exponents begin at -7, float32's at -127

# (x in FP8 (N, I), s_x, W in FP8 (O, I), s_w, bias (O,) or None, type of the result) -> (N, O)
Multiply = Callable[..., torch.Tensor]
# (x (N, I), whether each row has a scale of its own) -> (x in FP8, s_x)
Rounding = Callable[[torch.Tensor, bool], tuple[torch.Tensor, torch.Tensor]]


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


def quantised(x: torch.Tensor, is_by_row: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """Return x (N, I) in FP8 and its scales: (N, 1), or (1, 1). A row with a value that is no
    number comes out as none, and leaves the others alone.
    """
    if is_by_row:
        largest = x.abs().amax(-1, keepdim=True)
    else:
        largest = x.abs().nan_to_num(0, 0).amax().view(1, 1)
        x = x + (x - x)  # infinity becomes NaN, which no conversion to FP8 rounds to 448
    scale = largest.float().clamp_min(SMALLEST) / LARGEST
    return (x / scale).to(E4M3), scale
