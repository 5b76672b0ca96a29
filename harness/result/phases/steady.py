"""What does a run look like without its warm-up? `steady` of result.json: from when on the system
was in its steady state, and the figures of that part beside those of the whole.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import scenarios
from harness.kernel.log import RunLog
from harness.kernel.stats import summary_ms
from harness.kernel.types import RunSettings
from scenarios.phases.steady import Steady, steady


def figures(log: RunLog, settings: RunSettings) -> dict[str, Any]:
    """Return it; nothing for a run of accuracy, one whose queries all come at once, or one of too
    few samples.
    """
    if settings.mode == "accuracy" or scenarios.entry_of(settings).is_at_once:
        return {}
    has_first = log.completed & (log.first_ns >= 0)
    judged = "ttft" if has_first.sum() >= log.completed.sum() / 2 else "latency"
    rows = np.flatnonzero(has_first if judged == "ttft" else log.completed)
    rows = rows[np.argsort(log.due_ns[rows], kind="stable")]
    values_ns = (log.ttft_ns if judged == "ttft" else log.latency_ns)[rows]
    found = steady(values_ns)
    if found is None:
        return {}
    from_ns = int(log.due_ns[rows[found.first]]) if found.first else 0
    kept = log.due_ns >= from_ns
    return {
        "figure": judged,
        "samples": found.samples,
        "is_found": found.is_found,
        "is_warm_up_clear": found.is_clear,
        "p_value": found.p_value,
        "from_ns": from_ns,
        "kept_percent": 100 * (1 - found.first / found.samples),
        "change": _change(found, log.due_ns[rows]),
        "latency": _latency(log, kept),
        "throughput": _throughput(log, from_ns),
    }


def _change(found: Steady, due_ns: Any) -> dict[str, Any] | None:
    change = found.change
    if change is None:
        return None
    return {
        "at_ns": int(due_ns[change.at]),
        "before_ms": change.before / 1e6,
        "after_ms": change.after / 1e6,
        "p_value": change.p_value,
    }


def _latency(log: RunLog, kept: Any) -> dict[str, Any]:
    ok = log.completed & kept
    return {
        "ttft_ms": summary_ms(log.ttft_ns[ok & (log.first_ns >= 0)]),
        "tpot_ms": summary_ms(log.tpot_ns[kept[log.has_tpot]]),
        "latency_ms": summary_ms(log.latency_ns[ok]),
    }


def _throughput(log: RunLog, from_ns: int) -> dict[str, float | None]:
    """Return the rates of what was completed from then on."""
    done_ns = np.where(log.completed, log.done_ns, -1)
    counted = done_ns >= max(from_ns, 0)
    span_s = (float(done_ns.max(initial=0)) - from_ns) / 1e9
    return {
        "samples_per_s": float(counted.sum()) / span_s if span_s > 0 else None,
        "tokens_per_s": float(log.tokens[counted].sum()) / span_s if span_s > 0 else None,
    }
