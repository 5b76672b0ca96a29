"""Attention of decode steps whose cost is what the rows really hold: a Triton kernel.

Each row is cut into chunks of CHUNK positions, and a program looks at one chunk of one row with all
queries of one key-value head. It reads the row's position on the device and ends at once where the
row has ended: one captured step serves every length. The chunks of a row are then merged by the sum
of the exponentials of their scores. Reference: "Flash-Decoding for long-context inference", Dao,
Haziza, Massa, Sizov, 2023.

Shapes: B rows, L positions, K key-value heads, G queries of each, padded to GROUP; D head size, C
chunks of the longest row.
"""

# mypy: disable-error-code="import-not-found,import-untyped,untyped-decorator,no-untyped-def"

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl

CHUNK = 256  # positions of a program
_BLOCK = 64  # positions of one product in it
_LEAST = 16  # rows and columns of a product on tensor cores


def takes(head_size: int) -> bool:
    """Say whether heads of this size fit a product without padding."""
    return head_size >= _LEAST and head_size & (head_size - 1) == 0


def attend(
    queries: torch.Tensor,
    keys: torch.Tensor,
    values: torch.Tensor,
    mask: torch.Tensor,
    at: torch.Tensor,
    scale: float,
) -> torch.Tensor:
    """See `ways.Decoding`. The last dimension of each tensor is dense."""
    rows, heads, group, size = queries.shape
    chunks = triton.cdiv(keys.shape[2], CHUNK)
    seen = torch.empty(rows, heads, group, size, dtype=queries.dtype, device=queries.device)
    parts = torch.empty(rows, heads, chunks, group, size, device=queries.device)  # float32
    weights = torch.empty(rows, heads, chunks, group, device=queries.device)
    padded = max(_LEAST, triton.next_power_of_2(group))
    cut: dict[str, Any] = {"GROUP": padded, "SIZE": size, "CHUNK": CHUNK}
    _look[(rows, heads, chunks)](
        queries, keys, values, at, parts, weights, scale, heads, chunks, group,
        *queries.stride()[:3], *keys.stride()[:3], *values.stride()[:3], BLOCK=_BLOCK, **cut,
    )  # fmt: skip
    _merge[(rows, heads)](parts, weights, at, seen, heads, chunks, group, **cut)
    return seen


@triton.jit
def _look(
    queries, keys, values, at, parts, weights, scale, heads, chunks, group,
    q_row, q_head, q_group, k_row, k_head, k_position, v_row, v_head, v_position,
    BLOCK: tl.constexpr, GROUP: tl.constexpr, SIZE: tl.constexpr, CHUNK: tl.constexpr,
):  # fmt: skip
    """Look at one chunk; leave what is seen there, (G, D), and the log of its weight, (G,)."""
    row, head, chunk = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    last = tl.load(at + row).to(tl.int32)
    start = chunk * CHUNK
    if start <= last:
        of_group, of_head = tl.arange(0, GROUP), tl.arange(0, SIZE)
        is_query = (of_group < group)[:, None]
        here = queries + row.to(tl.int64) * q_row + head * q_head
        asked = tl.load(here + of_group[:, None] * q_group + of_head[None, :], is_query, 0.0)
        own_keys = keys + row.to(tl.int64) * k_row + head.to(tl.int64) * k_head
        own_values = values + row.to(tl.int64) * v_row + head.to(tl.int64) * v_head
        most = tl.full((GROUP,), float("-inf"), tl.float32)
        total = tl.zeros((GROUP,), tl.float32)
        seen = tl.zeros((GROUP, SIZE), tl.float32)
        for begin in range(start, tl.minimum(start + CHUNK, last + 1), BLOCK):
            place = begin + tl.arange(0, BLOCK)
            is_held = (place <= last)[:, None]
            block = place[:, None] * k_position + of_head[None, :]
            key = tl.load(own_keys + block, is_held, 0.0)
            scores = tl.dot(asked, tl.trans(key), input_precision="ieee") * scale
            scores = tl.where((place <= last)[None, :], scores, float("-inf"))
            higher = tl.maximum(most, tl.max(scores, 1))
            share = tl.exp(scores - higher[:, None])
            shrunk = tl.exp(most - higher)
            block = place[:, None] * v_position + of_head[None, :]
            value = tl.load(own_values + block, is_held, 0.0)
            total = total * shrunk + tl.sum(share, 1)
            seen = seen * shrunk[:, None]
            seen += tl.dot(share.to(value.dtype), value, input_precision="ieee")
            most = higher
        out = ((row.to(tl.int64) * heads + head) * chunks + chunk) * group + of_group
        tl.store(weights + out, most + tl.log(total), of_group < group)
        tl.store(parts + out[:, None] * SIZE + of_head[None, :], seen / total[:, None], is_query)


@triton.jit
def _merge(
    parts, weights, at, seen, heads, chunks, group,
    GROUP: tl.constexpr, SIZE: tl.constexpr, CHUNK: tl.constexpr,
):  # fmt: skip
    """Merge the chunks of one row and head."""
    row, head = tl.program_id(0), tl.program_id(1)
    used = tl.load(at + row).to(tl.int32) // CHUNK + 1
    of_group, of_head = tl.arange(0, GROUP), tl.arange(0, SIZE)
    is_query = (of_group < group)[:, None]
    most = tl.full((GROUP,), float("-inf"), tl.float32)
    total = tl.zeros((GROUP,), tl.float32)
    merged = tl.zeros((GROUP, SIZE), tl.float32)
    first = (row.to(tl.int64) * heads + head) * chunks
    for chunk in range(0, used):
        place = (first + chunk) * group + of_group
        weight = tl.load(weights + place, of_group < group, 0.0)
        part = tl.load(parts + place[:, None] * SIZE + of_head[None, :], is_query, 0.0)
        higher = tl.maximum(most, weight)
        shrunk, share = tl.exp(most - higher), tl.exp(weight - higher)
        total = total * shrunk + share
        merged = merged * shrunk[:, None] + part * share[:, None]
        most = higher
    out = (row.to(tl.int64) * heads + head) * group + of_group
    merged = merged / total[:, None]
    tl.store(
        seen + out[:, None] * SIZE + of_head[None, :], merged.to(seen.dtype.element_ty), is_query
    )
