"""Rows rounded to FP8 by one kernel of Triton, where torch takes five: scale, quotient and rounding
of a row in one pass over it. A decode step of 32 layers rounds 128 times.

Needs Triton, which torch brings along on machines with a GPU, and a row that fits one block.
"""

from __future__ import annotations

import torch
import triton  # type: ignore[import-not-found]
import triton.language as tl  # type: ignore[import-not-found]

from sut.precision.fp8.products import E4M3, quantised

_MOST_INPUTS = 32_768
_WARP_VALUES = 2_048  # of a row for each group of 32 threads


@triton.jit  # type: ignore[untyped-decorator]
def _round_row(  # type: ignore[no-untyped-def]
    x, codes, scales, inputs, smallest, LARGEST: tl.constexpr, BLOCK: tl.constexpr
):
    """Round the row of this program. With a value that is no number, its scale is none either."""
    row = tl.program_id(0).to(tl.int64)
    at = tl.arange(0, BLOCK)
    is_there = at < inputs
    values = tl.load(x + row * inputs + at, mask=is_there, other=0.0).to(tl.float32)
    scale = tl.maximum(tl.max(tl.abs(values), axis=0), smallest) / LARGEST
    scale += tl.sum(values - values, axis=0)
    rounded = tl.div_rn(values, scale).to(tl.float8e4nv)
    tl.store(codes + row * inputs + at, rounded, mask=is_there)
    tl.store(scales + row, scale)


def rounded(x: torch.Tensor, is_by_row: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """Return what `products.quantised` returns for x (N, I)."""
    inputs = x.shape[1]
    if not is_by_row or inputs > _MOST_INPUTS:
        return quantised(x, is_by_row)
    x = x.contiguous()
    codes = torch.empty(x.shape, dtype=E4M3, device=x.device)
    scales = torch.empty((len(x), 1), dtype=torch.float32, device=x.device)
    block = triton.next_power_of_2(inputs)
    warps = min(max(block // _WARP_VALUES, 4), 16)
    _round_row[(len(x),)](x, codes, scales, inputs, 1e-12, 448.0, block, num_warps=warps)
    return codes, scales
