"""Which table do the replicas of a run have: where was each, what did it do, what did it hold?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.kernel.words.figure import size
from reports.blocks import Column, Table, word_column

_OF_MEMORY = {
    "weights_bytes": "weights",
    "kv_cache_bytes": "KV cache",
    "rss_peak_bytes": "process peak",
    "gpu_peak_bytes": "GPU peak",
}
_COLUMNS = (
    word_column("place", "replica on"),
    Column("samples", "samples"),
    Column("tokens", "output tokens"),
    *(Column(name, label, write=size, optional=True) for name, label in _OF_MEMORY.items()),
)
_NOTE = (
    "One queue: each sample went to the replica with the least tokens ahead. Memory is that of"
    " loading and serving."
)


def table(result: Mapping[str, Any]) -> Table | None:
    """Return a row for each replica; None of a run without any, or that was cut short."""
    has_some = result["settings"]["config"].get("replicas", 1) > 1
    told = result["sut_facts"].get("replicas") or {}
    if not has_some or "samples" not in told:
        return None
    lists = (told[name] for name in ("places", "samples", "tokens", "memory"))
    rows = [[*row, *_held(memory)] for *row, memory in zip(*lists, strict=True)]
    return Table("Replicas", _COLUMNS, rows, _NOTE)


def _held(memory: Mapping[str, Any] | None) -> list[Any]:
    """Return its figures; none of one that was gone by then."""
    return [(memory or {}).get(name) for name in _OF_MEMORY]
