"""Runs made of arithmetic, clean or shaky: a queue with several servers, first tokens and answers
of random lengths, as a RunLog.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from typing import Any

import numpy as np

from harness.kernel.log import RunLog
from harness.kernel.types import FINISHES
from harness.result.doubts.doubt import Known
from tests.scenario_helpers import run_settings

TOKENS = 16
DONE = FINISHES.index("stop") if "stop" in FINISHES else 0


def log_of(due_s: Any, ttft_s: Any, tpot_s: Any, index: Any = None) -> RunLog:
    """Return a log of n samples of TOKENS tokens each: when they were due, the time from then to
    the first token, and the time of each further token, in seconds (n,).
    """
    n = len(due_s)
    due_ns = np.round(np.asarray(due_s) * 1e9).astype(np.int64)
    first_ns = due_ns + np.round(np.asarray(ttft_s) * 1e9).astype(np.int64)
    done_ns = first_ns + np.round(np.asarray(tpot_s) * 1e9 * (TOKENS - 1)).astype(np.int64)
    ids = np.arange(n, dtype=np.int32)
    starts = TOKENS * np.arange(n + 1, dtype=np.int64)
    ends = np.arange(TOKENS) / (TOKENS - 1)
    stamps = first_ns[:, None] + (done_ns - first_ns)[:, None] * ends
    return RunLog(
        query_id=ids,
        index=np.asarray(ids if index is None else index, np.int32),
        due_ns=due_ns,
        issued_ns=due_ns.copy(),
        first_ns=first_ns,
        done_ns=done_ns,
        first_token=np.full(n, 5, np.int32),
        reported_tokens=np.full(n, -1, np.int32),
        finish=np.full(n, DONE, np.int8),
        token_start=starts,
        token_ids=np.full(n * TOKENS, 5, np.int32),
        stamp_start=starts,
        stamp_ns=stamps.ravel().astype(np.int64),
        completion_order=np.argsort(done_ns, kind="stable").astype(np.int32),
    )


def queue(
    rng: np.random.Generator, n: int, busy: float = 0.6, servers: int = 8, spread: float = 0.2
) -> tuple[Any, Any, Any]:
    """Return (due, TTFT, TPOT) in seconds of n samples that come at random, `servers` at once."""
    tpot = 0.01 * rng.lognormal(0, spread / 2, n)
    begin = 0.05 * rng.lognormal(0, spread, n)
    service = begin + (TOKENS - 1) * tpot
    due = np.cumsum(rng.exponential(service.mean() / servers / busy, n))
    free = [0.0] * servers
    waits = np.zeros(n)
    for i in range(n):
        start = max(due[i], heapq.heappop(free))
        waits[i] = start - due[i]
        heapq.heappush(free, start + service[i])
    return due, waits + begin, tpot


def one_by_one(rng: np.random.Generator, n: int, spread: float = 0.2) -> tuple[Any, Any, Any]:
    """Return (due, TTFT, TPOT) in seconds of n samples, each issued when the last was done."""
    tpot = 0.01 * rng.lognormal(0, spread / 2, n)
    ttft = 0.05 * rng.lognormal(0, spread, n)
    ends = np.cumsum(ttft + (TOKENS - 1) * tpot)
    return np.concatenate(([0.0], ends[:-1])), ttft, tpot


def known_of(log: RunLog, scenario: str = "server", **more: Any) -> Known:
    """Return what doubts are made of."""
    settings = run_settings(scenario=scenario)
    return Known(log, settings, scenario == "server", scenario == "offline", **more)


def raised(doubts: Sequence[Any]) -> list[str]:
    return [doubt.name for doubt in doubts]
