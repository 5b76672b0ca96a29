"""`python -m sut.model.convert FILE.gguf FOLDER`: a GGUF file becomes an FP32 model folder that
transformers loads in a moment.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from harness.kernel.errors import SetupFailed
from harness.kernel.process import children
from sut.checkpoint import gguf
from sut.model.weights import HEAD_MARK, is_rounded_copy

REFUSED = 3  # exit code: the last line of stdout has the facts of the error, as JSON


def convert(path: Path, folder: Path) -> None:
    """Dequantise to FP32 safetensors with tokenizer and chat template. Raises SetupFailed for what
    would be lost on the way.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.modeling_gguf_pytorch_utils import (
        TENSOR_PROCESSORS,
        TensorProcessor,
        get_gguf_hf_weights_map,
    )

    source, name = str(path.parent), path.name
    tokenizer = AutoTokenizer.from_pretrained(source, gguf_file=name)
    loaded: Any = AutoModelForCausalLM.from_pretrained(
        source, gguf_file=name, dtype=torch.float32, output_loading_info=True
    )
    model, info = loaded
    held = gguf.read(str(path))
    processor = TENSOR_PROCESSORS.get(held.architecture, TensorProcessor)(config={})  # type: ignore[no-untyped-call]
    known = get_gguf_hf_weights_map(model, processor)
    gguf.check_tensors(held, known, name)
    if missing := sorted(info["missing_keys"]):
        found = f"it lacks {len(missing)} of the model's tensors, {missing[0]} for one"
        raise SetupFailed(f"converting {name}", found, "expected a whole model", "Fetch it again.")
    gguf.carry(held, model.config.get_text_config(), name)
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
    children.bind()
    try:
        convert(Path(sys.argv[1]), Path(sys.argv[2]))
    except SetupFailed as error:
        print(json.dumps(error.facts))
        sys.exit(REFUSED)
