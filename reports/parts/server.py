"""What did the server count over the run? Sums of its own counters, as people read them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from harness.kernel.words.figure import number, size

Telemetry = Mapping[str, Sequence[Any]]

_COUNTERS = {
    "server_prompt_tokens": "prompt tokens",
    "server_cached_tokens": "of them in its cache",
    "server_generated_tokens": "generated tokens",
    "server_preemptions": "preemptions",
}
_HIGHEST = {"server_running": "running at most", "server_waiting": "waiting at most"}


def counts(telemetry: Telemetry) -> list[tuple[str, str]]:
    """Return names and values; nothing where it told nothing."""
    rows = [(name, _at_most(telemetry, column)) for column, name in _HIGHEST.items()]
    if share := _known(telemetry, "server_kv_share"):
        rows.append(("KV cache in use at most", f"{100 * max(share):.1f} %"))
    rows += [(name, _added_text(telemetry, column)) for column, name in _COUNTERS.items()]
    queued, queued_s = (_added(telemetry, f"server_queued{end}") for end in ("", "_s"))
    if queued and queued_s is not None:
        rows.append(("mean wait in its queue", f"{number(1e3 * queued_s / queued)} ms"))
    if used := _known(telemetry, "server_rss_bytes"):
        rows.append(("memory of its processes at most", size(int(max(used)))))
    return [(name, text) for name, text in rows if text]


def _known(telemetry: Telemetry, column: str) -> list[float]:
    return [value for value in telemetry.get(column, ()) if value is not None]


def _at_most(telemetry: Telemetry, column: str) -> str:
    values = _known(telemetry, column)
    return f"{int(max(values)):,} requests" if values else ""


def _added(telemetry: Telemetry, column: str) -> float | None:
    """Return what was added to a counter; None where it is not known, or began anew."""
    values = _known(telemetry, column)
    fell = any(later < before for before, later in pairwise(values))
    return values[-1] - values[0] if len(values) >= 2 and not fell else None


def _added_text(telemetry: Telemetry, column: str) -> str:
    added = _added(telemetry, column)
    return "" if added is None else f"{int(added):,}"
