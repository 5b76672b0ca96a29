"""What does a user want of every answer? --slo ttft:2s,tpot:200ms,latency:10s

Service-level objectives are limits of a single answer: the time to its first token, its time per
output token, and the whole of it. Those that keep all of them make the goodput. They judge nothing:
the limits of a run (--ttft-limit and its kin) do.

A setting holds them as text in one way of writing; `limits_ns` reads it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated

from harness.kernel.errors import BadInput
from harness.options.kinds import Read, parse_seconds

METRICS = ("ttft", "tpot", "latency")
_FINE = (
    "limits of " + ", ".join(METRICS) + ", each once and with its unit, such as ttft:2s,tpot:200ms"
)
_LIMIT = re.compile(r"\s*(\w+)\s*[:=]\s*([0-9.]+(?:e-?\d+)?\s*(?:ms|s|m|min|h))\s*")
_LONGEST_S = 1e7


def parse_slo(value: object) -> str:
    """Return objectives as they are kept: "ttft:2s,tpot:0.2s". Raises ValueError."""
    if isinstance(value, Mapping):
        value = ",".join(f"{name}:{limit}" for name, limit in value.items())
    if not isinstance(value, str):
        raise ValueError(_FINE)
    found: dict[str, float] = {}
    for part in value.split(","):
        match = _LIMIT.fullmatch(part)
        seconds = parse_seconds(match[2]) if match else None
        if match is None or match[1] not in METRICS or match[1] in found:
            raise ValueError(_FINE)
        if not isinstance(seconds, float) or not 0 < seconds <= _LONGEST_S:
            raise ValueError(_FINE)
        found[match[1]] = seconds
    return ",".join(f"{name}:{found[name]:.10g}s" for name in METRICS if name in found)


Slo = Annotated[str, Read(parse_slo)]


def limits_ns(slo: str) -> dict[str, int]:
    """Return the limit of each metric in nanoseconds. Raises ValueError."""
    limits = {}
    for part in parse_slo(slo).split(","):
        name, _, limit = part.partition(":")
        limits[name] = round(float(limit.removesuffix("s")) * 1e9)
    return limits


def slo_of(text: str | None) -> str | None:
    """Return the objectives of a flag that is no run's setting. Raises BadInput."""
    if text is None:
        return None
    try:
        return parse_slo(text)
    except ValueError:
        raise BadInput("--slo", f"it is {text!r}", f"it must be {_FINE}") from None
