"""How is the GPU's benchmark written down? As Markdown (also on the screen) and as JSON, with the
date, the device, the driver and the versions: a figure without them says nothing.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any, NamedTuple

from harness.kernel.clock import utc_now
from harness.kernel.words.figure import number
from tests.bench.gpu.wanted import Row

_WORDS = {True: "ok", False: "MISSED", None: ""}
_LIBRARIES = ("torch", "transformers", "bitsandbytes", "optimum-quanto")
_COPIES = ("8B.copy_bytes_per_s", "1B.copy_bytes_per_s")


class Outcome(NamedTuple):
    """Everything that was found: `missing` says by part why figures are not there."""

    facts: Mapping[str, str]
    figures: Mapping[str, Any]
    missing: Mapping[str, str]
    rows: Sequence[Row]
    seconds: float

    @property
    def missed(self) -> bool:
        return any(row.met is False for row in self.rows)


def facts_of(device: str, tiny: bool) -> dict[str, str]:
    """Return what a reader must know of where and with what it was measured."""
    import torch

    found = {"date": utc_now().date().isoformat(), "device": _device(device)}
    if device.startswith("cuda"):
        found |= {"driver": _driver(), "CUDA": str(torch.version.cuda)}
    found |= {"Python": platform.python_version()}
    found |= {name: known for name in _LIBRARIES if (known := _version(name))}
    return found | ({"dry run": "tiny shapes: these figures say nothing"} if tiny else {})


def _device(device: str) -> str:
    import torch

    if not device.startswith("cuda"):
        return f"{device}, {torch.get_num_threads()} threads"
    about = torch.cuda.get_device_properties(device)
    return f"{about.name}, {about.total_memory / 2**30:.0f} GiB"


def _driver() -> str:
    """Return the driver's version, or why it does not tell."""
    from harness.kernel.machine.nvml import Nvml, text

    nvml = Nvml()
    answer = nvml.read(text, "nvmlSystemGetDriverVersion")
    nvml.close()
    return str(answer.value or answer.refusal)


def _version(name: str) -> str:
    try:
        return version(name)
    except ModuleNotFoundError:
        return ""


def markdown(outcome: Outcome) -> str:
    about = ", ".join(f"{name} {value}" for name, value in outcome.facts.items())
    lines = [f"Measured: {about}; {outcome.seconds:.0f} s.", ""]
    lines += [
        "| | what | first | second | unit | ratio | target |",
        "|---|---|--:|--:|---|--:|---|",
    ]
    lines += [_line(row) for row in outcome.rows]
    lines += ["", *_said(outcome)]
    return "\n".join(lines) + "\n"


def _line(row: Row) -> str:
    word = _WORDS[row.met] if row.ratio is not None else "not measured"
    ratio = "-" if row.ratio is None else f"{row.ratio:.2f}x"
    ours, other = number(row.ours), number(row.other)
    return (
        f"| {word} | {row.what.strip()} | {ours} | {other} | {row.unit} | {ratio} | {row.target} |"
    )


def _said(outcome: Outcome) -> list[str]:
    """Say what stands beside the table: the speed of a copy, the paths, what is missing."""
    found = outcome.figures
    copy = next((found[name] for name in _COPIES if found.get(name)), None)
    said = [] if copy is None else [f"- limit: a copy moves {copy / 1e9:,.1f} GB/s"]
    paths = {name: value for name, value in found.items() if name.endswith(".path")}
    said += [
        f"- {name.removesuffix('.path')}: decode steps are {path}" for name, path in paths.items()
    ]
    said += [f"- not measured, {part}: {why}" for part, why in outcome.missing.items()]
    return said


def as_json(outcome: Outcome) -> dict[str, Any]:
    return {
        "facts": dict(outcome.facts),
        "rows": [row._asdict() for row in outcome.rows],
        "figures": dict(outcome.figures),
        "missing": dict(outcome.missing),
        "seconds": round(outcome.seconds, 1),
    }
