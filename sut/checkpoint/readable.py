"""Can a checkpoint in few bits be read here? Its method must be known to transformers, the library
that transformers asks for must be installed, and FP8 weights must have their scales.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec

from harness.kernel.errors import SetupFailed, first_line
from sut.checkpoint.quantisation import Quantisation
from sut.checkpoint.stored import Stored

_PACKAGES = {  # by method: module and package
    "aqlm": ("aqlm", "aqlm"),
    "auto-round": ("auto_round", "auto-round"),
    "awq": ("gptqmodel", "gptqmodel"),
    "bitsandbytes": ("bitsandbytes", "bitsandbytes"),
    "compressed-tensors": ("compressed_tensors", "compressed-tensors"),
    "gptq": ("gptqmodel", "gptqmodel"),
    "hqq": ("hqq", "hqq"),
    "quanto": ("optimum", "optimum-quanto"),
    "quark": ("quark", "amd-quark"),
    "torchao": ("torchao", "torchao"),
    "vptq": ("vptq", "vptq"),
}
_SCALES = ("weight_scale", "weight_scale_inv", "scale", "scale_inv", "qscale_weight")
_SERVE = "Serve it by a program that reads it, for example --sut vllm --variant asis."


def check(path: str, quantisation: Quantisation) -> None:
    """Raise SetupFailed for a method that transformers does not know, or whose library is not
    installed.
    """
    import transformers
    from transformers.quantizers.auto import AUTO_QUANTIZER_MAPPING

    doing, method = f"loading model {path!r}", quantisation.method
    known = {name.partition("_")[0] if "bits" in name else name.replace("_", "-")
             for name in AUTO_QUANTIZER_MAPPING}  # fmt: skip
    if method not in known:
        found = f"it is quantised by {quantisation}, which transformers {transformers.__version__}"
        fine = "known: " + ", ".join(sorted(known))
        raise SetupFailed(doing, f"{found} cannot read", fine, _SERVE)
    module, package = _PACKAGES.get(method, ("", ""))
    if module and find_spec(module) is None:
        found = f"it is quantised ({quantisation}), and the package {package} is not installed"
        raise SetupFailed(doing, found, "", f"Run: pip install {package}")


@contextmanager
def reading(path: str, quantisation: Quantisation | None) -> Iterator[None]:
    """Turn what a library says that lacks a package or a device into a SetupFailed."""
    try:
        yield
    except (ImportError, NotImplementedError) as error:
        if quantisation is None:
            raise
        lacks = error.name if isinstance(error, ModuleNotFoundError) else None
        raise refuse(path, quantisation, first_line(error), lacks) from error


def refuse(
    path: str, quantisation: Quantisation, why: str, package: str | None = None
) -> SetupFailed:
    """Make the error for a checkpoint that a library cannot read, or compute with, here."""
    found = f"it is quantised ({quantisation}), which cannot be read here ({why})"
    todo = f"Run: pip install {package}" if package else _SERVE
    return SetupFailed(f"loading model {path!r}", found, "", todo)


def check_scales(path: str, held: Mapping[str, Stored]) -> None:
    """Refuse FP8 weights without their scales: as numbers of their own they mean nothing. Raises
    SetupFailed.
    """
    bare = [name for name in sorted(held) if _lacks_scale(name, held)]
    if bare:
        raise SetupFailed(
            f"loading model {path!r}",
            f"{len(bare)} of its weights are FP8 and have no scale, {bare[0]} for one",
            f"expected a scale beside each, such as {bare[0]}_scale",
            "Fetch the model again, or save it with its scales.",
        )


def _lacks_scale(name: str, held: Mapping[str, Stored]) -> bool:
    owner, _, part = name.rpartition(".")
    if part != "weight" or not held[name].dtype.startswith("float8_e"):
        return False
    return not any(f"{owner}.{scale}" in held for scale in _SCALES)
