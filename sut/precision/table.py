"""How are the weights stored and multiplied? One verb per precision (weights in, model out), one
line each in the table.

`check` says before anything is loaded what this machine cannot do; `load` returns a transformers
model that is placed and ready. A LoRA row is another row with an adapter on top
(`sut.precision.lora`), so every precision has one.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from harness.kernel.errors import first_line
from sut.model import faults, findings
from sut.precision import lora, machine


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
    from sut.checkpoint import prequantised, readable
    from sut.model import loading
    from sut.precision import bnb, share

    quantisation = prequantised.how(path, **_code(options))
    if quantisation:
        readable.check(path, quantisation)
    with readable.reading(path, quantisation):
        model = loading.loaded(path, "auto", device=device, **options)
    if not quantisation:
        return model
    if quantisation.method in _TRIED and (why := _against_first_pass(model)):
        options["quantization_config"] = prequantised.undone(quantisation)
        if options["quantization_config"] is None:
            raise readable.refuse(path, quantisation, why)
        del model
        model = loading.loaded(path, "auto", device=device, **options)
        findings.of(model).notes.append(f"its own products cannot be used here ({why})")
    if share.of(model).of_all == 0:
        loading.note_dequantised(model, quantisation)
        return model
    loading.note_precision(model, quantisation)
    if quantisation.method == "bitsandbytes":
        bnb.ready(model)
    return share.hold(model, path)


_TRIED = ("compressed-tensors", "fp8", "mxfp4")


def _against_first_pass(model: Any) -> str:
    """Return why a first pass fails; empty if it does not. compressed-tensors restores the weights
    in it, so that what is counted from then on is what serves; the others fetch kernels, from the
    hub.
    """
    import torch

    try:
        with torch.no_grad():
            model(input_ids=torch.zeros((1, 1), dtype=torch.long, device=model.device))
    except Exception as error:  # of whichever library the kernels are
        if faults.is_out_of_memory(error):
            raise
        return first_line(error)
    return ""


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


def _by_fp8(is_by_row: bool, path: str, *, device: str, **options: Any) -> Any:
    from sut.checkpoint import prequantised
    from sut.precision import share
    from sut.precision.fp8 import layers, trial
    from sut.precision.fp8.products import by_kernel

    if quantisation := prequantised.how(path, **_code(options)):
        raise prequantised.refuse(path, quantisation)
    plain = _in_dtype(_half(device), path, device=device, **options)
    model = layers.quantize(plain, is_by_row)
    is_gpu = device.startswith("cuda")
    trial.choose(model, by_kernel if is_gpu else None, _fused_rounding() if is_gpu else None)
    return share.hold(model, path)


def _fused_rounding() -> Any:
    """Return the kernel that rounds rows to FP8; None without Triton."""
    try:
        from sut.precision.fp8.fused import rounded
    except ImportError:
        return None
    return rounded


def _code(options: dict[str, Any]) -> dict[str, Any]:
    """Return the one option that a configuration takes as well."""
    return {name: value for name, value in options.items() if name == "trust_remote_code"}


def _half(device: str) -> str:
    return "bfloat16" if machine.lacks_bf16(device) is None else "float16"


# ---- the table

_BASES = {
    "fp32": Precision(
        partial(_in_dtype, "float32"), "32-bit floats: the reference", machine.any_device
    ),
    "bf16": Precision(
        partial(_in_dtype, "bfloat16"),
        "bfloat16: the range of fp32, 8 bits of mantissa",
        machine.needs_bf16,
    ),
    "fp16": Precision(
        partial(_in_dtype, "float16"),
        "half precision: 11 bits of mantissa, smaller range",
        machine.any_device,
    ),
    "asis": Precision(
        _as_stored, "as the checkpoint is stored, quantised or not", machine.any_device
    ),
    "native": Precision(_as_stored, "the older name of asis", machine.any_device),
    "fp8": Precision(
        partial(_by_fp8, True),
        "8-bit floats, a scale per row of the weights and per token (torch._scaled_mm)",
        partial(machine.needs_fp8, "fp8"),
    ),
    "fp8-tensor": Precision(
        partial(_by_fp8, False),
        "8-bit floats, one scale for the weights and one for the tokens of a pass",
        partial(machine.needs_fp8, "fp8-tensor"),
    ),
    "int8": Precision(
        partial(_by_bitsandbytes, 8),
        "8-bit weights, outliers in fp16 (bitsandbytes)",
        machine.needs_bitsandbytes,
    ),
    "nf4": Precision(
        partial(_by_bitsandbytes, 4),
        "4-bit NormalFloat, scales quantised too (bitsandbytes)",
        machine.needs_bitsandbytes,
    ),
    "int8-quanto": Precision(
        partial(_by_quanto, "Int8Linear"),
        "8-bit weights, a scale per row (quanto)",
        machine.needs_quanto,
    ),
    "int4-quanto": Precision(
        partial(_by_quanto, "Int4Linear"),
        "4-bit weights, a scale per group (quanto)",
        machine.needs_quanto,
    ),
}


def _with_adapter(name: str, base: Precision) -> Precision:
    summary = f"{name} and a LoRA adapter (peft): --adapter, --merge-adapter"
    return Precision(
        partial(lora.load, base.load, name),
        summary,
        partial(machine.needs_peft, base.check),
        adapter=True,
    )


TABLE = _BASES | {"lora": _with_adapter("fp32", _BASES["fp32"])}
TABLE |= {f"lora-{n}": _with_adapter(n, base) for n, base in _BASES.items() if n != "fp32"}
