"""The lean decode step computes what the model's own classes compute, in every family it claims,
and claims no other.
"""

from __future__ import annotations

import pytest
import torch

from sut.engine.agreement import attempt, expected
from sut.engine.batching import Engine
from sut.engine.lean import LeanStep, lean_step
from sut.engine.packing import pack
from sut.engine.serving import differs
from sut.engine.slots import SlotRunner
from sut.engine.trial import short_trial
from tests.sut.engine.test_slots import PROMPTS, alone, served, way

FAMILIES = {
    "llama": ("Llama", {}),
    "llama, tied": ("Llama", {"tie_word_embeddings": True}),
    "llama, heads not grouped": ("Llama", {"num_key_value_heads": 4}),
    "llama, biases": ("Llama", {"attention_bias": True, "mlp_bias": True}),
    "llama, long context": (
        "Llama",
        {
            "rope_parameters": {"rope_type": "yarn", "rope_theta": 10000.0, "factor": 4.0},
            "max_position_embeddings": 128,
        },
    ),
    "mistral": ("Mistral", {"sliding_window": None}),
    "qwen2": ("Qwen2", {}),
}
STRANGERS = {
    "a sliding window": ("Mistral", {"sliding_window": 4}),
    "norms of queries and keys": ("Qwen3", {}),
    "another activation": ("Llama", {"hidden_act": "gelu"}),
    "no rotary positions": ("GPT2", {}),
}


def made(family, options):
    import transformers

    size = {
        "vocab_size": 96, "hidden_size": 128, "intermediate_size": 160, "num_hidden_layers": 3,
        "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 32,
        "max_position_embeddings": 128,
    }  # fmt: skip
    torch.manual_seed(5)
    config = getattr(transformers, f"{family}Config")(**(size | options))
    config.bos_token_id = config.eos_token_id = config.pad_token_id = None
    model = transformers.AutoModelForCausalLM.from_config(config).eval().requires_grad_(False)
    for parameter in model.parameters():
        parameter.mul_(3).add_(0.01)  # so that biases are not zero and the choices are clear
    return model


def own(model, logits):
    return attempt(SlotRunner(model, 3, logits.trial.longest), logits)


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("packed", [False, True])
def test_batched_answers_equal_those_of_the_bare_model(name, packed):
    model = made(*FAMILIES[name])
    answers, logits = alone(model), expected(model, short_trial(model))
    if packed:
        assert pack(model)
    step = lean_step(model)
    assert isinstance(step, LeanStep)
    assert not differs(model, step, logits, own(model, logits))
    assert served(Engine, SlotRunner(model, 3, 64, step), prefill_tokens=7) == answers
    assert len({tuple(answer) for answer in answers}) == len(
        PROMPTS
    )  # else equality would say little


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@torch.inference_mode()
def test_the_logits_of_a_step_are_the_models_own(dtype):
    model = made(*FAMILIES["qwen2"]).to(dtype)
    prompts, tokens = [[5, 6, 7, 8], [9, 10]], [11, 12]
    both = []
    for step in (None, lean_step(model)):
        runner = SlotRunner(model, 2, 16, step)
        runner.prefill(0, [[*p] for p in prompts])
        both.append(runner.decode_logits(tokens, [4, 2]).float())
    limit = {torch.float32: 1e-6, torch.bfloat16: 0.01, torch.float16: 0.001}[
        dtype
    ]  # a unit of the last place
    assert (both[0] - both[1]).abs().max() < limit * both[0].abs().max()


@pytest.mark.parametrize("name", STRANGERS)
def test_other_families_keep_their_own_classes(name):
    assert lean_step(made(*STRANGERS[name])) is None


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_step_that_computes_something_else_is_found_out(dtype):
    model = made(*FAMILIES["llama"]).to(dtype)
    step = lean_step(model)
    step._sign = -step._sign  # heads turn the wrong way
    logits = expected(model, short_trial(model))
    assert differs(model, step, logits, own(model, logits))


def test_parts_that_this_transformers_names_otherwise_cost_speed_and_nothing_else(monkeypatch):
    model = made(*FAMILIES["llama"])
    assert way(model).is_lean

    def renamed(model):
        raise AttributeError("'LlamaRMSNorm' object has no attribute 'variance_epsilon'")

    monkeypatch.setattr("sut.engine.serving.lean_step", renamed)
    chosen = way(model)
    assert (chosen.batching, chosen.is_lean) == ("in flight", False)
    assert "variance_epsilon" in chosen.note
