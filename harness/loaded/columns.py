"""What is known of each sample of a run, as columns for a table? Times in the unit that their name
ends with; NaN where something never happened.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.kernel.log import RunLog
from harness.kernel.types import FINISHES, Int64s

Columns = dict[str, NDArray[Any]]


def columns_of(log: RunLog) -> Columns:
    """Return the columns of a run, (n,) each, in the order of issue."""
    moments = {name: getattr(log, f"{name}_ns") for name in ("due", "issued", "first", "done")}
    ok = log.completed
    return {
        "sample_id": np.arange(len(log)),
        "query_id": log.query_id,
        "index": log.index,
        **{f"{name}_s": _known(ns, ns >= 0, 1e9) for name, ns in moments.items()},
        "ttft_ms": _known(log.ttft_ns, ok & (log.first_ns >= 0), 1e6),
        "tpot_ms": _tpot_ms(log),
        "latency_ms": _known(log.latency_ns, ok, 1e6),
        "issue_lag_ms": _known(log.issue_lag_ns, log.issued_ns >= 0, 1e6),
        "tokens": log.tokens,
        "finish": np.array(FINISHES, object)[log.finish],
        "error": _words(log.errors, len(log)),
    }


def texts_of(log: RunLog) -> NDArray[Any]:
    """Return the answers in words, (n,); empty where there is none."""
    return _words(log.texts, len(log))


def _known(ns: Int64s, is_known: NDArray[np.bool_], per_unit: float) -> NDArray[np.float64]:
    return np.where(is_known, ns / per_unit, np.nan)


def _tpot_ms(log: RunLog) -> NDArray[np.float64]:
    found = np.full(len(log), np.nan)
    found[log.has_tpot] = log.tpot_ns / 1e6
    return found


def _words(by_sample: dict[int, str], n: int) -> NDArray[Any]:
    found = np.full(n, "", object)
    for sample, text in by_sample.items():
        found[sample] = text
    return found
