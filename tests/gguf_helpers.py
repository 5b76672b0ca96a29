"""A tiny Qwen2 as a GGUF file: tied in truth, its output head stored once more as GGUF files do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

WIDTH, VOCABULARY = 64, 96
_LETTERS = [chr(code) for code in range(33, 33 + VOCABULARY - 3)]


def tied_qwen() -> Any:
    """The model itself, in float32, with seeded weights."""
    import torch
    from transformers import Qwen2Config, Qwen2ForCausalLM

    torch.manual_seed(5)
    config = Qwen2Config(
        vocab_size=VOCABULARY,
        hidden_size=WIDTH,
        intermediate_size=96,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=128,
        bos_token_id=0,
        eos_token_id=1,
        tie_word_embeddings=True,
    )
    model = Qwen2ForCausalLM(config)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return model


def write_gguf(
    model: Any, path: Path, head: Any | None, head_type: str = "F32", embedding_type: str = "F32"
) -> Path:
    """The model's weights under GGUF's names; `head` is stored as output.weight unless None."""
    import gguf

    file = gguf.GGUFWriter(str(path), "qwen2")
    config = model.config
    file.add_block_count(config.num_hidden_layers)
    file.add_context_length(config.max_position_embeddings)
    file.add_embedding_length(config.hidden_size)
    file.add_feed_forward_length(config.intermediate_size)
    file.add_head_count(config.num_attention_heads)
    file.add_head_count_kv(config.num_key_value_heads)
    file.add_layer_norm_rms_eps(config.rms_norm_eps)
    file.add_vocab_size(config.vocab_size)
    file.add_tokenizer_model("gpt2")
    file.add_token_list(["<bos>", "<eos>", *_LETTERS, "ab"])
    file.add_token_types([3, 3, *[1] * (VOCABULARY - 2)])
    file.add_token_merges(["a b"])
    file.add_bos_token_id(0)
    file.add_eos_token_id(1)
    kinds = {"token_embd.weight": embedding_type, "output.weight": head_type}
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.QWEN2, config.num_hidden_layers)
    tensors = {
        names.get_name(name, try_suffixes=(".weight", ".bias")): tensor
        for name, tensor in model.state_dict().items()
        if name != "lm_head.weight"
    }
    if head is not None:
        tensors["output.weight"] = head
    for name, tensor in tensors.items():
        kind = gguf.GGMLQuantizationType[kinds.get(name, "F32")]
        values = tensor.detach().numpy().astype(np.float32)
        file.add_tensor(name, gguf.quants.quantize(values, kind), raw_dtype=kind)
    file.write_header_to_file()
    file.write_kv_data_to_file()
    file.write_tensors_to_file()
    file.close()
    return path
