"""What is told of captured decode steps? Of a runner that captures none: nothing."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass
class Captures:
    """What a runner has captured so far; `later` at the first step of a bucket."""

    at_load: int = 0
    later: int = 0
    seconds: float = 0.0
    notes: list[str] = field(default_factory=list)  # why some buckets are computed eagerly


def facts_of(runner: Any) -> dict[str, Any] | None:
    """Return the fact `graphs`."""
    captures = _of(runner)
    if captures is None:
        return None
    return {
        "captured_at_load": captures.at_load,
        "captured_later": captures.later,
        "seconds": round(captures.seconds, 3),
        "bytes": runner.graph_bytes,
    }


def captured_later(runner: Any) -> int:
    """Return how many buckets were captured at their first step."""
    captures = _of(runner)
    return captures.later if captures else 0


def notes_of(runner: Any) -> list[str]:
    captures = _of(runner)
    return list(captures.notes) if captures else []


def _of(runner: Any) -> Captures | None:
    found: Captures | None = getattr(runner, "captures", None)
    return found
