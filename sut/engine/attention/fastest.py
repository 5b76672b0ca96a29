"""Which way of attention is the fastest on this device, for this model and these lengths?

Each is captured and replayed over random keys and values of the model's own shapes: one row, and a
few, half-way to the longest text of the run. Those that end where a row ends look at just that; the
others at all that the captured step reaches. Seconds are of one layer, both batches together.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch

from harness.kernel.errors import first_line
from sut.engine.attention.ways import Attention, candidates, head_size
from sut.engine.graphs.buckets import Buckets, whole_columns
from sut.engine.graphs.capture import Capture

_ROWS = (1, 8)
_MOST_COLUMNS = 8192  # a cache of 8 such rows takes 268 MB in 16 bits, with 8 heads of 128
_TIMES = 20


class Measured(NamedTuple):
    attention: Attention
    seconds: float
    error: str = ""  # it does not work here


def measured(model: Any, longest: int, capture: Capture) -> list[Measured]:
    """Return the ways with their times, the fastest first; those that do not work come last."""
    found = candidates(model)
    if len(found) > 1:
        return sorted(
            (_measured(one, model, longest, capture) for one in found), key=lambda m: m.seconds
        )
    return [Measured(found[0], 0.0)]


def _measured(attention: Attention, model: Any, longest: int, capture: Capture) -> Measured:
    try:
        seconds = sum(_seconds(attention, model, rows, longest, capture) for rows in _ROWS)
    except Exception as error:  # a compiler has errors of its own
        return Measured(attention, float("inf"), f"{type(error).__name__}: {first_line(error)}")
    return Measured(attention, seconds)


@torch.inference_mode()
def _seconds(attention: Attention, model: Any, rows: int, longest: int, capture: Capture) -> float:
    attend = _call(attention, model, rows, min(longest, _MOST_COLUMNS))
    return capture.seconds(capture(attend), _TIMES)


def _call(attention: Attention, model: Any, rows: int, longest: int) -> Callable[[], None]:
    """Return one call over random tensors, whose rows end half-way."""
    config, how = model.config, {"dtype": model.dtype, "device": model.device}
    heads, columns, half = config.num_key_value_heads, whole_columns(longest), longest // 2
    group = config.num_attention_heads // heads
    size = head_size(model)
    queries = torch.randn(rows, heads, group, size, **how)
    keys, values = (torch.randn(rows, heads, columns, size, **how) for _ in range(2))
    reach = Buckets(rows, columns, attention.follows_length).holding(rows, half + 1).length
    at = torch.full((rows,), half, device=model.device)
    unseen = torch.arange(reach, device=model.device) > half
    mask = torch.zeros(rows, 1, 1, reach, **how).masked_fill_(unseen, torch.finfo(model.dtype).min)

    def call() -> None:
        attention.attend(queries, keys[:, :, :reach], values[:, :, :reach], mask, at, size**-0.5)

    return call
