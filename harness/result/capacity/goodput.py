"""How many answers kept what their users want, and how many users is that?

Goodput counts the requests that keep every objective (--slo, or else the limits that are judged),
per second of the run: from its start to the last completion. A request that failed keeps none; of
an answer of one token, or one that came whole, there is no time per token to break.

Users are requests that are open at once. By Little's law their mean number is the sum of all
latencies over the span of the run.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.kernel.log import RunLog
from harness.kernel.types import RunSettings
from harness.options.lists.slo import limits_ns
from harness.options.settings import RunConfig
from harness.result.measured import span_ns
from scenarios.peak.evidence import count, mean_interval, share_interval

_WINDOWS = 20


def objectives(config: RunConfig, settings: RunSettings) -> tuple[dict[str, int], str]:
    """Return the limit of each metric in nanoseconds, and who said so; none where nobody did."""
    if config.slo:
        return limits_ns(config.slo), "--slo"
    if settings.mode != "performance" or not config.pattern.has_limits:
        return {}, ""
    if settings.use_tokens:
        limits = {"ttft": settings.ttft_limit_ns, "tpot": settings.tpot_limit_ns}
        return limits, "the limits that are judged"
    return {"latency": settings.target_latency_ns}, "the limits that are judged"


def kept_by(log: RunLog, metric: str, limit_ns: int) -> NDArray[np.bool_]:
    """Return (n,) True where a sample keeps the limit of one metric."""
    if metric == "ttft":
        return np.asarray(log.completed & (log.first_ns >= 0) & (log.ttft_ns <= limit_ns))
    if metric == "latency":
        return np.asarray(log.completed & (log.latency_ns <= limit_ns))
    kept = log.completed.copy()
    kept[log.has_tpot] = log.tpot_ns <= limit_ns
    return kept


def goodput(log: RunLog, slo: Mapping[str, int], origin: str) -> dict[str, Any]:
    """Return the goodput; nothing where there are no objectives or no samples."""
    if not slo or not len(log):
        return {}
    by = {metric: kept_by(log, metric, limit_ns) for metric, limit_ns in slo.items()}
    kept = np.logical_and.reduce(list(by.values()))
    n, hits, span_s = len(log), int(kept.sum()), span_ns(log) / 1e9
    share = share_interval(hits, n, count(~kept).effective)
    per_s = n / span_s if span_s else None
    tokens = int(log.tokens[kept].sum())
    return {
        "slo": {f"{metric}_ms": limit_ns / 1e6 for metric, limit_ns in slo.items()},
        "origin": origin,
        "requests_per_s": None if per_s is None else {
            end: value * per_s for end, value in share._asdict().items() if value is not None
        },
        "share": share._asdict(),
        "tokens_per_s": tokens / span_s if span_s else None,
        "kept": hits,
        "n": n,
        "share_by": {metric: float(flags.mean()) for metric, flags in by.items()},
    }  # fmt: skip


def capacity(log: RunLog) -> dict[str, Any]:
    """Return how many users were served at once, and how fast each; nothing where none was."""
    span = span_ns(log)
    if not span or not log.completed.any():
        return {}
    users, low, high = mean_interval(_open_per_window(log, span))
    tpot_ms = float(log.tpot_ns.mean()) / 1e6 if log.has_tpot.any() else None
    return {
        "users": {"value": users, "low": max(low, 0.0), "high": high},
        "tpot_ms": tpot_ms,
        "tokens_per_s_per_user": 1e3 / tpot_ms if tpot_ms else None,
        "latency_ms": float(log.latency_ns[log.completed].mean()) / 1e6,
        "queries_per_s": float(log.completed.sum()) / (span / 1e9),
    }


def _open_per_window(log: RunLog, span: int) -> NDArray[Any]:
    """Return the mean number of open samples in equal parts of the run; (windows,)."""
    edges = np.linspace(0, span, _WINDOWS + 1)
    due, done = log.due_ns[log.completed], log.done_ns[log.completed]
    open_ns = _since(due, edges) - _since(done, edges)
    return np.asarray(np.diff(open_ns) / np.diff(edges))


def _since(moments_ns: NDArray[Any], edges: NDArray[Any]) -> NDArray[Any]:
    """Return how much time has passed at each edge since the moments before it, summed."""
    ordered = np.sort(moments_ns)
    before = np.searchsorted(ordered, edges)
    sums = np.concatenate(([0.0], np.cumsum(ordered, dtype=np.float64)))
    return np.asarray(before * edges - sums[before])
