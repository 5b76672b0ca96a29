"""How are the weights stored and multiplied? One verb per precision (weights in, model out), one
line each in the table.

`check` says before anything is loaded what this machine cannot do; `load` returns a transformers
model that is placed and ready. A LoRA row is another row with an adapter on top
(`sut.precision.lora`), so every precision has one.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from typing import Any, NamedTuple

from harness.kernel.errors import BadInput, SetupFailed
from sut.precision import lora

DEVICE_MAPS = ("auto", "balanced", "balanced_low_0", "sequential")


class Precision(NamedTuple):
    """`load(path, device=..., device_map=..., **options)`; with `adapter` also `adapter=...` and
    `merge_adapter=...`.
    """

    load: Callable[..., Any]
    summary: str
    check: Callable[[str, str | None], None]
    adapter: bool = False


# ---- weights in, model out


def _in_dtype(dtype_name: str, path: str, *, device: str, **options: Any) -> Any:
    """Load plain weights, or those of a checkpoint whose quantisation can be undone."""
    from sut.checkpoint import prequantised
    from sut.model import loading

    quantisation = prequantised.how(path, **_code(options))
    if quantisation:
        options["quantization_config"] = prequantised.undone(quantisation)
        if options["quantization_config"] is None:
            raise prequantised.refuse(path, quantisation)
    model = loading.loaded(path, dtype_name, device=device, **options)
    loading.hold_dtype(model, path, dtype_name)
    if quantisation:
        loading.note_dequantised(model, quantisation)
    return model


def _as_stored(path: str, *, device: str, **options: Any) -> Any:
    """Load a checkpoint as it is, quantised or not."""
    from sut.checkpoint import prequantised
    from sut.model import loading
    from sut.precision import bnb, share

    quantisation = prequantised.how(path, **_code(options))
    model = loading.loaded(path, "auto", device=device, **options)
    if not quantisation:
        return model
    if share.of(model).of_all == 0:
        loading.note_dequantised(model, quantisation)
        return model
    if prequantised.method(quantisation) == "bitsandbytes":
        bnb.ready(model)
    return share.hold(model, path)


def _by_bitsandbytes(
    bits: int, path: str, *, device: str, device_map: str | None = None, **options: Any
) -> Any:
    from sut.checkpoint import prequantised
    from sut.model import loading
    from sut.precision import bnb, share

    if quantisation := prequantised.how(path, **_code(options)):
        raise prequantised.refuse(path, quantisation)
    half = _half(device)
    config = bnb.config(bits, half, spread=device_map is not None)
    options |= {"device_map": device_map, "quantization_config": config}
    return share.hold(bnb.ready(loading.loaded(path, half, device=device, **options)), path)


def _by_quanto(layer: str, path: str, *, device: str, **options: Any) -> Any:
    from sut.checkpoint import prequantised
    from sut.precision import quanto, share

    if quantisation := prequantised.how(path, **_code(options)):
        raise prequantised.refuse(path, quantisation)
    plain = _in_dtype(_half(device), path, device=device, **options)
    return share.hold(quanto.quantize(plain, getattr(quanto, layer)), path)


def _code(options: dict[str, Any]) -> dict[str, Any]:
    """Return the one option that a configuration takes as well."""
    return {name: value for name, value in options.items() if name == "trust_remote_code"}


def _half(device: str) -> str:
    return "bfloat16" if _lacks_bf16(device) is None else "float16"


# ---- what this machine cannot do


def _any_device(device: str, device_map: str | None) -> None:
    import torch

    kind, _, index = device.partition(":")
    count = torch.cuda.device_count() if kind == "cuda" else 1
    if kind == "cuda" and not (torch.cuda.is_available() and int(index or 0) < count):
        found = (
            f"torch {torch.__version__} sees {count if torch.cuda.is_available() else 0} CUDA"
            " devices"
        )
        raise SetupFailed(
            f"--device {device}",
            found,
            "expected auto, cpu or a device that is there",
            "Pass --device auto.",
        )
    if kind == "mps" and not torch.backends.mps.is_available():
        raise SetupFailed(
            f"--device {device}",
            "torch finds no Metal device",
            "expected auto or cpu",
            "Pass --device auto.",
        )
    if device_map is not None and device_map not in DEVICE_MAPS:
        raise BadInput(
            f"--device-map {device_map}",
            "it is not known",
            "known: " + ", ".join(DEVICE_MAPS),
            "Pass --device-map auto.",
        )


def _needs_bf16(device: str, device_map: str | None) -> None:
    _any_device(device, device_map)
    if name := _lacks_bf16(device):
        raise SetupFailed(
            "variant bf16",
            f"{name} has no bfloat16",
            "expected compute capability 8.0 or later",
            "Use fp16.",
        )


def _needs_bitsandbytes(device: str, device_map: str | None) -> None:
    _any_device(device, device_map)
    _need_package("bitsandbytes")
    if device.startswith("mps"):
        raise SetupFailed(
            "bitsandbytes",
            "it has no kernels for Metal",
            "expected cpu or cuda",
            "Use int8-quanto or int4-quanto.",
        )


def _needs_quanto(device: str, device_map: str | None) -> None:
    _any_device(device, device_map)
    _need_package("optimum.quanto", "optimum-quanto")
    if device_map is not None:
        raise SetupFailed(
            "--device-map with quanto",
            "its layers must be on one device",
            "int8 and nf4 can be spread",
            "Leave it out.",
        )


def _with_peft(base: Precision, device: str, device_map: str | None) -> None:
    base.check(device, device_map)
    _need_package("peft")


def _need_package(module: str, package: str = "") -> None:
    try:
        there = find_spec(module) is not None
    except ImportError:  # no parent package
        there = False
    if not there:
        name = package or module
        raise SetupFailed(
            "this variant", f"the package {name} is not installed", "", f"Run: pip install {name}"
        )


def _lacks_bf16(device: str) -> str | None:
    """Return the name of a GPU without bfloat16; CPUs without it emulate it."""
    import torch

    if not device.startswith("cuda") or torch.cuda.is_bf16_supported(including_emulation=False):
        return None
    return str(torch.cuda.get_device_name(device))


# ---- the table

_BASES = {
    "fp32": Precision(partial(_in_dtype, "float32"), "32-bit floats: the reference", _any_device),
    "bf16": Precision(
        partial(_in_dtype, "bfloat16"),
        "bfloat16: the range of fp32, 8 bits of mantissa",
        _needs_bf16,
    ),
    "fp16": Precision(
        partial(_in_dtype, "float16"),
        "half precision: 11 bits of mantissa, smaller range",
        _any_device,
    ),
    "native": Precision(_as_stored, "as the checkpoint is stored, quantised or not", _any_device),
    "int8": Precision(
        partial(_by_bitsandbytes, 8),
        "8-bit weights, outliers in fp16 (bitsandbytes)",
        _needs_bitsandbytes,
    ),
    "nf4": Precision(
        partial(_by_bitsandbytes, 4),
        "4-bit NormalFloat, scales quantised too (bitsandbytes)",
        _needs_bitsandbytes,
    ),
    "int8-quanto": Precision(
        partial(_by_quanto, "Int8Linear"), "8-bit weights, a scale per row (quanto)", _needs_quanto
    ),
    "int4-quanto": Precision(
        partial(_by_quanto, "Int4Linear"),
        "4-bit weights, a scale per group (quanto)",
        _needs_quanto,
    ),
}


def _with_adapter(name: str, base: Precision) -> Precision:
    summary = f"{name} and a LoRA adapter (peft): --adapter, --merge-adapter"
    return Precision(
        partial(lora.load, base.load, name), summary, partial(_with_peft, base), adapter=True
    )


TABLE = _BASES | {"lora": _with_adapter("fp32", _BASES["fp32"])}
TABLE |= {f"lora-{n}": _with_adapter(n, base) for n, base in _BASES.items() if n != "fp32"}
