"""What does a sweep keep of a run? The row of a comparison, and figures of load and latency:

    users                      requests open at once: completed per second x mean latency (Little)
    tokens_per_s_per_user      1 / median TPOT: how fast one user sees the answer grow
    tokens_per_s_per_device    output tokens per second over the devices
    power                      completed per second / mean latency (Kleinrock's power)

Devices are the GPUs that the model used; without any, the machine or the server counts as one.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.study.comparison.rows import Row, row_of
from harness.study.comparison.verdict import ENDED

_LATENCIES = {
    "ttft_ms": ("mean", "p50", "p90", "p99"),
    "tpot_ms": ("mean", "p50", "p90", "p99"),
    "latency_ms": ("mean", "p50", "p90", "p99"),
}
_OF_ROW = (
    "tokens_per_s", "samples_per_s", "peak_bytes", "weights_bytes", "eval_loss", "perplexity",
    "token_accuracy", "rougeL", "joules_per_token",
)  # fmt: skip


def kept(found: Mapping[str, Any], folder: Path) -> Row:
    """Return the row of a result; figures that are not known are missing in `measured`."""
    row = row_of(found, folder)
    values = {name: row[name] for name in _OF_ROW}
    if found["status"] in ENDED:
        values |= _of_load(found, row)
    measured = {name: value for name, value in values.items() if value is not None}
    return row | {"measured": measured, "device": _device(found), "devices": _devices(found)}


def _of_load(found: Mapping[str, Any], row: Row) -> dict[str, Any]:
    latency, goodput = found["latency"], found.get("goodput") or {}
    values = {
        f"{what.removesuffix('_ms')}_{statistic}_ms": latency[what][statistic]
        for what, statistics in _LATENCIES.items()
        for statistic in statistics
    }
    rate, mean_ms, tpot_ms = (
        row["samples_per_s"], values["latency_mean_ms"], values["tpot_p50_ms"],
    )  # fmt: skip
    is_known = bool(rate and mean_ms)
    return {
        **values,
        "scheduled_samples_per_s": found["throughput"]["scheduled_samples_per_s"],
        "users": rate * mean_ms / 1e3 if is_known else None,
        "power": rate / (mean_ms / 1e3) if is_known else None,
        "tokens_per_s_per_user": 1e3 / tpot_ms if tpot_ms else None,
        "tokens_per_s_per_device": _over(row["tokens_per_s"], _devices(found)),
        "goodput_per_s": (goodput.get("requests_per_s") or {}).get("value"),
        "goodput_share": (goodput.get("share") or {}).get("value"),
    }


def _over(value: float | None, count: int) -> float | None:
    return None if value is None else value / count


def _devices(found: Mapping[str, Any]) -> int:
    """Count the GPUs that the model used; 1 where it used none, or nobody can tell."""
    return len(found["sut_facts"].get("gpus") or found.get("gpus") or ()) or 1


def _device(found: Mapping[str, Any]) -> str:
    """Say what a device is here."""
    facts = found["sut_facts"]
    if facts.get("gpus") or found.get("gpus"):
        names = {gpu.get("name") or "" for gpu in found["environment"].get("gpus") or []}
        return f"GPU {names.pop()}".strip() if len(names) == 1 else "GPU"
    if facts.get("url"):
        return "server"
    return str(facts.get("device") or "machine")
