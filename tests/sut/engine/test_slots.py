"""Rows of a cache against the model's own forward pass: windows, pieces of prompts, models that
have no such rows.
"""

from __future__ import annotations

import pytest
import torch

from harness.kernel.errors import SetupFailed
from sut.engine.agreement import expected_of
from sut.engine.batching import Request, StaticEngine
from sut.engine.serving import choose
from sut.engine.slots import SlotRunner
from sut.engine.static import StaticRunner
from sut.engine.trial import Span

COMMON = dict(
    vocab_size=64,
    hidden_size=32,
    num_hidden_layers=3,
    num_attention_heads=4,
    num_key_value_heads=2,
    pad_token_id=0,
)
SHORT = dict(max_position_embeddings=64, bos_token_id=1, eos_token_id=2)
PROMPTS = [
    [5, 3, 7, 9],
    [4, 6, 5, 3, 8, 7, 4, 11, 12, 13, 14, 9, 8, 21, 33],
    [9],
    [30 + i for i in range(22)],
]


def tiny(name):
    """A causal model of another build each, random weights, large enough to tell a wrong mask."""
    import transformers

    torch.manual_seed(3)
    wide = {"intermediate_size": 64}
    kinds = {
        "llama": ("Llama", wide | COMMON | SHORT),
        "mistral, window 4": ("Mistral", wide | COMMON | SHORT | {"sliding_window": 4}),
        "qwen2, some layers with a window": (
            "Qwen2",
            wide
            | COMMON
            | SHORT
            | {"sliding_window": 5, "use_sliding_window": True, "max_window_layers": 1},
        ),
        "gemma2, alternating windows": (
            "Gemma2",
            wide | COMMON | SHORT | {"sliding_window": 4, "head_dim": 8},
        ),
        "gpt2": ("GPT2", dict(vocab_size=64, n_embd=32, n_layer=2, n_head=4, n_positions=64)),
        "bloom": (
            "Bloom",
            dict(vocab_size=64, hidden_size=32, n_layer=2, n_head=4, pad_token_id=0),
        ),
        "rwkv": (
            "Rwkv",
            dict(
                vocab_size=64,
                hidden_size=32,
                num_hidden_layers=2,
                attention_hidden_size=32,
                intermediate_size=64,
                context_length=64,
            ),
        ),
        "jamba": (
            "Jamba",
            wide
            | COMMON
            | dict(
                num_hidden_layers=2,
                num_experts=2,
                num_experts_per_tok=1,
                attn_layer_period=2,
                attn_layer_offset=1,
                use_mamba_kernels=False,
                mamba_d_state=8,
            ),
        ),
        "bert": (
            "Bert",
            dict(
                vocab_size=64,
                hidden_size=32,
                num_hidden_layers=2,
                num_attention_heads=4,
                intermediate_size=64,
            ),
        ),
        "mamba": (
            "Mamba",
            dict(vocab_size=64, hidden_size=32, num_hidden_layers=2, state_size=8, pad_token_id=0),
        ),
    }
    kind, options = kinds[name]
    config = getattr(transformers, f"{kind}Config")(**options)
    head = "LMHeadModel" if kind in ("GPT2", "Bert") else "ForCausalLM"
    model = getattr(transformers, f"{kind}{head}")(config).eval()
    for parameter in model.parameters():
        parameter.data *= 3 if parameter.dim() > 1 else 1
    return model


class Answers(dict):
    def first_token(self, sample_id, token):
        self[sample_id] = [token]

    def tokens(self, sample_id, ids):
        self[sample_id] += ids

    def complete(self, output):
        assert self[output.sample_id] == list(output.token_ids)


def served(engine_of, runner, limit=20, **options):
    answers = Answers()
    engine = engine_of(runner, answers, (), **options)
    for i, prompt in enumerate(PROMPTS):
        engine.add(Request(i, prompt, limit - 3 * i))
    while engine.busy:
        engine.step()
    return [answers[i] for i in range(len(PROMPTS))]


@torch.inference_mode()
def alone(model, limit=20):
    """Greedy, one at a time, the whole text anew for each token."""
    answers = []
    for i, prompt in enumerate(PROMPTS):
        ids = list(prompt)
        for _ in range(limit - 3 * i):
            ids.append(
                int(model(input_ids=torch.tensor([ids]), use_cache=False).logits[0, -1].argmax())
            )
        answers.append(ids[len(prompt) :])
    return answers


IN_ROWS = [
    "llama",
    "mistral, window 4",
    "qwen2, some layers with a window",
    "gemma2, alternating windows",
    "gpt2",
]


def way(model, limit=20):
    spans = [Span.of(len(prompt), limit - 3 * i) for i, prompt in enumerate(PROMPTS)]
    return choose(model, expected_of(model, spans), pad_id=0)


@pytest.mark.parametrize("name", IN_ROWS)
@pytest.mark.parametrize("prefill_tokens", [512, 7])
def test_batched_answers_equal_those_of_the_bare_model(name, prefill_tokens):
    model = tiny(name)
    chosen = way(model)
    assert chosen.batching == "in flight"
    assert served(chosen.engine, chosen.runner(3, 64), prefill_tokens=prefill_tokens) == alone(
        model
    )


@pytest.mark.parametrize(
    ("name", "batching"),
    [
        ("bloom", "static"),
        ("mamba", "static"),
        ("jamba", "static"),
        ("rwkv", "one at a time"),
    ],
)
def test_a_model_without_rows_is_served_another_way_with_its_own_answers(name, batching):
    model = tiny(name)
    chosen = way(model)
    assert chosen.batching == batching
    assert chosen.token_bytes is None
    assert served(chosen.engine, chosen.runner(3, 64)) == alone(model)


def test_static_batches_of_a_model_with_attention_are_right_as_well():
    model = tiny("llama")
    assert served(StaticEngine, StaticRunner(model, 3, 64, pad_id=0)) == alone(model)


def test_a_model_that_knows_what_comes_next_is_refused():
    with pytest.raises(SetupFailed, match=r"change with the tokens that follow .*is_decoder"):
        way(tiny("bert"))


def test_a_wrong_mask_does_not_pass(monkeypatch):
    model = tiny("mistral, window 4")
    monkeypatch.setattr("sut.engine.slots.Masks.__call__", lambda self, columns, at: None)
    assert way(model).batching == "static"


def test_it_is_known_what_a_token_takes():
    layers, keys_and_values, heads, size, bytes_each = 3, 2, 2, 8, 4
    assert way(tiny("llama")).token_bytes == layers * keys_and_values * heads * size * bytes_each


def test_the_cache_says_how_much_of_it_was_used():
    runner = SlotRunner(tiny("llama"), 2, 10)
    runner.prefill(0, [[5, 6, 7], [8]], 0)
    assert runner.cache_bytes == 2 * 10 * 384
    runner.decode([5, 5], [3, 1])
    assert runner.used_bytes == (4 + 2) * 384
