"""How much energy did the answers take? The power of the run's GPUs over the timed span, where it
was sampled.

Which GPUs these are is said beside every figure: those that the SUT named, or all that it might
have used. A power that was not told for a while is not guessed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.engine.telemetry import INTERVAL_NS

_LONGEST_GAP_NS = 3 * INTERVAL_NS  # without a value, where others were refused
_FIGURES = {
    "gpu_watts": "power",
    "gpu_memory_bytes": "memory in use",
    "gpu_utilisation_percent": "utilisation",
}


def energy(
    telemetry: Mapping[str, Sequence[Any]],
    span_ns: int,
    tokens: int,
    metered: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return {joules, joules_per_token, watts_mean, whose, gpus, source}, by trapezoids from the
    start to the last completion; {} without watts. `metered` is `gpus.Metered` as JSON, empty for
    runs of versions that metered every GPU of the machine.

    Before the first sample and after the last the power is taken as theirs.
    """
    times_ns, power = _watts(telemetry)
    if len(times_ns) < 2 or span_ns <= 0 or not _is_covered(telemetry, span_ns):
        return {}
    inside = times_ns[(times_ns > 0) & (times_ns < span_ns)]
    moments_ns = np.concatenate(([0.0], inside, [float(span_ns)]))
    joules = float(np.trapezoid(np.interp(moments_ns, times_ns, power), moments_ns)) / 1e9
    whose = (metered or {}).get("whose", "machine")
    indices = (metered or {}).get("indices")
    taken = f"{len(inside)} samples in {span_ns / 1e9:.4g} s"
    return {
        "joules": joules,
        "joules_per_token": joules / tokens if tokens else None,
        "watts_mean": joules / (span_ns / 1e9),
        "whose": whose,
        "gpus": indices,
        "source": f"NVML: {_OF[whose].format(named(indices or []))}, {taken}",
    }


_OF = {
    "used": "{}, which the run used",
    "visible": "{}, all that the run could use",
    "machine": "all GPUs of the machine",
}


def notes(
    telemetry: Mapping[str, Sequence[Any]],
    span_ns: int,
    metered: Mapping[str, Any],
    found: Mapping[str, Any],
) -> list[str]:
    """Say whose energy it is where the run may not have used all of it, and what is not known of
    the run's GPUs and why.
    """
    if problem := metered.get("problem"):
        return [f"the energy of the run is not known: {problem}"]
    said = []
    if found and found["whose"] != "used":
        whose = named(found["gpus"]) if found["gpus"] else "all GPUs of the machine"
        said.append(f"the energy is that of {whose}, whoever used them")
    for (figure, reason, since), indices in _refused(telemetry).items():
        lost = figure == "gpu_watts" and not found and span_ns > 0
        so = "; the energy of the run is not known" if lost else ""
        does, its = ("does", "its") if len(indices) == 1 else ("do", "their")
        what = f"{its} {_FIGURES.get(figure, figure)}{since}"
        said.append(f"{named(indices)} {does} not tell {what} ({reason}){so}")
    return said


def named(indices: Sequence[int]) -> str:
    """Name GPUs by the numbers that nvidia-smi gives them."""
    numbers = ", ".join(map(str, indices))
    return f"GPU {numbers}" if len(indices) == 1 else f"GPUs {numbers}"


def _watts(telemetry: Mapping[str, Sequence[Any]]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return (n,) times in ns and (n,) watts of the samples that have any."""
    columns = telemetry.get("t_ns", ()), telemetry.get("gpu_watts", ())
    seen = [(t, w) for t, w in zip(*columns, strict=False) if w is not None]
    times_ns, power = np.array(seen, dtype=np.float64).reshape(-1, 2).T
    return times_ns, power


def _is_covered(telemetry: Mapping[str, Sequence[Any]], span_ns: int) -> bool:
    """Tell whether the power is known all along: at both ends of the span, and without a long gap
    where it was refused.
    """
    rows = list(zip(telemetry.get("t_ns", ()), telemetry.get("gpu_watts", ()), strict=False))
    before = [row for row in rows if row[0] <= 0][-1:]
    after = [row for row in rows if row[0] >= span_ns][:1]
    needed = [*before, *(row for row in rows if 0 < row[0] < span_ns), *after]
    if not needed or needed[0][1] is None or needed[-1][1] is None:
        return False
    known_ns = [t_ns for t_ns, watts in needed if watts is not None]
    if len(known_ns) == len(needed):
        return True
    return bool(np.diff(known_ns).max() <= _LONGEST_GAP_NS)


def _refused(telemetry: Mapping[str, Sequence[Any]]) -> dict[tuple[str, str, str], list[int]]:
    """Return the GPUs that refused a figure, by its name, the reason, and since when."""
    first: dict[tuple[int, str], tuple[str, str]] = {}
    times = telemetry.get("t_ns", ())
    for t_ns, rows in zip(times, telemetry.get("gpu_refused", ()), strict=False):
        since = f" from {t_ns / 1e9:.3g} s on" if t_ns > INTERVAL_NS else ""
        for row in rows or ():
            first.setdefault((row["gpu"], row["figure"]), (row["reason"], since))
    found: dict[tuple[str, str, str], list[int]] = {}
    for (gpu, figure), (reason, since) in first.items():
        found.setdefault((figure, reason, since), []).append(gpu)
    return found
