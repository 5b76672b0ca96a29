"""The length of a context, held against what models of the library take."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from sut.prompts.context import context_of

LENGTH = 40
_WIDTHS = (
    "hidden_size", "d_model", "n_embd", "intermediate_size", "encoder_ffn_dim", "decoder_ffn_dim",
    "ffn_dim", "word_embed_proj_dim", "embedding_size", "dff",
)  # fmt: skip
_LAYERS = (
    "num_hidden_layers", "n_layer", "n_layers", "num_layers", "encoder_layers", "decoder_layers",
    "num_decoder_layers", "num_encoder_layers",
)  # fmt: skip
_HEADS = (
    "num_attention_heads", "n_head", "n_heads", "num_heads", "encoder_attention_heads",
    "decoder_attention_heads", "num_decoder_attention_heads", "num_encoder_attention_heads",
)  # fmt: skip
_SMALL = dict.fromkeys(_WIDTHS, 32) | dict.fromkeys(_LAYERS, 1) | dict.fromkeys(_HEADS, 2)
_SMALL |= {"vocab_size": 100, "is_decoder": True, "rotary_dim": 8, "pad_token_id": 1}
_LENGTHS = ("max_position_embeddings", "n_positions", "max_seq_len", "max_target_positions")
LEARNED = (
    "gpt2", "openai-gpt", "gpt_bigcode", "opt", "biogpt", "bert", "roberta", "camembert",
    "xlm-roberta", "data2vec-text", "electra", "bart", "whisper", "trocr", "mpt", "ctrl", "codegen",
    "prophetnet",
)  # fmt: skip


def tiny(kind):
    """A model of one layer whose configuration says LENGTH, under its own name for it."""
    from transformers import AutoModelForCausalLM
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    default = CONFIG_MAPPING[kind]()
    given = {name: value for name, value in _SMALL.items() if hasattr(default, name)}
    if kind == "prophetnet":
        del given["num_hidden_layers"]  # the sum of the two others
    given |= {name: LENGTH for name in _LENGTHS if hasattr(default, name)}
    return AutoModelForCausalLM.from_config(CONFIG_MAPPING[kind](**given)).eval()


def takes(model, tokens):
    import torch

    try:
        with torch.inference_mode():
            model(input_ids=torch.full((1, tokens), 7))
    except (IndexError, RuntimeError, ValueError):
        return False
    return True


@pytest.mark.parametrize("kind", LEARNED)
def test_a_table_of_positions_takes_the_context_and_no_token_more(kind):
    model = tiny(kind)
    context = context_of(model.config)
    assert takes(model, context)
    assert not takes(model, context + 1)


@pytest.mark.parametrize("kind", ["bloom", "mamba", "recurrent_gemma"])
def test_a_model_that_names_no_length_has_no_limit(kind):
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    assert context_of(CONFIG_MAPPING[kind]()) is None


def config(**fields):
    made = SimpleNamespace(**({"model_type": "any"} | fields))
    made.get_text_config = lambda: made
    return made


@pytest.mark.parametrize(
    ("fields", "context"),
    [
        ({"max_position_embeddings": 4096}, 4096),
        ({"n_positions": 1024, "n_ctx": 512}, 1024),  # what its table is built with
        ({"n_ctx": 512}, 512),
        ({"seq_length": 8192}, 8192),
        ({"max_sequence_length": 2048}, 2048),
        ({"max_seq_length": 2048}, 2048),
        ({"max_position_embeddings": -1}, None),  # XLNet
        ({"max_position_embeddings": None}, None),
        ({"max_position_embeddings": 32768, "rope_scaling": None}, 32768),
    ],
)
def test_a_length_has_many_names(fields, context):
    assert context_of(config(**fields)) == context


@pytest.mark.parametrize(
    ("fields", "rope", "context"),
    [
        # Qwen 2.5 with yarn; DeepSeek, whose length is the scaled one; Llama 3.1; Phi-3
        (32768, {"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32768}, 131072),
        (
            163840,
            {"rope_type": "yarn", "factor": 40, "original_max_position_embeddings": 4096},
            163840,
        ),
        (
            131072,
            {"rope_type": "llama3", "factor": 8.0, "original_max_position_embeddings": 8192},
            131072,
        ),
        (131072, {"rope_type": "longrope", "original_max_position_embeddings": 4096}, 131072),
        (32768, {"rope_type": "dynamic", "factor": 2.0}, 65536),
        (131072, {"rope_type": "linear", "factor": 8.0}, 131072),  # Gemma 3
        (4096, {"rope_type": "default"}, 4096),
        (
            131072,
            {
                "full_attention": {"rope_type": "linear", "factor": 8.0},
                "sliding_attention": {"rope_type": "default"},
            },
            131072,
        ),
    ],
)
def test_scaled_positions_reach_further_where_the_length_is_that_before_scaling(
    fields, rope, context
):
    assert context_of(config(max_position_embeddings=fields, rope_parameters=rope)) == context


def test_a_linear_scaling_beside_a_longer_name_has_the_longer_one():
    """Vicuna 16k."""
    rope = {"type": "linear", "factor": 4.0}
    lengths = {"max_position_embeddings": 4096, "max_sequence_length": 16384}
    assert context_of(config(**lengths, rope_scaling=rope)) == 16384
    assert context_of(config(**lengths)) == 4096


@pytest.mark.parametrize(("limit", "context"), [(2048, 2048), (int(1e30), None), (1e30, None)])
def test_the_tokenizer_counts_where_the_configuration_says_nothing(limit, context):
    known = SimpleNamespace(model_max_length=limit)
    assert context_of(config(), known) == context
    assert context_of(config(max_position_embeddings=64), known) == 64
