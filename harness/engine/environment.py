"""What machine and software was this? All a reader needs to believe or repeat a figure; nothing
that names a person.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import psutil

from harness.engine import gpus, hardware, tested
from harness.kernel.machine.memory import limit_bytes
from harness.kernel.privacy import variables

PACKAGES = (
    "torch", "transformers", "accelerate", "bitsandbytes", "optimum", "optimum-quanto", "peft",
    "tokenizers", "safetensors", "numpy", "scipy", "pyarrow", "rouge-score", "psutil",
    "nvidia-ml-py", "pydantic",
)  # fmt: skip
_MAIN = ("torch", "transformers", "peft", "bitsandbytes", "optimum-quanto", "numpy", "pyarrow")
_CPU_FLAGS = (
    "avx2",
    "avx512f",
    "avx512_bf16",
    "avx512_vnni",
    "amx_bf16",
    "amx_int8",
    "neon",
    "asimd",
    "sve",
    "bf16",
)


def describe() -> dict[str, Any]:
    """Describe machine, CPU, GPU, versions, threads and git commit, without a heavy import."""
    found, problem = gpus.describe()
    packages = {name: version for name in PACKAGES if (version := _version(name))}
    return {
        "touchstone": own_version(),
        "platform": platform.platform(),
        "python": sys.version.split()[0],
        "machine": {
            "cpu": _cpu_model(),
            "cpu_flags": _cpu_flags(),
            "cores_physical": psutil.cpu_count(logical=False),
            "cores_logical": psutil.cpu_count(),
            "cores_allowed": (
                len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None
            ),
            "memory_bytes": psutil.virtual_memory().total,
            "memory_limit_bytes": limit_bytes(),
            "load_average": list(os.getloadavg()) if hasattr(os, "getloadavg") else None,
            "governor": _read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
            **hardware.describe(),
        },
        "gpus": found,
        "nvml_problem": problem,
        "packages": packages,
        "untested": [one._asdict() for one in tested.untested(packages)],
        "variables": variables.recorded(os.environ),
        "git": commit(Path(__file__)),
    }


def notes(described: Mapping[str, Any]) -> list[str]:
    """Return what a reader of a run's figures must know of its environment."""
    untested = [str(tested.Untested(**one)) for one in described.get("untested") or []]
    if not untested:
        return []
    return [f"these libraries are outside the versions that were tested: {', '.join(untested)}"]


def own_version() -> str:
    """Return the version of Touchstone itself."""
    return _version("touchstone-harness") or "(not installed)"


def versions() -> dict[str, str]:
    """Return what a report of a fault should name: own version and commit, Python, libraries."""
    git = commit(Path(__file__))
    known = {"touchstone": own_version()}
    if git is not None:
        known["commit"] = git["commit"] + (" (with changes)" if git["dirty"] else "")
    known["python"] = platform.python_version()
    return known | {name: _version(name) or "(not installed)" for name in _MAIN}


def _cpu_model() -> str:
    for line in _read("/proc/cpuinfo").splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def _cpu_flags() -> list[str]:
    for line in _read("/proc/cpuinfo").splitlines():
        if line.startswith(("flags", "Features")):
            present = set(line.split(":", 1)[1].split())
            return [flag for flag in _CPU_FLAGS if flag in present]
    return []


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def commit(file: Path) -> dict[str, Any] | None:
    """Return the commit that `file` belongs to, and whether its checkout was changed since.

    None where it is in no checkout, or only inside one of something else: an installed package
    lies in a virtual environment, which may lie in anybody's repository.
    """
    place = str(file.resolve().parent)
    try:
        _run("git", "-C", place, "ls-files", "--error-unmatch", file.name)
        head = _run("git", "-C", place, "rev-parse", "HEAD")
        changed = _run("git", "-C", place, "status", "--porcelain")
    except (OSError, subprocess.SubprocessError):
        return None
    return {"commit": head, "dirty": bool(changed)}


def _run(*command: str) -> str:
    return subprocess.run(
        command, capture_output=True, text=True, check=True, timeout=10
    ).stdout.strip()


def _read(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""
