"""Whether the engine steps ahead is found out at load, and never taken for granted."""

from __future__ import annotations

import pytest
import torch

from sut.engine.ahead import stepping
from sut.engine.ahead.engine import AheadEngine
from sut.engine.ahead.stepping import ahead_if_same, tried
from sut.engine.batching import Engine, StaticEngine
from sut.engine.slots import SlotRunner
from tests.sut.engine.ahead.test_launcher import CPU
from tests.sut.engine.test_slots import PROMPTS, served, tiny

MODEL = tiny("llama")


@pytest.mark.parametrize("rows", [1, 2, 4])
def test_a_runner_that_gives_the_same_tokens_steps_ahead(rows):
    runner = SlotRunner(MODEL, rows, 64)
    found = ahead_if_same(runner, CPU, PROMPTS[:3])
    assert (found.name, found.note) == ("ahead", "")
    assert runner.most_tokens == 0, "what the trial held is not the run's"
    assert served(found.engine, found.runner) == served(Engine, SlotRunner(MODEL, rows, 64))


def test_other_tokens_are_told_and_steps_stay_in_turn():
    class Astray(SlotRunner):
        """Gives other logits to tokens that come from the device."""

        def logits_at(self, ids, at, length):
            return -super().logits_at(ids, at, length)

        def decode_logits(self, tokens, positions):
            return -super().decode_logits(tokens, positions)

    found = ahead_if_same(Astray(MODEL, 3, 64), CPU, PROMPTS[:3])
    assert (found.engine, found.name) == (Engine, "in turn")
    assert found.note == "its steps wait for one another: stepping ahead gives other tokens"


@pytest.mark.parametrize("error", [RuntimeError("no such operation\nmore"), TypeError("no")])
def test_what_fails_is_told_and_steps_stay_in_turn(monkeypatch, error):
    def fails(*_):
        raise error

    monkeypatch.setattr(stepping, "Launcher", fails)
    found = ahead_if_same(SlotRunner(MODEL, 3, 64), CPU, PROMPTS[:3])
    assert found.name == "in turn"
    assert f"stepping ahead failed ({type(error).__name__}: no" in found.note
    assert "\n" not in found.note


def test_rows_too_short_for_a_trial_step_in_turn():
    assert ahead_if_same(SlotRunner(MODEL, 3, 4), CPU, PROMPTS[:3]).name == "in turn"


def test_a_cpu_steps_in_turn_and_so_do_static_batches():
    runner = SlotRunner(MODEL, 3, 64)
    assert tried(Engine, runner, MODEL) == (Engine, runner, "")
    assert tried(StaticEngine, runner, MODEL).name == "in turn"


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_gpu_steps_ahead():
    model = tiny("llama").to("cuda")
    found = tried(Engine, SlotRunner(model, 3, 64), model)
    assert (found.engine, found.note) == (AheadEngine, "")
