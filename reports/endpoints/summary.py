"""performance/result_summary.json: what a timed part measured, as Endpoints would say it.

Times are in nanoseconds. Latencies and TTFT count from the moment a query was due, by LoadGen's
rule; Endpoints counts from the moment it was sent, which never makes them longer.

    qps, tps         server: (completed - 1) and tokens over the time from the first issue to the
                     completion of the last issued query, as LoadGen's Server has them;
                     elsewhere: completed and tokens over the whole duration
    duration_ns      from the first issue to the last completion
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from harness.kernel.log import RunLog
from harness.kernel.types import FINISHES
from reports.endpoints import config
from reports.endpoints.series import Rank, rollup

_REASONS = {"eos": "stop", "stop": "stop", "length": "length"}
_COUNTED = ("stop", "length", "tool_calls", "content_filter", "function_call", "other")


def summary(result: Mapping[str, Any], log: RunLog, rank: Rank, version: str) -> dict[str, Any]:
    """Return the file's content; `rank` is early stopping's (scenarios.early_stopping)."""
    run, done = result["settings"]["run"], log.completed
    first_tokens = done & (log.first_ns >= 0)
    git = result["environment"].get("git") or {}
    state = "complete" if log.end == "completed" else "interrupted"
    return {
        "version": version,
        "git_sha": git.get("commit"),
        "test_started_at": 0,
        "n_samples_issued": int((log.issued_ns >= 0).sum()),
        "n_samples_completed": int(done.sum()),
        "n_samples_failed": int((~done & (log.issued_ns >= 0)).sum()),
        **_rates(log, is_server=result["scenario"] == "server"),
        "state": state,
        "complete": state == "complete",
        "ttft": rollup(log.ttft_ns[first_tokens], rank),
        "tpot": rollup(log.tpot_ns, rank),
        "latency": rollup(log.latency_ns[done], rank),
        "output_sequence_lengths": rollup(log.tokens[done]),
        "input_sequence_lengths": rollup(_prompt_tokens(log, done)),
        "finish_reason_counts": _reasons(log),
        "run_config": {
            "load_pattern": config.load_pattern(run, result["scenario"]),
            **config.seeds(run),
        },
    }


def _rates(log: RunLog, is_server: bool) -> dict[str, Any]:
    """Return the duration and the rates over it, or over LoadGen's window."""
    done = log.completed
    completed, tokens = int(done.sum()), int(log.tokens[done].sum())
    if not completed:
        return {"duration_ns": None, "qps": None, "tps": None}
    begun_ns = int(log.issued_ns[log.issued_ns >= 0].min())
    duration_ns = int(log.done_ns[done].max()) - begun_ns
    last = int(np.argmax(log.issued_ns))
    window_ns = int(log.done_ns[last]) - begun_ns
    if is_server and done[last] and completed > 1 and window_ns > 0:
        seconds = window_ns / 1e9
        rates = {"qps": (completed - 1) / seconds, "tps": tokens / seconds}
        window = {"legacy_loadgen_window_duration_ns": window_ns}
        return {"duration_ns": duration_ns, **window, **rates}
    seconds = duration_ns / 1e9
    rates = {"qps": completed / seconds, "tps": tokens / seconds} if seconds else {}
    return {"duration_ns": duration_ns, "qps": None, "tps": None, **rates}


def _reasons(log: RunLog) -> dict[str, int]:
    found = dict.fromkeys(_COUNTED, 0)
    for code in log.finish[log.completed].tolist():
        found[_REASONS.get(FINISHES[code], "other")] += 1
    return found


def _prompt_tokens(log: RunLog, done: Any) -> Any:
    """Return the lengths of the prompts that the server told."""
    told = [seen.prompt_tokens for i, seen in sorted(log.seen.items()) if done[i]]
    return np.array([count for count in told if count >= 0], np.int64)
