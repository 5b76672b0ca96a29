"""What can this machine not do? Asked of every variant before anything is loaded: a device that is
not there, a driver or a GPU too old for torch or for the variant, a package that is not installed.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from importlib.util import find_spec

from harness.kernel.errors import BadInput, SetupFailed, first_line
from harness.kernel.machine.nvml import Nvml

DEVICE_MAPS = ("auto", "balanced", "balanced_low_0", "sequential")
Check = Callable[[str, str | None], None]  # of a device and of --device-map; raises SetupFailed
_FP8 = (8, 9)  # Ada; 9.0 is Hopper


def any_device(device: str, device_map: str | None) -> None:
    """Raise SetupFailed for a device that torch cannot use, BadInput for an unknown map."""
    import torch

    if device.startswith("cuda"):
        _needs_cuda(device)
    if device == "mps" and not torch.backends.mps.is_available():
        found, fine = "torch finds no Metal device", "expected auto or cpu"
        raise SetupFailed("--device mps", found, fine, "Pass --device auto.")
    if device_map is not None and device_map not in DEVICE_MAPS:
        raise BadInput(
            f"--device-map {device_map}",
            "it is not known",
            "known: " + ", ".join(DEVICE_MAPS),
            "Pass --device-map auto.",
        )


def needs_bf16(device: str, device_map: str | None) -> None:
    any_device(device, device_map)
    if name := lacks_bf16(device):
        found, fine = f"{name} has no bfloat16", "expected compute capability 8.0 or later"
        raise SetupFailed("variant bf16", found, fine, "Use fp16.")


def needs_fp8(variant: str, device: str, device_map: str | None) -> None:
    """Take a GPU that multiplies FP8, or the CPU, which emulates it."""
    import torch

    any_device(device, device_map)
    doing, todo = f"variant {variant}", "Use int8, or --device cpu to judge its quality alone."
    if device.startswith("mps"):
        raise SetupFailed(doing, "Metal has no FP8", "expected cuda or cpu", todo)
    if device.startswith("cuda") and (found := torch.cuda.get_device_capability(device)) < _FP8:
        name = torch.cuda.get_device_name(device)
        held = f"{name} has no FP8: its compute capability is {_version(found)}"
        raise SetupFailed(doing, held, f"expected {_version(_FP8)} or later", todo)
    _on_one_device("FP8", device_map)


def needs_bitsandbytes(device: str, device_map: str | None) -> None:
    any_device(device, device_map)
    need_package("bitsandbytes")
    if device.startswith("mps"):
        found, fine = "it has no kernels for Metal", "expected cpu or cuda"
        raise SetupFailed("bitsandbytes", found, fine, "Use int8-quanto or int4-quanto.")


def needs_quanto(device: str, device_map: str | None) -> None:
    any_device(device, device_map)
    need_package("optimum.quanto", "optimum-quanto")
    _on_one_device("quanto", device_map)


def needs_peft(check: Check, device: str, device_map: str | None) -> None:
    """Take what the base takes, and peft."""
    check(device, device_map)
    need_package("peft")


def need_package(module: str, package: str = "") -> None:
    try:
        there = find_spec(module) is not None
    except ImportError:  # no parent package
        there = False
    if not there:
        name = package or module
        raise SetupFailed(
            "this variant", f"the package {name} is not installed", "", f"Run: pip install {name}"
        )


def lacks_bf16(device: str) -> str | None:
    """Return the name of a GPU without bfloat16; CPUs without it emulate it."""
    import torch

    if not device.startswith("cuda") or torch.cuda.is_bf16_supported(including_emulation=False):
        return None
    return str(torch.cuda.get_device_name(device))


def gpu_not_used() -> str:
    """Return a note where the machine has NVIDIA GPUs that torch cannot use; else empty."""
    nvml = Nvml()
    count = len(nvml.gpus())
    nvml.close()
    if not count or not (why := _why_no_cuda()):
        return ""
    gpus = "an NVIDIA GPU" if count == 1 else f"{count} NVIDIA GPUs"
    return f"this machine has {gpus}, but torch cannot use CUDA ({why}): the CPU is used"


def _needs_cuda(device: str) -> None:
    import torch

    doing, index = f"--device {device}", int(device.partition(":")[2] or 0)
    is_there = torch.cuda.is_available()
    count = torch.cuda.device_count() if is_there else 0
    if index >= count:
        known = "" if count == 0 else ": cuda:0" if count == 1 else f": cuda:0 to cuda:{count - 1}"
        found = f"torch {torch.__version__} sees {count} CUDA device{'s' * (count != 1)}{known}"
        if not is_there and (why := _why_no_cuda()):
            found += f" ({why})"
        fine = "expected auto, cpu or a device that is there"
        raise SetupFailed(doing, found, fine, "Pass --device auto.")
    _needs_kernels(doing, device)


def _needs_kernels(doing: str, device: str) -> None:
    """Refuse a GPU that is older than all that this torch was built for."""
    import torch

    if torch.version.cuda is None:  # of AMD's GPUs, whose numbers are others
        return
    built = [divmod(int(number), 10) for number in _numbers(torch.cuda.get_arch_list())]
    found = torch.cuda.get_device_capability(device)
    if built and found < min(built):
        name = torch.cuda.get_device_name(device)
        held = f"{name} has compute capability {_version(found)}, too old for this torch"
        fine = f"torch {torch.__version__} was built for {_version(min(built))} and later"
        raise SetupFailed(doing, held, fine, "Install an older torch, or pass --device cpu.")


def _numbers(archs: list[str]) -> list[str]:
    """Return the digits of "sm_90", "sm_100a" and "compute_120"."""
    return [match[1] for arch in archs if (match := re.match(r"[a-z]+_(\d+)", arch))]


def _version(capability: tuple[int, int]) -> str:
    return f"{capability[0]}.{capability[1]}"


def _why_no_cuda() -> str:
    """Return what torch says where it cannot use CUDA: no driver, one too old, a build without;
    empty where it can.
    """
    import torch

    try:
        torch.cuda.init()  # type: ignore[no-untyped-call]
    except (RuntimeError, AssertionError) as error:
        return first_line(error)
    return ""


def _on_one_device(what: str, device_map: str | None) -> None:
    if device_map is not None:
        raise SetupFailed(
            f"--device-map with {what}",
            "its layers must be on one device",
            "int8 and nf4 can be spread",
            "Leave it out.",
        )
