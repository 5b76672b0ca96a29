"""config.yaml: what a run was asked to do, in the words of Endpoints.

    offline          max_throughput          server           poisson at target_qps
    single-stream    concurrency 1

It has no load like multi-stream, or that of a scenario of somebody else: such runs have no files.
Only what it can say is said; there is no key in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_TYPES = {"offline": "offline", "server": "online", "single-stream": "online"}


def has_files(scenario: str) -> bool:
    """Does Endpoints know such a load?"""
    return scenario in _TYPES


def config(result: Mapping[str, Any], url: str, endpoint: str) -> dict[str, Any]:
    """Return config.yaml of a run at `url`; `endpoint` is "chat" or "completions"."""
    run = result["settings"]["run"]
    api = "openai" if endpoint == "chat" else "openai_completions"
    return {
        "name": f"touchstone_{result['scenario']}",
        "version": "1.0",
        "type": _TYPES[result["scenario"]],
        "model_params": {
            "name": result["model"],
            "temperature": 0.0,
            "max_new_tokens": run["max_new_tokens"],
            "streaming": "on",
        },
        "datasets": [{"name": result["dataset"], "type": _kind(result)}],
        "settings": {
            "runtime": _runtime(run),
            "load_pattern": load_pattern(run, result["scenario"]),
            "client": {"num_workers": 1},
        },
        "endpoint_config": {"endpoints": [url], "api_type": api},
    }


def load_pattern(run: Mapping[str, Any], scenario: str) -> dict[str, Any]:
    """Return what releases the queries."""
    if scenario == "server":
        return {"type": "poisson", "target_qps": run["target_qps"]}
    if scenario == "single-stream":
        return {"type": "concurrency", "target_concurrency": 1}
    return {"type": "max_throughput"}


def seeds(run: Mapping[str, Any]) -> dict[str, int]:
    """Return the seeds, each under the name that it has there."""
    return {
        "scheduler_random_seed": run["seeds"]["schedule"],
        "dataloader_random_seed": run["seeds"]["sample_index"],
    }


def _runtime(run: Mapping[str, Any]) -> dict[str, Any]:
    shortest_ms, longest_ms = (
        round((run[f"{end}_duration_ns"] or 0) / 1e6) for end in ("min", "max")
    )
    return {
        "min_duration_ms": shortest_ms,
        "max_duration_ms": max(longest_ms, shortest_ms) if longest_ms else 0,
        "n_samples_to_issue": run["min_queries"] or None,
        **seeds(run),
    }


def _kind(result: Mapping[str, Any]) -> str:
    return "accuracy" if result["mode"] == "accuracy" else "performance"
