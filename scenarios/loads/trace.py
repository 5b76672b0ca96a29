"""Arrivals and lengths as somebody's users had them: a trace is replayed, faster if asked, the
whole or a window of it.

The first request of the window is due at 0. Each request of the trace is a sample of its own, so
nothing is drawn, and the trace ends the run: it is not repeated.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from harness.kernel.types import Int64s, RunSettings
from scenarios.loadgen.sample_order import LoadedSet, Schedule
from scenarios.loads.load import Load, number

_SECONDS = {"ms": 1e-3, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0, "": 1.0}
_TIME = re.compile(r"([0-9.]+)(ms|s|min|m|h|d)?")
_OPTION = re.compile(r"@([0-9.]+x|[0-9.a-z]*\.\.[0-9.a-z]*)$")  # the file may have an @ itself


class Trace(NamedTuple):
    """Requests in the order of their arrival. `blocks`: for each, ids of the parts of its prompt,
    `block_tokens` each; equal ids at the beginning are shared prefixes (Mooncake's hash_ids).
    """

    due_ns: Int64s
    input_tokens: Int64s
    output_tokens: Int64s
    blocks: Sequence[Sequence[int]] = ()
    block_tokens: int = 512

    @property
    def qps(self) -> float:
        """Mean rate."""
        span_s = float(self.due_ns[-1] - self.due_ns[0]) / 1e9
        return (len(self.due_ns) - 1) / span_s if span_s > 0 else float(len(self.due_ns))


@dataclass(frozen=True, slots=True)
class TraceLoad(Load):
    """`trace:FILE[@SPEEDx][@FROM..TO]`; seconds of the trace's own time."""

    file: str
    speed: float = 1.0
    from_s: float = 0.0
    until_s: float | None = None
    is_rated = False
    brings_samples = True
    slower = "replay the trace at a lower speed (@0.5x)"
    longer = "choose a longer window of the trace, or lower --min-queries and --min-duration"

    @classmethod
    def read(cls, words: str) -> TraceLoad:
        file, found = words, dict[str, Any]()
        while match := _OPTION.search(file):
            file, option = file[: match.start()], match[1]
            if option.endswith("x"):
                found["speed"] = number(option[:-1], "speed")
            else:
                first, _, last = option.partition("..")
                found["from_s"] = seconds(first) if first else 0.0
                found["until_s"] = seconds(last) if last else None
        if not file:
            raise ValueError("the file is missing")
        until_s = found.get("until_s")
        if until_s is not None and until_s <= found["from_s"]:
            raise ValueError("the window ends before it begins")
        return cls(file, **found)

    def replayed(self, trace: Trace) -> Trace:
        """Return the requests of the window, from 0 on, at the speed that was asked for."""
        since_ns = trace.due_ns - trace.due_ns[0]
        until_ns = np.inf if self.until_s is None else self.until_s * 1e9
        inside = np.flatnonzero((since_ns >= self.from_s * 1e9) & (since_ns < until_ns))
        if not len(inside):
            nothing = np.empty(0, np.int64)
            return Trace(nothing, nothing, nothing)
        kept_ns = since_ns[inside]
        due_ns = np.rint((kept_ns - kept_ns[0]) / self.speed).astype(np.int64)
        blocks = [trace.blocks[i] for i in inside.tolist()] if trace.blocks else ()
        lengths = trace.input_tokens[inside], trace.output_tokens[inside]
        return Trace(due_ns, *lengths, blocks, trace.block_tokens)

    def schedule(self, settings: RunSettings, rows: Any = None) -> Schedule:
        due_ns = rows.due_ns
        n, end_ns = len(due_ns), int(due_ns[-1]) + 1
        order = np.arange(n, dtype=np.int64)
        return Schedule((LoadedSet(order.tolist(), n, 1, end_ns),), order, due_ns)


def seconds(text: str) -> float:
    """Read a time such as 90, 10m or 1.5h. Raises ValueError."""
    match = _TIME.fullmatch(text)
    if not match:
        raise ValueError(f"{text!r} is no time such as 90s, 10m or 1.5h")
    return number(match[1], "time", may_be_least=True) * _SECONDS[match[2] or ""]
