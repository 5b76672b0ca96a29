"""What did the driver not tell of the run's GPUs, and why? In its own words, once for all figures
that share a reason.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from harness.result.gpus.columns import Telemetry
from harness.result.gpus.energy import named

_LATE_NS = 1_000_000_000  # a refusal in the first second holds from the start
_FIGURES = {
    "gpu_watts": "power",
    "gpu_energy_mj": "energy",
    "gpu_memory_bytes": "memory in use",
    "gpu_utilisation_percent": "utilisation",
    "gpu_sm_mhz": "clock",
    "gpu_memory_mhz": "memory clock",
    "gpu_celsius": "temperature",
    "gpu_slowdowns": "reasons for lower clocks",
    "gpu_foreign_processes": "processes",
    "gpu_pcie_sent_bytes_per_s": "PCIe traffic sent",
    "gpu_pcie_received_bytes_per_s": "PCIe traffic received",
}
_UNSAID = ("gpu_energy_mj",)  # the source of the energy says what was read in its place
_MANY = 6


def notes(telemetry: Telemetry, span_ns: int, found: Mapping[str, Any]) -> list[str]:
    """Say which figures are missing; `found` is the energy of the run, {} where it has none."""
    groups: dict[tuple[str, str], dict[int, list[str]]] = {}
    for (gpu, figure), (reason, since) in _first(telemetry).items():
        groups.setdefault((reason, since), {}).setdefault(gpu, []).append(figure)
    said = []
    for (reason, since), figures_of in groups.items():
        for figures, gpus in _alike(figures_of):
            is_energy_lost = not found and span_ns > 0 and "gpu_watts" in figures
            so = "; the energy of the run is not known" if is_energy_lost else ""
            said.append(f"{_sentence(figures, gpus)}{since} ({reason}){so}")
    return said


def _first(telemetry: Telemetry) -> dict[tuple[int, str], tuple[str, str]]:
    """Return the reason of each figure that a GPU refused, and since when."""
    first: dict[tuple[int, str], tuple[str, str]] = {}
    times = telemetry.get("t_ns", ())
    for t_ns, rows in zip(times, telemetry.get("gpu_refused", ()), strict=False):
        since = f" from {t_ns / 1e9:.3g} s on" if t_ns > _LATE_NS else ""
        for row in rows or ():
            if row["figure"] not in _UNSAID:
                first.setdefault((row["gpu"], row["figure"]), (row["reason"], since))
    return first


def _alike(figures_of: Mapping[int, Sequence[str]]) -> list[tuple[Sequence[str], list[int]]]:
    """Put GPUs together that refused the same figures."""
    groups: dict[tuple[str, ...], list[int]] = {}
    for gpu, figures in figures_of.items():
        groups.setdefault(tuple(figures), []).append(gpu)
    return list(groups.items())


def _sentence(figures: Sequence[str], gpus: Sequence[int]) -> str:
    does, its = ("does", "its") if len(gpus) == 1 else ("do", "their")
    if len(figures) >= _MANY:
        return f"{named(gpus)} {does} not tell what {'it does' if does == 'does' else 'they do'}"
    words = [_FIGURES.get(figure, figure) for figure in figures]
    listed = " and ".join(filter(None, (", ".join(words[:-1]), words[-1])))
    return f"{named(gpus)} {does} not tell {its} {listed}"
