"""Does the device multiply, and round, as the emulation does? Asked at load of every shape: where a
kernel fails or differs, the emulation serves, and a note says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch

from harness.kernel.errors import first_line
from sut.model import findings
from sut.precision.fp8.layers import Fp8Linear, Product
from sut.precision.fp8.products import SMALLEST, Multiply, Rounding, emulated, quantised

KERNEL, EMULATED = "torch._scaled_mm", "emulated in float32"
_TRIAL_TOKENS, _SAME = 17, 0.02  # |a - b| / |b|: short sums round once in a while
_REFUSALS = (RuntimeError, NotImplementedError, ValueError, TypeError, AttributeError)


def choose(model: Any, kernel: Multiply | None, rounding: Rounding | None) -> None:
    """Give each product of a model the kernel that multiplies and the one that rounds, if they
    agree with the emulation; None where the device has none.
    """
    layers = [layer for layer in model.modules() if isinstance(layer, Fp8Linear)]
    products = {id(layer.product): layer.product for layer in layers}.values()
    against = [] if kernel is None else _try_kernel(products, kernel, model.dtype)
    if rounding is not None and all(_rounds(one, rounding, model.dtype) for one in products):
        for product in products:
            product.rounding = rounding
    _note(model, layers, against)


def _try_kernel(products: Iterable[Product], kernel: Multiply, dtype: torch.dtype) -> list[str]:
    """Give each product the kernel if it agrees; return what was found against it, once each."""
    found: dict[tuple[int, ...], str] = {}
    for product in products:
        shape = (*product.weight.shape, len(product.scale))
        if shape not in found:
            found[shape] = _against(product, kernel, dtype)
        if not found[shape]:
            product.multiply = kernel
    return list(dict.fromkeys(filter(None, found.values())))


def _against(product: Product, kernel: Multiply, dtype: torch.dtype) -> str:
    """Return how a kernel differs from the emulation over a few tokens; empty if it does not."""
    codes, x_scale = quantised(_inputs(product, dtype), product.is_by_row)
    given = (codes, x_scale, product.weight, product.scale, product.bias, dtype)
    try:
        ours = kernel(*given).float()
    except _REFUSALS as error:
        return f"it refuses {tuple(product.weight.shape)}: {first_line(error)}"
    distance = _distance(ours, emulated(*given).float())
    if distance <= _SAME:  # not a number is not near
        return ""
    return f"it differs by {distance:.2g} for {tuple(product.weight.shape)}"


def _rounds(product: Product, rounding: Rounding, dtype: torch.dtype) -> bool:
    """Say whether it rounds as torch does, but for values half-way between two."""
    x = _inputs(product, dtype)
    spoilt = x[:2].clone()
    spoilt[0, 0] = float("nan")
    try:
        (ours, its), (theirs, scale) = (f(x, product.is_by_row) for f in (rounding, quantised))
        is_same = _distance(ours.float() * its, theirs.float() * scale) <= _SAME
        codes, scale = rounding(spoilt, product.is_by_row)
        return is_same and not bool((codes.float() * scale)[0].isfinite().any())
    except _REFUSALS:
        return False


def _inputs(product: Product, dtype: torch.dtype) -> torch.Tensor:
    """Return a few tokens, (N, I), each of another size."""
    inputs, device = product.weight.shape[1], product.weight.device
    spread = torch.linspace(-30, 30, _TRIAL_TOKENS * inputs, device=device)
    return (spread.sin() * (1 + spread.abs())).view(_TRIAL_TOKENS, inputs).to(dtype)


def _distance(ours: torch.Tensor, theirs: torch.Tensor) -> float:
    return float((ours - theirs).norm() / theirs.norm().clamp_min(SMALLEST))


def _note(model: Any, layers: Sequence[Fp8Linear], against: Sequence[str]) -> None:
    """Say by what FP8 is multiplied, and what one scale for a whole batch means."""
    told = findings.of(model)
    count = sum(layer.product.multiply is not emulated for layer in layers)
    told.facts["fp8_products"] = KERNEL if layers and count == len(layers) else EMULATED
    if count < len(layers):
        why = f" ({against[0]})" if against else ""
        told.notes.append(
            f"FP8 is emulated in {len(layers) - count} of {len(layers)} layers{why}: the quality is"
            " that of FP8, the speed is not"
        )
    if any(not layer.product.is_by_row for layer in layers):
        told.notes.append(
            "all tokens of a pass share one scale, so an answer depends on the requests that are in"
            " the batch with it"
        )
