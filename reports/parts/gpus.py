"""Which table do the GPUs of a run have, and what is said of them below their curves?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.kernel.machine.slowdowns import REASONS
from harness.kernel.words.figure import number, size
from reports.blocks import Column, Table, word_column

Result = Mapping[str, Any]
CONDITIONS = ("gpu_throttled", "gpu_shared")
_WORDS = {reason.name: reason.words for reason in REASONS}


def _rate(bytes_per_s: float) -> str:
    return f"{size(bytes_per_s)}/s"


def _optional(name: str, label: str, unit: str = "", **how: Any) -> Column:
    return Column(name, label, unit, optional=True, **how)


_COLUMNS = (
    word_column("gpu", ""),
    _optional("utilisation_percent", "utilisation", "%"),
    _optional("memory_peak_bytes", "most memory", write=size),
    _optional("watts_mean", "power", "W"),
    _optional("idle_watts", "before the run", "W"),
    _optional("joules", "energy", "J"),
    _optional("sm_mhz_mean", "SM clock", "MHz"),
    _optional("memory_mhz_mean", "memory clock", "MHz"),
    _optional("celsius_max", "hottest", "°C"),
    _optional("pcie_sent_bytes_per_s", "PCIe sent", write=_rate),
    _optional("pcie_received_bytes_per_s", "PCIe received", write=_rate),
    word_column("slowdowns", "clocks held down by"),
)


def table(result: Result) -> Table | None:
    """Return what each GPU did in the timed span; None of a run without any."""
    gpus = result.get("gpus") or []
    if not gpus:
        return None
    names = [column.name for column in _COLUMNS[1:-1]]
    rows = [[f"GPU {gpu['gpu']}", *(gpu[name] for name in names), _slowdowns(gpu)] for gpu in gpus]
    note = (
        "By NVML, over the timed span. Utilisation is the time in which anything ran on the GPU,"
        " however little. Power and clocks are means of the samples."
    )
    return Table("GPUs", _COLUMNS, rows, note, sideways=True)


def _slowdowns(gpu: Mapping[str, Any]) -> str:
    """Name what held the clocks down, and for how much of the time; being idle does not."""
    shares = {name: part for name, part in gpu["slowdowns"].items() if name != "idle"}
    said = [f"{_WORDS.get(name, name)} {number(round(part, 1))} %" for name, part in shares.items()]
    return ", ".join(said) or ("-" if gpu["throttled_percent"] is None else "nothing")


def below_the_curves(result: Result) -> str:
    """Say what the conditions about GPUs found."""
    found = [v for v in result["verdicts"] if v["rule"] in CONDITIONS]
    return " ".join(f"{v['rule']}: {v['status']}, {v['detail']}." for v in found)
