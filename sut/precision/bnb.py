"""Weights in 8 and 4 bits by bitsandbytes: how it is asked, and what has to be put right before its
layers run.

The 8-bit kernel works in fp16 and casts whatever it gets. SmolLM2-135M on 2 cores, 8 requests,
tokens/s by the type of the other layers and the activations: bf16 38, fp16 25 (which CPUs emulate),
fp32 20.
"""

from __future__ import annotations

from typing import Any

from harness.kernel.errors import SetupFailed

_CPU_ROWS, _CPU_BLOCK = (
    32,
    64,
)  # its packing for CPUs with bf16 units takes whole blocks of these alone


def config(bits: int, compute_dtype: str, spread: bool) -> Any:
    """Return the configuration. `spread`: over several devices, so that part of an 8-bit model may
    stay on the CPU as floats.
    """
    from transformers import BitsAndBytesConfig

    if bits == 8:
        chosen: dict[str, Any] = {"load_in_8bit": True, "llm_int8_enable_fp32_cpu_offload": spread}
    else:
        chosen = {
            "load_in_4bit": True,
            "bnb_4bit_quant_type": "nf4",
            "bnb_4bit_use_double_quant": True,
        }
    return BitsAndBytesConfig(**chosen, bnb_4bit_compute_dtype=compute_dtype)  # type: ignore[no-untyped-call]


def ready(model: Any) -> Any:
    """Raise SetupFailed where the files hold other shapes than config.json says (it does not
    look).
    """
    import bitsandbytes

    nn: Any = bitsandbytes.nn
    for name, layer in model.named_modules():
        if isinstance(layer, nn.Linear8bitLt):
            _must_be(name, layer, tuple(layer.weight.shape))
        elif isinstance(layer, nn.Linear4bit):
            _must_be(name, layer, tuple(layer.weight.quant_state.shape))
            if layer.out_features % _CPU_ROWS or layer.in_features % _CPU_BLOCK:
                layer.support_avx512bf16_for_cpu = False
    return model


def keep_layout(model: Any) -> list[Any]:
    """Stop its 4-bit layers from rearranging their weights for the CPU in their first pass, and
    return those layers: peft would read the rearranged ones as if they were not.
    """
    layers = []
    for layer in model.modules():
        if getattr(layer, "support_avx512bf16_for_cpu", False):
            layer.support_avx512bf16_for_cpu = False
            layers.append(layer)
    return layers


def may_rearrange(layers: list[Any]) -> None:
    """Undo `keep_layout`."""
    for layer in layers:
        layer.support_avx512bf16_for_cpu = True


def _must_be(name: str, layer: Any, found: tuple[int, ...]) -> None:
    wanted = (layer.out_features, layer.in_features)
    if found != wanted:
        doing, fine = f"loading {name}", f"config.json says {wanted}; both must be of one model"
        raise SetupFailed(
            doing, f"the shapes in its weight files are {found}", fine, "Fetch or save it again."
        )
