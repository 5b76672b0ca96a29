"""The tensors of stepping ahead: the same answers as the plain engine's with a real model, and
nothing that waits for the device.
"""

from __future__ import annotations

import pytest
import torch

from sut.engine.ahead import launcher as module
from sut.engine.ahead.engine import AheadEngine
from sut.engine.ahead.launcher import Launcher
from sut.engine.ahead.transfers import Coming
from sut.engine.batching import NOT_FINITE, Engine, Request
from sut.engine.graphs.runner import GraphRunner
from sut.engine.lean import lean_step
from sut.engine.prefill.packed import Packed, attentions
from sut.engine.slots import SlotRunner
from tests.sut.engine.ahead.traffic import Traffic
from tests.sut.engine.graphs.captures import Recorded
from tests.sut.engine.test_slots import PROMPTS, Answers, served, tiny

ROWS, LENGTH = 3, 64
CPU, NO_DEVICE = torch.device("cpu"), torch.device("meta")


def launcher(model, device=CPU, rows=ROWS, lean=False):
    return Launcher(SlotRunner(model, rows, LENGTH, lean_step(model) if lean else None), device)


@pytest.mark.parametrize("prefill_tokens", [7, 512])
@pytest.mark.parametrize("name", ["llama", "gpt2", "mistral, window 4"])
def test_answers_are_those_of_the_plain_engine(name, prefill_tokens):
    model = tiny(name)
    plain = served(Engine, SlotRunner(model, ROWS, LENGTH), prefill_tokens=prefill_tokens)
    assert served(AheadEngine, launcher(model), prefill_tokens=prefill_tokens) == plain


@pytest.mark.parametrize("prefill_tokens", [7, 512])
def test_answers_after_packed_prompts_are_those_of_the_plain_engine(prefill_tokens):
    model = tiny("llama")
    step = lean_step(model)
    runners = [
        SlotRunner(model, ROWS, LENGTH, step, Packed(step, attentions(model)[0])) for _ in range(2)
    ]
    plain = served(Engine, runners[0], prefill_tokens=prefill_tokens)
    ahead = Launcher(runners[1], CPU)
    assert served(AheadEngine, ahead, prefill_tokens=prefill_tokens) == plain


@pytest.mark.parametrize("lean", [False, True])
def test_answers_of_captured_steps_are_those_of_the_plain_engine(lean):
    """Its logits are overwritten by the next step, which is launched before they are heard."""
    model = tiny("llama")
    plain = served(Engine, SlotRunner(model, ROWS, LENGTH))
    step = lean_step(model) if lean else None
    runner = GraphRunner(model, ROWS, LENGTH, step, capture=(recorded := Recorded()))
    assert served(AheadEngine, Launcher(runner, CPU)) == plain
    assert recorded.replays > recorded.captures > 0


@pytest.mark.parametrize("lean", [False, True])
@torch.inference_mode()
def test_a_steady_step_sends_nothing_and_reads_nothing(lean):
    runner = launcher(tiny("llama").to(NO_DEVICE), NO_DEVICE, lean=lean)
    runner.launch_prefill(0, PROMPTS[:3], 0)
    runner.launch([len(prompt) for prompt in PROMPTS[:3]])
    with Traffic() as traffic:
        runner.launch([len(prompt) + 1 for prompt in PROMPTS[:3]])
        runner.move(2, 0)
        runner.launch([len(prompt) + 2 for prompt in PROMPTS[:2]])
    assert traffic.operations > 0
    assert (traffic.sent, traffic.read) == (0, 0)


@pytest.mark.parametrize("is_packed", [False, True])
@torch.inference_mode()
def test_prompts_are_sent_and_nothing_is_read(is_packed):
    model = tiny("llama").to(NO_DEVICE)
    packed = Packed(lean_step(model), attentions(model)[0]) if is_packed else None
    runner = Launcher(SlotRunner(model, ROWS, LENGTH, packed=packed), NO_DEVICE)
    with Traffic() as traffic:
        runner.launch_prefill(0, PROMPTS[:3], 0)
    assert 0 < traffic.sent <= 4  # ids, which positions to keep, whose they are; where they end
    assert traffic.read == 0


@torch.inference_mode()
def test_the_plain_step_reads_its_tokens():
    """What is counted above is there to be counted."""
    runner = SlotRunner(tiny("llama").to(NO_DEVICE), ROWS, LENGTH)
    runner.prefill_logits(0, PROMPTS[:3], 0)
    with Traffic() as traffic, pytest.raises((NotImplementedError, RuntimeError), match="meta"):
        runner.decode([1, 2, 3], [4, 5, 6])
    assert traffic.sent == 2  # tokens and positions


@torch.inference_mode()
def test_tokens_that_the_host_chose_take_their_places():
    model = tiny("llama")
    runner, plain = launcher(model), SlotRunner(model, ROWS, LENGTH)
    prompts = PROMPTS[:2]
    runner.launch_prefill(0, prompts, 0)
    plain.prefill(0, prompts, 0)
    at = [len(prompt) for prompt in prompts]
    runner.begin([11, 12], at)
    assert runner.launch(at).tokens() == plain.decode([11, 12], at)


class Broken(SlotRunner):
    """Of whose second row no logit is a number, from the third step on."""

    steps = 0

    def logits_at(self, ids, at, length):
        logits = super().logits_at(ids, at, length).clone()
        self.steps += 1
        if self.steps >= 3:
            logits[1] = torch.nan
        return logits


def test_a_row_whose_logits_are_no_numbers_says_so_and_feeds_a_token_that_exists():
    model = tiny("llama")
    runner = Launcher(Broken(model, ROWS, LENGTH), CPU)
    runner.launch_prefill(0, PROMPTS[:2], 0)
    at = [len(prompt) for prompt in PROMPTS[:2]]
    found = [runner.launch([position + i for position in at]).tokens()[1] for i in range(4)]
    assert found[:2] != [NOT_FINITE] * 2
    assert found[2:] == [NOT_FINITE] * 2


def test_the_cache_in_use_is_counted_as_the_plain_engine_counts_it():
    model = tiny("llama")
    plain, ahead = SlotRunner(model, 4, LENGTH), SlotRunner(model, 4, LENGTH)
    served(Engine, plain)
    served(AheadEngine, Launcher(ahead, CPU))
    assert ahead.most_tokens == plain.most_tokens


def test_a_steady_step_brings_one_copy_of_its_tokens(monkeypatch):
    came = []

    class Counted(Coming):
        def __init__(self, *tensors):
            super().__init__(*tensors)
            came.append(sum(tensor.nbytes for tensor in tensors))

    monkeypatch.setattr(module, "Coming", Counted)
    engine = AheadEngine(launcher(tiny("llama")), Answers(), ())
    for i in range(ROWS):
        engine.add(Request(i, PROMPTS[i], 30))
    engine.step()
    came.clear()
    for _ in range(5):
        engine.step()
    assert came == [8 * ROWS] * 5


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_on_a_gpu_no_launch_waits_and_answers_are_the_plain_engines():
    model = tiny("llama").to("cuda")
    plain = served(Engine, SlotRunner(model, ROWS, LENGTH))
    runner = Launcher(SlotRunner(model, ROWS, LENGTH), model.device)
    assert served(AheadEngine, runner) == plain
    engine = AheadEngine(runner, Answers(), ())
    engine.add(Request(0, PROMPTS[0], 30))
    for _ in range(3):
        engine.step()
    torch.cuda.set_sync_debug_mode("error")  # but for the event that tokens are waited for with
    try:
        for _ in range(20):
            engine.step()
    finally:
        torch.cuda.set_sync_debug_mode("default")
