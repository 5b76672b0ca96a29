"""A tiny model of every causal architecture that transformers knows: what is small in its
configuration?

The fields of the default configuration are made small by their names, in every part of it (text,
vision): two layers or one of each kind, a width of 48, windows of 16, so that short texts cross
them. `ODD` holds what a name does not tell. Weights are drawn wide enough that answers vary.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

VOCABULARY = 128
CONTEXT = 256
WINDOW = 16

# a field's name -> its value; the first pattern that fits the whole name counts
SMALL: tuple[tuple[str, Any], ...] = tuple(
    (re.compile(pattern), value)
    for pattern, value in (
        (r"(type|task_type)_vocab_size", 2),
        (r"vocab_size_per_layer_input|(un)?padded_vocab_size|vocab_size|decoder_vocab_size",
         VOCABULARY),
        (r"(pronunciation|shape|encoder_hash_byte_group)_vocab(_size)?", VOCABULARY),
        (r"ngram_vocab_size_base", 64),
        (r"(hidden_size|d_model|n_embd|embedding_dim|emb_dim|dim_model|(word_)?embed(ding)?"
         r"(_proj)?_dim|embedding_size|attention_hidden_size|lru_width|input_embedding_size"
         r"|output_embedding_size)", 48),
        (r"hidden_size_per_layer_input|ple_embed_dim|router_hidden_size|adapter_rank|d_rel", 16),
        (r".*(intermediate_size(_mlp)?|ffn_dim|dff|dim_ff|d_inner|ffn_hidden_size"
         r"|feed_forward_size|n_inner)", 64),
        (r"(num_hidden_layers|n_layers?|num_layers|(encoder|decoder)_layers"
         r"|num_(encoder|decoder)_layers|num_blocks)", 2),
        (r"(num_key_value_heads|num_kv_heads|num_query_groups|swa_num_key_value_heads)", 2),
        (r"index_n_heads", 16),  # their sums have no ties at 0
        (r"(num_|n_|encoder_|decoder_|swa_)*(attention_)?(heads?)|num_(encoder|decoder)"
         r"_attention_heads|linear_num_heads", 4),
        (r"linear_num_(key|value)_heads", 2),
        (r"(mamba_)?(swa_)?head_dim|dim_head|d_head|kv_channels|linear_(key_|value_)?head_dim"
         r"|attention_head_size|index_head_dim", 12),
        (r"(q|kv|o)_lora_rank|gated_norm_rank|hc_lowrank|laurel_rank|loop_gate_rank", 16),
        (r"qk_rope_head_dim", 8),
        (r"qk_nope_head_dim|v_head_dim", 12),
        (r"qk_head_dim", 20),
        (r"(num|n|moe_num)_(local_|routed_)?experts|num_local_experts|expert_num", 4),
        (r"zero_expert_num", 2),
        (r".*(experts_per_tok(en)?|moe_topk|moe_k)", 2),
        (r"n_group|num_expert_group|topk_group", 1),
        (r"first_k_dense_replace|num_dense_layers", 1),
        (r".*(sliding_window(_size)?|window_size|local_attention(_window_len)?"
         r"|attention_chunk_size|keep_window_size|rel_extent)", WINDOW),
        (r"index_topk", 12),
        (r"(mamba_)?chunk_size|index_block_size", 8),
        (r"(local|lsh)_attn_chunk_length", WINDOW),
        (r"(max_position_embeddings|n_positions|max_seq_len|n_ctx|model_max_length"
         r"|context_length|max_target_positions|max_source_positions)", CONTEXT),
        (r"(mamba_d_state|ssm_state_size|state_size)", 8),
        (r"(image|patch)_size", None),
        (r"(bos|eos|pad|sep|cls|eod|mask|decoder_start|forced_eos|forced_bos|.*)_token_id", "id"),
    )
)  # fmt: skip
_ROPE = {"rope_theta": 10000.0}
# what a run may meet and the defaults of an architecture do not show
VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "bert, as decoder": ("bert", {"is_decoder": True}),
    "roberta, as decoder": ("roberta", {"is_decoder": True}),
    "falcon, ALiBi": ("falcon", {"alibi": True}),
    "llama, linear": ("llama", {"rope_parameters": _ROPE | {"rope_type": "linear", "factor": 4.0}}),
    "llama, dynamic NTK": (
        "llama",
        {
            "rope_parameters": _ROPE | {"rope_type": "dynamic", "factor": 4.0},
            "max_position_embeddings": 32,
        },
    ),
    "llama, YaRN": (
        "llama",
        {
            "rope_parameters": _ROPE
            | {"rope_type": "yarn", "factor": 8.0, "original_max_position_embeddings": 32}
        },
    ),
    "llama, Llama 3's": (
        "llama",
        {
            "rope_parameters": _ROPE
            | {
                "rope_type": "llama3",
                "factor": 8.0,
                "low_freq_factor": 1.0,
                "high_freq_factor": 4.0,
                "original_max_position_embeddings": 32,
            }
        },
    ),
    "phi3, LongRoPE": (
        "phi3",
        {
            "original_max_position_embeddings": 32,
            "sliding_window": None,
            "rope_parameters": _ROPE
            | {
                "rope_type": "longrope",
                "short_factor": [1.0] * 6,
                "long_factor": [2.0 + i for i in range(6)],
                "original_max_position_embeddings": 32,
                "factor": 8.0,
            },
        },
    ),
}

# latent attention: every head has keys of its own, and a part of 8 turns
_LATENT = {"num_key_value_heads": 4, "head_dim": 8}
_SSM = {"mamba_n_heads": 8, "mamba_d_head": 12}
_ATTENTION_LAYERS = {"layer_types": ["sliding_attention", "full_attention"]}
ODD: dict[str, dict[str, Any]] = {
    **dict.fromkeys(
        ("axk1", "axk2", "bailing_hybrid", "deepseek_v2", "deepseek_v3", "deepseek_v32",
         "dots3_note", "dots3_note_text", "glm4_moe_lite", "glm_moe_dsa", "kimi_linear",
         "longcat_flash", "minicpm3", "sarvam_mla", "youtu"),
        _LATENT,
    ),
    "bamba": _SSM | {"attn_layer_indices": [1]},
    "jamba": {"attn_layer_period": 2, "attn_layer_offset": 1, "use_mamba_kernels": False},
    "recurrent_gemma": {"num_hidden_layers": 3},
    "xlstm": {"hidden_size": 64, "embedding_dim": 64},
    "gemma3n_text": {"num_kv_shared_layers": 0, "activation_sparsity_pattern": [0.0, 0.0]},
    "dory": {"n_input_layers": 1, "n_recurrent_layers": 2, "n_output_layers": 1},
    "granitemoehybrid": _SSM | {"layer_types": ["linear_attention", "full_attention"]},
    "codegen": {"rotary_dim": 8},
    "gptj": {"rotary_dim": 8},
    "stablelm": {"hidden_size": 64},
    "nemotron": {"head_dim": 12, "num_key_value_heads": 4},
    "hunyuan_v1_dense": {"head_dim": 12},
    "hunyuan_v1_moe": {"head_dim": 12, "moe_topk": 2, "num_experts": 4},
    "ministral": _ATTENTION_LAYERS | {"head_dim": 12},
    "dots1": _ATTENTION_LAYERS | {"n_routed_experts": 4, "num_experts_per_tok": 2},
    "gpt_neo": {"attention_types": [[["global", "local"], 1]]},
    "mamba2": {"num_heads": 8, "head_dim": 12, "n_groups": 2},
    "zaya": {"num_experts_per_tok": 1},
    "zamba2": {"attention_hidden_size": 96, "num_hidden_layers": 4, "n_mamba_heads": 8,
               "layers_block_type": ["linear_attention", "hybrid"] * 2},
    "zamba": {"attention_hidden_size": 96, "attention_head_dim": 24, "num_hidden_layers": 6,
              "attn_layer_period": 3, "attn_layer_offset": 1},
    "reformer": {"is_decoder": True, "axial_pos_embds": False},
    "lfm2_moe": {"layer_types": ["conv", "full_attention"]},
    "cohere_compass_text": {"layer_types": ["sliding_attention", "full_attention"]},
}  # fmt: skip


def names() -> list[str]:
    """Return the model types and the variants of them, sorted."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    return sorted([*MODEL_FOR_CAUSAL_LM_MAPPING_NAMES, *VARIANTS])


def config_of(name: str, **changes: Any) -> Any:
    """Return a small configuration of the model type."""
    from transformers import CONFIG_MAPPING

    base, more = VARIANTS.get(name, (name, {}))
    kind = CONFIG_MAPPING[base]
    return kind(**(_shrunk(kind()) | ODD.get(base, {}) | more | changes))


def model_of(name: str, **changes: Any) -> Any:
    """Return a tiny model with weights of its own, drawn wide; the same ones every time."""
    import torch
    from transformers import AutoModelForCausalLM

    config = config_of(name, **changes)
    torch.manual_seed(11)
    model = AutoModelForCausalLM.from_config(config).eval().requires_grad_(False)
    for parameter in model.parameters():
        if parameter.is_floating_point() and parameter.dim() > 1:
            torch.nn.init.normal_(parameter, std=1.2 / parameter.shape[-1] ** 0.5)
    return model


def _shrunk(config: Any) -> dict[str, Any]:
    small = {
        name: _shrunk(part) for name in config.sub_configs
        if (part := getattr(config, name, None)) is not None
    }  # fmt: skip
    fields = {k: v for k, v in vars(config).items() if not k.startswith("_")}
    for name, value in fields.items():
        if type(value) is int or name in ("sliding_window",):
            small.update(_small(name))
    for pattern in ("layer_types", "layers_block_type"):
        kinds = list(dict.fromkeys(fields.get(pattern) or ()))
        if len(kinds) > 1:
            small |= {pattern: kinds, "num_hidden_layers": len(kinds)}
    return small


def _small(name: str) -> Iterator[tuple[str, Any]]:
    for pattern, value in SMALL:
        if pattern.fullmatch(name):
            if value == "id":
                yield name, {"bos": 1, "eos": 2, "pad": 0}.get(name.split("_")[0], 3)
            elif value is not None:
                yield name, value
            return
