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


def edit_json(file: Path, drop: tuple[str, ...] = (), **changes: Any) -> None:
    data = json.loads(file.read_text()) | changes
    file.write_text(json.dumps({key: value for key, value in data.items() if key not in drop}))
