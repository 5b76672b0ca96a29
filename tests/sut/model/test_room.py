"""What a model needs at least, from the headers of its files, and what is said where there is less.
A GPU is one by its free memory alone here.
"""

from __future__ import annotations

import pytest

from harness.kernel.errors import SetupFailed
from sut.checkpoint import stored
from sut.checkpoint.stored import Stored
from sut.model import room
from sut.model.weights import weigh

HELD = {
    "model.embed_tokens.weight": Stored("bfloat16", (100, 64), 12_800),
    "model.layers.0.mlp.up_proj.weight": Stored("bfloat16", (256, 64), 32_768),
    "model.norm.weight": Stored("bfloat16", (64,), 128),
}


@pytest.mark.parametrize(
    ("variant", "num_bytes"),
    [
        ("fp32", 4 * (6400 + 16384 + 64)),
        ("bf16", 2 * (6400 + 16384 + 64)),
        ("int8", 2 * (6400 + 64) + 16384),
        ("nf4", 2 * (6400 + 64) + 8192),
        ("fp8", 2 * (6400 + 16384 + 64)),  # it begins with all of them
        ("native", 12_800 + 32_768 + 128),
        ("asis", 12_800 + 32_768 + 128),
        ("one that is not known here", 12_800 + 32_768 + 128),
    ],
)
def test_the_weights_are_counted_by_variant(variant, num_bytes):
    assert room.weights_bytes(HELD, variant) == num_bytes


def test_what_is_counted_is_what_the_model_weighs(tiny_llama):
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(tiny_llama)
    held = stored.tensors(stored.files(tiny_llama))
    weighs = weigh(model).held_bytes
    assert room.weights_bytes(held, "fp32") <= weighs <= 1.05 * room.weights_bytes(held, "fp32")


def with_free(monkeypatch, count):
    monkeypatch.setattr("torch.cuda.mem_get_info", lambda device: (count, 80 * 2**30))


def config_of(folder):
    from transformers import AutoConfig

    return AutoConfig.from_pretrained(folder)


@pytest.mark.parametrize("variant", ["fp32", "lora"])
def test_a_gpu_without_room_says_what_is_needed_and_free(tiny_llama, monkeypatch, variant):
    with_free(monkeypatch, 1000)
    with pytest.raises(SetupFailed, match=r"needs at least .* GiB .* and 0\.00 are free") as fault:
        room.check(str(tiny_llama), variant, config_of(tiny_llama), 64, "cuda:0")
    assert fault.value.exit_code == 3


def test_a_request_needs_its_cache_as_well(tiny_llama, monkeypatch):
    config, held = config_of(tiny_llama), stored.tensors(stored.files(tiny_llama))
    weights, token = room.weights_bytes(held, "fp32"), room.token_bytes(config, "fp32")
    with_free(monkeypatch, weights + 10 * token)
    room.check(str(tiny_llama), "fp32", config, 10, "cuda")
    with pytest.raises(SetupFailed):
        room.check(str(tiny_llama), "fp32", config, 11, "cuda")


def test_a_cpu_and_files_that_are_not_here_are_let_be(tiny_llama, monkeypatch):
    with_free(monkeypatch, 0)
    room.check(str(tiny_llama), "fp32", config_of(tiny_llama), 64, "cpu")
    config = config_of(tiny_llama)
    with pytest.raises(SetupFailed):
        room.check(str(tiny_llama), "fp32", config, 64, "cuda")


def test_a_token_takes_what_its_cache_does(tiny_llama):
    from tests.sut.engine.test_lean import FAMILIES, made
    from tests.sut.engine.test_slots import tiny, way

    for model in (made(*FAMILIES["llama"]), tiny("gpt2"), tiny("llama")):
        assert room.token_bytes(model.config, "fp32") == way(model).token_bytes
