"""Which bytes a decode step reads: counted by hand on tiny models."""

from __future__ import annotations

import pytest
import torch
from transformers import AutoModelForCausalLM, LlamaConfig, MixtralConfig

from sut.engine.packing import can_pack, pack
from sut.limit.reads import step_bytes
from sut.model.weights import weigh

SIZES = {
    "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "vocab_size": 1000,
}  # fmt: skip


def make(config):
    torch.manual_seed(0)
    return AutoModelForCausalLM.from_config(config).eval().requires_grad_(False)


def test_an_embedding_of_its_own_is_only_looked_up():
    model = make(LlamaConfig(**SIZES, tie_word_embeddings=False))
    assert step_bytes(model) == weigh(model).held_bytes - 1000 * 64 * 4


def test_a_tied_matrix_is_read_by_the_head():
    model = make(LlamaConfig(**SIZES, tie_word_embeddings=True))
    assert step_bytes(model) == weigh(model).held_bytes


def test_half_the_precision_reads_half():
    full, half = (make(LlamaConfig(**SIZES)) for _ in range(2))
    half.to(torch.bfloat16)
    assert step_bytes(half) * 2 == pytest.approx(step_bytes(full), rel=0.01)


@pytest.mark.skipif(not can_pack(), reason="this torch has no packed products")
def test_packed_layers_count_as_they_lie_and_a_packed_head_leaves_the_embedding_aside():
    model = make(LlamaConfig(**SIZES, tie_word_embeddings=True))
    before = step_bytes(model)
    assert pack(model)
    assert weigh(model).held_bytes == before + 1000 * 64 * 4
    assert step_bytes(model) == before


def test_a_token_passes_through_a_share_of_the_experts():
    model = make(
        MixtralConfig(**SIZES, num_local_experts=8, num_experts_per_tok=2, tie_word_embeddings=True)
    )
    experts = sum(
        parameter.numel() * 4 for name, parameter in model.named_parameters() if ".experts." in name
    )
    assert experts > 0
    assert step_bytes(model) == weigh(model).held_bytes - experts * 3 // 4
