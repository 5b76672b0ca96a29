"""Is a checkpoint quantised already, and how? Then it is no fp32 reference, whatever is asked for.

transformers lets the checkpoint win: a model saved in nf4 and asked for in float32 or int8 comes as
nf4 each time, and says so in a log only. Some methods can be undone while a model is loaded
(`DEQUANTISED`); the rest is refused, or taken as it is by the variant `asis`.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from harness.kernel.errors import SetupFailed
from harness.kernel.foreign.own_files import read_given
from harness.kernel.foreign.parsed import loads
from sut.checkpoint import stored
from sut.checkpoint.quantisation import Quantisation, of_config

DEQUANTISED = {"mxfp4": "Mxfp4Config", "fp8": "FineGrainedFP8Config"}  # transformers' classes
_OWN_FILES = ("hf_quant_config.json", "quantize_config.json")  # of ModelOpt and of older GPTQ


def how(path: str, **options: Any) -> Quantisation | None:
    """Return how the checkpoint is quantised; None for plain weights."""
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(path, **options)
    for one in (config, config.get_text_config()):
        if told := getattr(one, "quantization_config", None):
            return of_config(told if isinstance(told, Mapping) else told.to_dict())
    return _by_own_file(path)


def refuse(path: str, quantisation: Quantisation) -> SetupFailed:
    """Make the error for a checkpoint that is not what the variant's name says."""
    return SetupFailed(
        f"loading model {path!r}",
        f"its weights are already quantised ({quantisation})",
        "this variant expects plain weights",
        "Use --variant asis, which takes them as they are, or the model they were made from.",
    )


def undone(quantisation: Quantisation) -> Any:
    """Return the configuration that lets transformers dequantise while it loads, or None."""
    import transformers

    name = DEQUANTISED.get(quantisation.method)
    return None if name is None else getattr(transformers, name)(dequantize=True)


def _by_own_file(path: str) -> Quantisation | None:
    """Return what a file of another tool beside the weights says."""
    folder = stored.folder_of(path)
    for name in _OWN_FILES:
        if folder is None or not (folder / name).is_file():
            continue
        with suppress(OSError, ValueError, AttributeError):
            told = loads(read_given(folder / name).decode())
            told = told.get("quantization", told)
            algorithm = str(told.get("quant_algo") or "gptq").lower()
            return of_config({"quant_method": algorithm} | told)
    return None
