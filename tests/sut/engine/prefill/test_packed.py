"""Prompts one behind the other give what each gives alone, whatever shares their step."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch

from sut.engine.agreement import expected
from sut.engine.batching import Engine
from sut.engine.lean import lean_step
from sut.engine.packing import pack
from sut.engine.plain import logits_of
from sut.engine.prefill import packed
from sut.engine.prefill.packed import Attention, Packed, attentions
from sut.engine.serving import differs
from sut.engine.slots import SlotRunner
from sut.engine.trial import short_trial
from tests.sut.engine.test_lean import FAMILIES, made, own
from tests.sut.engine.test_slots import alone, served, tiny, way

LENGTHS = (1, 9, 4, 17, 4)


def runner_of(model, rows=6, length=64):
    step = lean_step(model)
    return SlotRunner(model, rows, length, step, Packed(step, attentions(model)[-1]))


def texts(lengths=LENGTHS):
    return [[(3 * i + 7 * j) % 90 + 3 for j in range(length)] for i, length in enumerate(lengths)]


@pytest.mark.parametrize("name", FAMILIES)
@torch.inference_mode()
def test_the_logits_after_each_prompt_are_those_of_the_bare_model(name):
    model = made(*FAMILIES[name])
    wanted = torch.cat([logits_of(model, text, [len(text) - 1]) for text in texts()])
    pack(model)
    found = runner_of(model).prefill_logits(1, texts(), 0)
    assert (found - wanted).abs().max() < 1e-4 * wanted.abs().max()


@torch.inference_mode()
def test_the_rest_of_a_long_prompt_sees_its_row_and_others_do_not():
    model = made(*FAMILIES["qwen2"])
    runner, (long, *others) = runner_of(model), texts((23, 5, 8))
    wanted = torch.cat([logits_of(model, text, [len(text) - 1]) for text in (long, *others)])
    runner.prefill_logits(2, [long[:9]], 0)
    runner.prefill_logits(2, [long[9:16]], 9)
    found = runner.prefill_logits(2, [long[16:], *others], 16)
    assert (found - wanted).abs().max() < 1e-4 * wanted.abs().max()


@pytest.mark.parametrize("prefill_tokens", [512, 7])
@pytest.mark.parametrize("rows", [1, 3])
def test_batched_answers_equal_those_of_the_bare_model(rows, prefill_tokens):
    model = made(*FAMILIES["llama"])
    runner = runner_of(model, rows)
    assert served(Engine, runner, prefill_tokens=prefill_tokens) == alone(model)


def test_a_known_family_is_packed_and_another_is_padded():
    assert way(made(*FAMILIES["mistral"])).prefill == "packed, by prompt"
    assert way(tiny("gpt2")).prefill == "padded"


def blind(queries, keys, values, *_):
    """Attention across the borders of prompts."""
    return packed._continued(queries, keys, values, queries.shape[-1] ** -0.5)


def forgetful(queries, keys, values, scale):
    """Attention without what the row holds already."""
    count = len(queries)
    return packed._continued(queries, keys[-count:], values[-count:], scale)


WRONG = {
    "prompts see each other": Attention("blind", blind, packed._continued),
    "a piece sees nothing of its row": Attention("forgetful", packed._whole_by_prompt, forgetful),
}


@pytest.mark.parametrize("name", WRONG)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_an_attention_that_computes_something_else_is_found_out(name, dtype):
    model = made(*FAMILIES["llama"]).to(dtype)
    logits, step = expected(model, short_trial(model)), lean_step(model)
    right = attentions(model)[-1]
    assert not differs(model, step, logits, own(model, logits), attention=right)
    assert differs(model, step, logits, own(model, logits), attention=WRONG[name])


def test_a_kernel_that_is_not_there_costs_speed_and_nothing_else(monkeypatch):
    def absent(*_):
        raise NotImplementedError("no kernel for this device")

    broken = Attention("flash", absent, absent)
    monkeypatch.setattr("sut.engine.serving.attentions", lambda model: [broken, *attentions(model)])
    chosen = way(made(*FAMILIES["llama"]))
    assert (chosen.is_lean, chosen.prefill) == (True, "packed, by prompt")
    assert "no kernel for this device" in chosen.note
    monkeypatch.setattr("sut.engine.serving.attentions", lambda model: [broken])
    chosen = way(made(*FAMILIES["llama"]))
    assert (chosen.is_lean, chosen.prefill) == (True, "padded")


@torch.inference_mode()
def test_flash_attention_is_told_the_borders_of_the_prompts(monkeypatch):
    """The operation runs on CUDA alone: here it is computed as it promises."""
    heard = []

    def operation(q, k, v, query_borders, key_borders, most_q, most_k, *rest, scale):
        heard.append((query_borders.tolist(), key_borders.tolist(), most_q, most_k, rest))
        assert query_borders.dtype == key_borders.dtype == torch.int32
        seen = [
            packed._continued(q[a:b], k[c:d], v[c:d], scale)
            for (a, b), (c, d) in zip(pairwise(query_borders), pairwise(key_borders), strict=True)
        ]
        return (torch.cat(seen),)

    monkeypatch.setattr(torch.ops.aten, "_flash_attention_forward", operation)
    model, (long, *others) = made(*FAMILIES["llama"]), texts((12, 5, 3))
    step = lean_step(model)
    flash = Attention("flash", packed._whole_by_flash, packed._continued_by_flash)
    runner = SlotRunner(model, 4, 32, step, Packed(step, flash))
    wanted = torch.cat([logits_of(model, text, [len(text) - 1]) for text in (long, *others)])
    runner.prefill_logits(0, [long[:8]], 0)
    found = runner.prefill_logits(0, [long[8:], *others], 8)
    assert (found - wanted).abs().max() < 1e-4 * wanted.abs().max()
    causal = (0.0, True, False)
    assert heard[-2:] == [
        ([0, 4], [0, 12], 4, 12, causal),
        ([0, 5, 8], [0, 5, 8], 5, 5, causal),
    ]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@torch.inference_mode()
def test_on_a_gpu_flash_attention_gives_what_prompt_by_prompt_does(dtype):
    model, (long, *others) = made(*FAMILIES["qwen2"]).to("cuda", dtype), texts((12, 5, 3))
    step, found = lean_step(model), []
    assert [one.name for one in attentions(model)] == ["flash", "by prompt"]
    for attention in attentions(model):
        runner = SlotRunner(model, 4, 32, step, Packed(step, attention))
        runner.prefill_logits(0, [long[:8]], 0)
        found.append(runner.prefill_logits(0, [long[8:], *others], 8).float())
    assert (found[0] - found[1]).abs().max() < 0.03 * found[1].abs().max()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_on_a_gpu_prompts_are_packed_by_flash_attention():
    assert way(made(*FAMILIES["llama"]).to("cuda", torch.bfloat16)).prefill == "packed, flash"
