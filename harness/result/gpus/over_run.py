"""What did each GPU of a run do over the timed span? Means, peaks and why its clocks were low."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from harness.kernel.machine.slowdowns import FAULTS, POWER_CAP, REASONS
from harness.result.gpus.columns import Telemetry, of_each, share, within
from harness.result.gpus.counter import counted

_Of = Callable[[Sequence[float]], float]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


_FIGURES: dict[str, tuple[str, _Of]] = {
    "utilisation_percent": ("gpu_utilisation_percent", _mean),
    "memory_peak_bytes": ("gpu_memory_bytes", max),
    "watts_mean": ("gpu_watts", _mean),
    "watts_max": ("gpu_watts", max),
    "sm_mhz_mean": ("gpu_sm_mhz", _mean),
    "sm_mhz_min": ("gpu_sm_mhz", min),
    "memory_mhz_mean": ("gpu_memory_mhz", _mean),
    "celsius_max": ("gpu_celsius", max),
    "pcie_sent_bytes_per_s": ("gpu_pcie_sent_bytes_per_s", _mean),
    "pcie_received_bytes_per_s": ("gpu_pcie_received_bytes_per_s", _mean),
}


def over_run(
    telemetry: Telemetry, span_ns: int, metered: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """Return a row for each GPU of the run: the figures above, {joules, idle_watts} and the time
    under each reason for lower clocks; None where the driver did not tell. Nothing of runs of
    older versions.
    """
    indices = metered.get("indices") or []
    if "gpu_slowdowns" not in telemetry or span_ns <= 0:
        return []
    by_counter = counted(telemetry, span_ns, indices).joules
    joules = dict(zip(indices, by_counter, strict=False))
    idle = {row["gpu"]: row.get("idle_watts") for row in metered.get("before") or ()}
    return [
        {
            "gpu": index,
            **_figures(telemetry, span_ns, place, len(indices)),
            "joules": joules.get(index),
            "idle_watts": idle.get(index),
            **_slowdowns(telemetry, span_ns, place, len(indices)),
        }
        for place, index in enumerate(indices)
    ]


def _figures(telemetry: Telemetry, span_ns: int, place: int, count: int) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for name, (column, of) in _FIGURES.items():
        columns = of_each(telemetry, column, count)
        values = within(telemetry, columns[place], span_ns) if columns else []
        row[name] = of(values) if values else None
    return row


def _slowdowns(telemetry: Telemetry, span_ns: int, place: int, count: int) -> dict[str, Any]:
    """Return the time under a fault, under the power cap, and under each reason, in percent."""
    column = of_each(telemetry, "gpu_slowdowns", count)[place]
    if not within(telemetry, column, span_ns):
        return {"throttled_percent": None, "power_capped_percent": None, "slowdowns": {}}
    seen = {reason.name: share(telemetry, column, reason.bit, span_ns)[0] for reason in REASONS}
    return {
        "throttled_percent": 100 * share(telemetry, column, FAULTS, span_ns)[0],
        "power_capped_percent": 100 * share(telemetry, column, POWER_CAP, span_ns)[0],
        "slowdowns": {name: 100 * part for name, part in seen.items() if part},
    }
