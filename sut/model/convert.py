"""`python -m sut.model.convert FILE.gguf FOLDER`: a GGUF file becomes an FP32 model folder that
transformers loads in a moment.
"""

from __future__ import annotations

import sys
from pathlib import Path

from sut.model.weights import HEAD_MARK, is_rounded_copy


def convert(gguf: Path, folder: Path) -> None:
    """Dequantise to FP32 safetensors with tokenizer and chat template."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    source, name = str(gguf.parent), gguf.name
    tokenizer = AutoTokenizer.from_pretrained(source, gguf_file=name)
    model = AutoModelForCausalLM.from_pretrained(source, gguf_file=name, dtype=torch.float32)
    _forget_quantizer(model)
    if is_rounded_copy(model):
        setattr(model.config, HEAD_MARK, True)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _forget_quantizer(model: object) -> None:
    """transformers 5 refuses to save a model that came from GGUF until its quantizer marks are
    gone.
    """
    for mark in ("hf_quantizer", "quantization_method", "is_quantized"):
        if hasattr(model, mark):
            delattr(model, mark)
    config = getattr(model, "config")  # noqa: B009
    if hasattr(config, "quantization_config"):
        del config.quantization_config


if __name__ == "__main__":
    convert(Path(sys.argv[1]), Path(sys.argv[2]))
