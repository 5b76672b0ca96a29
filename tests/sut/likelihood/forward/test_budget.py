"""The size of a batch on a GPU: the smallest near the best speed, of those that memory can take."""

from __future__ import annotations

from functools import partial

import pytest

from sut.likelihood.forward import budget
from sut.likelihood.forward.budget import best, bytes_per_token, seconds_of, sizes
from sut.likelihood.forward.output_layer import OutputLayer
from sut.likelihood.scoring import Settings, Text, token_scores
from tests.overlap_helpers import pretend_gpu
from tests.sut.likelihood.test_distributions import made_llama


@pytest.mark.parametrize(
    ("rates", "chosen"),
    [
        ([10, 20, 30, 30, 30], 8192),
        ([30, 20, 10], 2048),
        ([10, 20, 29.5, 30], 8192),
        ([10, None, 90], 2048),
        ([None], 2048),
        ([1, 2, 4, 8, 16, 32], 65_536),
    ],
)
def test_the_smallest_size_near_the_best_is_chosen_and_none_beyond_memory(rates, chosen):
    candidates = [2048 * 2**i for i in range(len(rates))]
    rate_of = dict(zip(candidates, rates, strict=True))

    def seconds(size):
        return None if rate_of[size] is None else size / rate_of[size]

    assert best(candidates, seconds) == chosen


def test_sizes_stay_within_memory_and_within_the_work():
    assert sizes(100, 10**9, 10**9) == [2048 * 2**i for i in range(6)]
    assert sizes(100, 10**9, 9000) == [2048, 4096, 8192]
    assert sizes(100, 3000, 10**9) == [2048, 4096], "few texts need no large batch"
    assert sizes(5000, 10**9, 10**9)[0] == 8192, "a text beyond the size would go alone anyway"
    assert sizes(100, 10**9, 10) == [2048]
    assert sizes(10**6, 10**9, 10**9) == [65_536]


def test_a_token_takes_more_where_logits_or_attention_exist_at_once():
    layer = OutputLayer(made_llama())
    least = bytes_per_token(layer, 1000)
    assert least == 4 * (12 * 32 + 4 * 128)
    layer.in_pieces = False
    assert bytes_per_token(layer, 1000) == least + 12 * 64
    layer.model.config._attn_implementation = "eager"
    assert bytes_per_token(layer, 1000) == least + 12 * 64 + 12 * 1000 * 4


def test_a_size_is_timed_as_it_is_fed_and_none_where_memory_runs_out():
    layer, shapes = OutputLayer(made_llama()), []

    def look(_, args, given):
        shapes.append(tuple(given["input_ids"].shape))
        if shapes[-1][0] > 8:
            raise RuntimeError("CUDA out of memory")

    layer.model.register_forward_pre_hook(look, with_kwargs=True)

    def timed(work):
        work()
        return 3.0

    seconds = partial(seconds_of, [layer], 30, timed)
    assert seconds(64) == 3.0 * 64 / 60
    assert shapes == [(2, 30)] * 2, "once for nothing, once timed"
    assert seconds(300) is None


def test_another_error_than_memory_is_not_swallowed():
    layer = OutputLayer(made_llama())

    def timed(work):
        raise RuntimeError("an illegal memory access was encountered")

    with pytest.raises(RuntimeError, match="illegal"):
        seconds_of([layer], 30, timed, 64)


def test_what_was_measured_is_what_batches_hold(monkeypatch):
    pretend_gpu(monkeypatch)
    took = {2: 1.0, 4: 1.1, 8: 2.2}  # by rows
    model, shapes, heard = made_llama(), [], []
    monkeypatch.setattr(budget, "_LEAST", 60)
    monkeypatch.setattr(budget, "_MOST", 240)
    model.register_forward_pre_hook(
        lambda _, args, given: shapes.append(given["input_ids"].shape[0]), with_kwargs=True
    )

    def timed(device, work):
        work()
        return took[shapes[-1]]

    monkeypatch.setattr(budget, "_on_the_gpu", timed)
    texts = [Text([5] * 31) for _ in range(16)]
    list(token_scores(model, texts, Settings(context=40, heard=heard.append)))
    assert heard == [120]
    assert shapes[-4:] == [4, 4, 4, 4]


def test_no_measurement_decides_where_figures_depend_on_who_shares_a_batch(monkeypatch):
    pretend_gpu(monkeypatch)
    monkeypatch.setattr(budget, "_on_the_gpu", None)
    model, heard = made_llama(), []
    model.is_loaded_in_8bit = True
    texts = [Text([5] * 31) for _ in range(400)]
    list(token_scores(model, texts, Settings(context=40, heard=heard.append)))
    assert heard == [16_384]


def test_a_cpu_measures_nothing_and_a_user_decides(monkeypatch):
    model, heard = made_llama(), []
    monkeypatch.setattr(budget, "_on_the_gpu", None)
    list(token_scores(model, [Text([5] * 9)], Settings(heard=heard.append)))
    pretend_gpu(monkeypatch)
    list(token_scores(model, [Text([5] * 9)], Settings(batch_tokens=77, heard=heard.append)))
    assert heard == [2048, 77]
