"""Which GGUF file does llama.cpp get for a variant?"""

from __future__ import annotations

import json

import pytest

from harness.kernel.errors import BadInput, SetupFailed
from sut.started import gguf_file, table
from sut.started.order import Order

CONFIG = {
    "max_position_embeddings": 8192, "num_hidden_layers": 30, "num_attention_heads": 9,
    "num_key_value_heads": 3, "hidden_size": 576,
}  # fmt: skip
TOKEN_BYTES = 2 * 30 * 3 * 64 * 2  # keys and values, layers, heads, width, two bytes each


@pytest.fixture
def order(tmp_path):
    """order(variant, *names of GGUF files, **what else) -> what is asked of llama-server."""

    def call(variant, *names, **fields):
        folder = tmp_path / "model"
        folder.mkdir(exist_ok=True)
        (folder / "config.json").write_text(json.dumps(CONFIG))
        for name in names:
            (folder / name).write_text(name)
        given = {"model": str(folder), "path": str(folder), "max_concurrency": 4} | fields
        return Order(**given, variant=variant)

    return call


def file_of(asked, llama):
    command = table.row("llama-server").command(asked, 1, lambda words: None)
    assert command[0] == str(llama / "llama-server")
    return command[command.index("--model") + 1]


def test_the_kind_that_is_there_is_taken_as_it_is(order, llama):
    files = ("m-Q4_K_M.gguf", "m-F16.gguf", "m.Q8_0.gguf")
    assert file_of(order("Q4_K_M", *files), llama).endswith("model/m-Q4_K_M.gguf")
    assert file_of(order("fp16", *files), llama).endswith("model/m-F16.gguf")
    assert file_of(order("native", *files), llama).endswith("model/m-F16.gguf")


def test_another_kind_is_made_once_of_the_finest(order, llama, tmp_path):
    asked = order("Q5_K_M", "m-Q4_K_M.gguf", "m-Q8_0.gguf")
    made = file_of(asked, llama)
    assert made.startswith(str(tmp_path / "cache"))
    with open(made) as file:
        assert file.read().split()[:2] == ["--allow-requantize", f"{asked.path}/m-Q8_0.gguf"]
    (llama / "llama-quantize").unlink()
    assert file_of(asked, llama) == made
    with pytest.raises(SetupFailed, match="Put llama-quantize on the PATH"):
        file_of(order("Q6_K"), llama)


def test_what_llama_quantize_refuses_is_said_in_its_words(order, llama):
    with pytest.raises(SetupFailed, match="llama-quantize said: no such luck"):
        file_of(order("Q2_K", "m-Q8_0.gguf"), llama)


def test_a_model_without_gguf_says_how_to_make_one(order, llama):
    with pytest.raises(SetupFailed, match="convert_hf_to_gguf"):
        file_of(order("native"), llama)


def test_a_gguf_file_is_taken_by_its_path(order, llama, tmp_path):
    file = tmp_path / "alone-Q4_0.gguf"
    file.write_text("weights")
    assert file_of(order("native", model=str(file)), llama) == str(file)


def test_our_schemes_are_no_kinds_of_gguf():
    with pytest.raises(BadInput, match="variant of --sut llama-server: 'nf4' is not known"):
        table.check_variant("llama-server", "nf4")


def test_requests_share_a_cache_of_the_size_that_was_asked_for(order):
    assert gguf_file.context_tokens(order("native")) == 4 * 2048
    budget = 1000 * TOKEN_BYTES
    assert gguf_file.context_tokens(order("native", kv_cache_bytes=budget)) == 1000
    assert gguf_file.context_tokens(order("native", kv_cache_bytes=1 << 50)) == 4 * 8192


def test_a_model_whose_size_of_a_token_is_not_told_gets_a_sentence(order):
    asked = order("native", kv_cache_bytes=1 << 30)
    with open(f"{asked.path}/config.json", "w") as file:
        json.dump({"text_config": CONFIG}, file)  # as models with pictures have it
    with pytest.raises(SetupFailed, match=r"does not say 'num_attention_heads'.*--ctx-size"):
        gguf_file.context_tokens(asked)
