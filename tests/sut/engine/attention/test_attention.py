"""Ways of attention of a decode step see the same, and the fastest that works and agrees is taken.

The kernel runs on a GPU, or anywhere with Triton installed and TRITON_INTERPRET=1 set.
"""

from __future__ import annotations

import importlib.util
import os

import pytest
import torch

from sut.engine.agreement import expected_of
from sut.engine.attention import fastest, ways
from sut.engine.serving import choose
from sut.engine.trial import Span
from tests.sut.engine.graphs.captures import Recorded
from tests.sut.engine.test_lean import FAMILIES, made
from tests.sut.engine.test_slots import alone, served

INTERPRETED = importlib.util.find_spec("triton") and os.environ.get("TRITON_INTERPRET") == "1"
SHAPES = [  # rows, key-value heads, queries of each, head size, positions
    (3, 2, 2, 32, 700),
    (2, 1, 8, 64, 300),
    (1, 2, 1, 16, 64),
    (2, 2, 3, 128, 256),
]


def drawn(rows, heads, group, size, length, dtype=torch.float32):
    """Queries and caches as slices of wider tensors, as a lean step has them; rows of all
    lengths, the first of one position.
    """
    torch.manual_seed(7)
    keys, values = (torch.randn(rows + 2, heads, length + 5, size, dtype=dtype) for _ in range(2))
    queries = torch.randn(rows, heads * group + heads, size, dtype=dtype)[:, : heads * group]
    at = torch.tensor([0, length - 1, length // 2])[:rows]
    unseen = torch.arange(length) > at[:, None]
    mask = torch.zeros(rows, length, dtype=dtype).masked_fill_(unseen, torch.finfo(dtype).min)
    cut = slice(None, rows), slice(None), slice(None, length)
    grouped = queries.view(rows, heads, group, size)
    return grouped, keys[cut], values[cut], mask[:, None, None], at, size**-0.5


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_two_products_see_what_torchs_attention_sees(shape, dtype):
    given = drawn(*shape, dtype)
    assert_close(ways.products(*given), ways.sdpa(*given), dtype)


@pytest.mark.skipif(not INTERPRETED, reason="needs triton, and TRITON_INTERPRET=1")
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_the_kernel_sees_what_torchs_attention_sees(shape, dtype):
    from sut.engine.attention import by_length

    given = drawn(*shape, dtype)
    assert_close(by_length.attend(*given), ways.sdpa(*given), dtype)


@pytest.mark.skipif(not INTERPRETED, reason="needs triton, and TRITON_INTERPRET=1")
def test_the_kernel_reads_nothing_behind_the_end_of_a_row():
    from sut.engine.attention import by_length

    queries, keys, values, mask, at, scale = drawn(*SHAPES[0])
    before = by_length.attend(queries, keys, values, mask, at, scale)
    for row, last in enumerate(at.tolist()):
        keys[row, :, last + 1 :] = values[row, :, last + 1 :] = torch.nan
    assert torch.equal(by_length.attend(queries, keys, values, mask, at, scale), before)


def assert_close(ours, theirs, dtype):
    limit = {torch.float32: 1e-5, torch.float16: 4e-3}[dtype]
    assert (ours.float() - theirs.float()).abs().max() < limit


class Timed(Recorded):
    """Says what was scripted, one after the other: two times for each way."""

    def __init__(self, seconds=()):
        super().__init__()
        self._seconds = list(seconds)

    def seconds(self, replay, times):
        replay()
        return self._seconds.pop(0)


def broken(*_):
    raise RuntimeError("no kernel for this device\nand more")


def test_ways_are_ordered_by_their_times_and_one_that_does_not_work_comes_last(monkeypatch):
    model = made(*FAMILIES["qwen2"])
    assert [one.name for one in ways.candidates(model)] == ["sdpa", "products"]
    found = fastest.measured(model, 100, Timed([2.0, 3.0, 1.0, 1.0]))
    assert [(one.attention.name, one.seconds) for one in found] == [("products", 2), ("sdpa", 5)]
    three = [ways.Attention("broken", broken), ways.SDPA, ways.PRODUCTS]
    monkeypatch.setattr(fastest, "candidates", lambda model: three)
    found = fastest.measured(model, 100, Timed([2.0, 3.0, 1.0, 1.0]))
    assert [one.attention.name for one in found] == ["products", "sdpa", "broken"]
    assert found[-1].error == "RuntimeError: no kernel for this device"


def way_of(model, seconds):
    first = iter([Timed(seconds)])
    wanted = expected_of(model, [Span(3, 40), Span(20, 60)])
    return choose(model, wanted, 0, 8, lambda: next(first, None) or Recorded())


def test_the_fastest_way_serves(monkeypatch):
    model = made(*FAMILIES["llama"])
    answers, way = alone(model), way_of(model, [2.0, 2.0, 1.0, 1.0])
    runner = way.runner(4, 60)
    assert (way.path, runner.attention, way.note) == ("graph lean", "products", "")
    assert way.attention_us == {"products": 2e6, "sdpa": 4e6}
    assert served(way.engine, runner) == answers


def blind(queries, keys, values, mask, at, scale):
    """Sees what lies behind the end of a row too."""
    return ways.sdpa(queries, keys, values, torch.zeros_like(mask), at, scale)


def test_a_fast_way_that_sees_something_else_is_found_out(monkeypatch):
    model = made(*FAMILIES["llama"])
    two = [ways.Attention("blind", blind), ways.SDPA]
    monkeypatch.setattr(fastest, "candidates", lambda model: two)
    way = way_of(model, [1.0, 1.0, 2.0, 2.0])
    assert (way.path, way.runner(4, 60).attention) == ("graph lean", "sdpa")
    assert "a prompt of" in way.note or "other logits" in way.note


def test_a_way_that_ends_where_rows_end_needs_one_length(monkeypatch):
    model = made(*FAMILIES["llama"])
    one = [ways.Attention("own ends", ways.sdpa, follows_length=True)]
    monkeypatch.setattr(fastest, "candidates", lambda model: one)
    runner = way_of(model, []).runner(4, 2000)
    runner.prepare()
    assert runner.captures.at_load == 3  # 1, 2 and 4 rows
