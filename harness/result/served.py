"""What does a run tell of the server that it asked? What the server does, who counted the tokens,
how the answers came, how requests failed, and what the server had cached.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np

from accuracy.outputs.cold import cached_tokens
from harness.kernel.answers import FAILURES
from harness.kernel.entries import ALL_EVIDENCE, Evidence, SutEntry
from harness.kernel.log import RunLog
from harness.kernel.stats import summary_ms

_TOLD = (
    "url",
    "model",
    "server",
    "version",
    "endpoint",
    "connect_ms",
    "token_source",
    "does",
    "prompts",
)


def evidence(entry: SutEntry, facts: Mapping[str, Any]) -> frozenset[Evidence]:
    """Return what the answers carry: of a server, as it was found out before the run. Another SUT
    has no say in which rules it is judged by.
    """
    if not entry.asks_server or "evidence" not in facts:
        return entry.evidence
    return entry.evidence & ALL_EVIDENCE & frozenset(facts["evidence"])


def figures(log: RunLog, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return the part `served` of result.json."""
    known = {name: facts[name] for name in _TOLD if name in facts}
    cold = facts.get("prompts")
    cached = cached_tokens(log, dict(cold)) if isinstance(cold, Mapping) else None
    if cached is not None:
        known["cached"] = cached._asdict()
    return known | {
        "first_content_ms": summary_ms(_first_content_ns(log)),
        "queue_ms": summary_ms(_queue_ns(log)),
        "chunks": _chunks(log),
        "failures": failures(log),
        "retries": sum(seen.retries for seen in log.seen.values()),
    }


def _first_content_ns(log: RunLog) -> Any:
    """Return (k,) the first visible token from the due time, of completed samples."""
    first = [(i, seen.first_content_ns) for i, seen in log.seen.items()]
    rows = [(i, at_ns) for i, at_ns in first if at_ns >= 0 and log.completed[i]]
    return np.array([at_ns - log.due_ns[i] for i, at_ns in rows], np.int64)


def _queue_ns(log: RunLog) -> Any:
    return np.array([seen.queue_ns for seen in log.seen.values() if seen.queue_ns >= 0], np.int64)


def _chunks(log: RunLog) -> dict[str, Any]:
    """Return how many pieces carried the tokens of completed samples; a lump is one of several."""
    ids = [i for i, seen in log.seen.items() if seen.chunks > 0 and log.completed[i]]
    pieces = sum(log.seen[i].chunks for i in ids)
    tokens = int(log.tokens[ids].sum()) if ids else 0
    return {
        "pieces": pieces,
        "tokens": tokens,
        "tokens_per_piece": tokens / pieces if pieces else None,
        "largest": _largest(log, ids),
    }


def _largest(log: RunLog, ids: list[int]) -> int | None:
    """Return the most tokens that came at one moment."""
    most = 0
    for i in ids:
        stamps = log.stamp_ns[log.stamp_start[i] : log.stamp_start[i + 1]]
        if len(stamps):
            most = max(most, int(np.unique(stamps, return_counts=True)[1].max()))
    return most or None


def failures(log: RunLog) -> list[dict[str, Any]]:
    """Return each way in which samples failed, the most frequent first, with an example."""
    first = dict[str, int]()
    for i, name in sorted(log.failures.items()):
        first.setdefault(name, i)
    return [
        {
            "failure": name,
            "meaning": FAILURES.get(name, name),
            "samples": count,
            "example": first[name],
            "detail": log.errors.get(first[name], ""),
        }
        for name, count in Counter(log.failures.values()).most_common()
    ]
