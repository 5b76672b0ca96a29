"""How much energy did the answers take? The run's GPUs count it themselves over the timed span;
where they do not, it is the area under the power that was sampled.

Which GPUs these are is said beside every figure: those that the SUT named, or all that it might
have used. A power that was not told for a while is not guessed. What the GPUs drew before the run
is told beside it, and never taken off.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from harness.engine.telemetry import INTERVAL_NS
from harness.result.gpus.columns import Telemetry, timed
from harness.result.gpus.counter import Counted, counted

_LONGEST_GAP_NS = 3 * INTERVAL_NS  # without a value, where others were refused


def energy(
    telemetry: Telemetry,
    span_ns: int,
    tokens: int,
    metered: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return {joules, joules_per_token, watts_mean, idle_watts, sampled_joules, whose, gpus,
    source}, from the start to the last completion; {} where neither energy nor power was told.
    `metered` is `gpus.Metered` as JSON, empty for runs of versions that metered every GPU.
    """
    metered = metered or {}
    if span_ns <= 0:
        return {}
    sampled, samples = _sampled(telemetry, span_ns)
    by_counter = counted(telemetry, span_ns, metered.get("indices") or [])
    joules = sum(by_counter.joules) if by_counter.joules else sampled
    if joules is None:
        return {}
    whose = metered.get("whose", "machine")
    indices = metered.get("indices")
    of = _OF[whose].format(named(indices or []))
    return {
        "joules": joules,
        "joules_per_token": joules / tokens if tokens else None,
        "watts_mean": joules / (span_ns / 1e9),
        "idle_watts": idle_watts(metered),
        "sampled_joules": sampled,
        "whose": whose,
        "gpus": indices,
        "source": f"NVML: {of}, {_how(by_counter, samples, span_ns)}",
    }


def idle_watts(metered: Mapping[str, Any]) -> float | None:
    """Return the power of the run's GPUs in the second before the run; None where it is not known
    of all.
    """
    watts = [row.get("idle_watts") for row in metered.get("before") or ()]
    is_whole = watts and None not in watts and len(watts) == len(metered.get("indices") or ())
    return float(sum(watts)) if is_whole else None


def _how(by_counter: Counted, samples: int, span_ns: int) -> str:
    span = f"in {span_ns / 1e9:.4g} s"
    if by_counter.joules:
        return f"by the energy counter, read {_often(by_counter.readings)} {span}"
    why = f" ({by_counter.problem})" if by_counter.problem else ""
    return f"by the power, read {_often(samples)} {span}{why}"


def _often(times: int) -> str:
    return {1: "once", 2: "twice"}.get(times, f"{times} times")


def _sampled(telemetry: Telemetry, span_ns: int) -> tuple[float | None, int]:
    """Return the joules under the power that was sampled, by trapezoids, and how often it was;
    None where they do not cover the span. Before the first sample and after the last the power is
    taken as theirs.
    """
    times_ns, power = timed(telemetry, telemetry.get("gpu_watts", ()))
    if len(times_ns) < 2 or not _is_covered(telemetry, span_ns):
        return None, 0
    inside = times_ns[(times_ns >= 0) & (times_ns <= span_ns)]
    moments_ns = np.concatenate(([0.0], inside, [float(span_ns)]))
    joules = float(np.trapezoid(np.interp(moments_ns, times_ns, power), moments_ns)) / 1e9
    return joules, len(inside)


_OF = {
    "used": "{}, which the run used",
    "visible": "{}, all that the run could use",
    "machine": "all GPUs of the machine",
}


def notes(metered: Mapping[str, Any], found: Mapping[str, Any]) -> list[str]:
    """Say whose energy it is where the run may not have used all of it, or why it is not known."""
    if problem := metered.get("problem"):
        return [f"the energy of the run is not known: {problem}"]
    if not found or found["whose"] == "used":
        return []
    whose = named(found["gpus"]) if found["gpus"] else "all GPUs of the machine"
    return [f"the energy is that of {whose}, whoever used them"]


def named(indices: Sequence[int]) -> str:
    """Name GPUs by the numbers that nvidia-smi gives them."""
    numbers = ", ".join(map(str, indices))
    return f"GPU {numbers}" if len(indices) == 1 else f"GPUs {numbers}"


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
