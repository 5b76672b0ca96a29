"""Adapters for tiny models, and models copied with one thing broken."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from sut.precision.lora import without_notices


def make_adapter(base: Path, folder: Path, **changes: Any) -> Path:
    """A LoRA of rank 4 on q and v whose weights are not zero, so that it changes the answers."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    torch.manual_seed(3)
    config = {
        "r": 4,
        "lora_alpha": 64,
        "target_modules": ["q_proj", "v_proj"],
        "init_lora_weights": False,
        "task_type": "CAUSAL_LM",
    }
    with without_notices():
        tuned = get_peft_model(
            AutoModelForCausalLM.from_pretrained(base), LoraConfig(**(config | changes))
        )
    tuned.peft_config["default"].base_model_name_or_path = "tiny"
    tuned.save_pretrained(str(folder), save_embedding_layers=False)
    return folder


def resized(base: Path, folder: Path, **changes: Any) -> Path:
    """A model with fresh weights and the configuration and tokenizer of `base`, but for
    `changes`.
    """
    from transformers import AutoConfig, AutoModelForCausalLM

    shutil.copytree(base, folder)
    AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(base, **changes)).save_pretrained(
        folder
    )
    return folder


def fp8_checkpoint(folder: Path, block: int = 16, with_scales: bool = True) -> Path:
    """Rewrite the model's layers in FP8 with a scale per block, as transformers' own method."""
    import torch
    from safetensors.torch import load_file, save_file

    file, held = folder / "model.safetensors", dict[str, Any]()
    for name, tensor in load_file(file).items():
        held[name] = tensor
        if not name.endswith("proj.weight"):
            continue
        rows, columns = (size // block for size in tensor.shape)
        blocks = tensor.float().view(rows, block, columns, block)
        scale = blocks.abs().amax((1, 3), keepdim=True) / 448
        held[name] = (blocks / scale).view(tensor.shape).to(torch.float8_e4m3fn)
        if with_scales:
            held[f"{name}_scale_inv"] = scale.view(rows, columns)
    save_file(held, file, metadata={"format": "pt"})
    told = {"quant_method": "fp8", "weight_block_size": [block, block]}
    edit_json(folder / "config.json", quantization_config=told | {"activation_scheme": "dynamic"})
    return folder


def edit_json(file: Path, drop: tuple[str, ...] = (), **changes: Any) -> None:
    data = json.loads(file.read_text()) | changes
    file.write_text(json.dumps({key: value for key, value in data.items() if key not in drop}))
