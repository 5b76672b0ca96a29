"""How much energy did the answers take? The GPUs' watts over the timed span, where they were
sampled.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np


def energy(telemetry: Mapping[str, Sequence[Any]], span_ns: int, tokens: int) -> dict[str, Any]:
    """Return {joules, joules_per_token, watts_mean, source}, by trapezoids from the start to the
    last completion; {} without watts.

    Before the first sample and after the last the power is taken as theirs.
    """
    watts = telemetry.get("gpu_watts", ())
    seen = [(t, w) for t, w in zip(telemetry.get("t_ns", ()), watts, strict=False) if w is not None]
    if len(seen) < 2 or span_ns <= 0:
        return {}
    times_ns, power = np.array(seen, dtype=np.float64).T
    inside = times_ns[(times_ns > 0) & (times_ns < span_ns)]
    moments_ns = np.concatenate(([0.0], inside, [float(span_ns)]))
    joules = float(np.trapezoid(np.interp(moments_ns, times_ns, power), moments_ns)) / 1e9
    return {
        "joules": joules,
        "joules_per_token": joules / tokens if tokens else None,
        "watts_mean": joules / (span_ns / 1e9),
        "source": f"NVML: all GPUs of the machine, {len(inside)} samples in {span_ns / 1e9:.4g} s",
    }
