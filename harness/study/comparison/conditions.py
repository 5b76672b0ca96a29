"""Under which conditions was a run made? What must be the same before two figures may be compared,
each in words.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import scenarios
from accuracy.datasets.subset import how_drawn
from harness.options.settings import USUAL_ROWS

ENERGY = "energy"  # a condition of runs that have one


def conditions_of(found: Mapping[str, Any]) -> dict[str, str]:
    """Return the conditions of a result by name."""
    run, config, dataset = (found["settings"][key] for key in ("run", "config", "dataset"))
    machine, gpus = (
        found["environment"].get("machine") or {},
        found["environment"].get("gpus") or [],
    )
    pattern = scenarios.entry(found["scenario"])
    sized = {"samples issued": found["counts"]["samples"]} if pattern.is_at_once else {}
    rate = {"rate": f"{run['target_qps']:g}/s"} if pattern.is_open else {}
    where = [
        f"{machine.get('cores_allowed')} cores of {machine.get('cpu')}",
        *(gpu["name"] or "a GPU" for gpu in gpus),
    ]
    values = {
        "scenario": found["scenario"],
        "mode": found["mode"],
        "dataset": f"{found['dataset']} {(dataset.get('sha256') or '')[:8]}".strip(),
        "samples": run["num_samples"],
        "samples drawn": how_drawn(dataset),
        "samples loaded": run["performance_samples"],
        **sized,
        "samples per query": run["samples_per_query"],
        "new tokens": run["max_new_tokens"],
        "requests in a batch": _rows(config["max_concurrency"], found["sut_facts"]),
        "replicas": config.get("replicas", 1),
        "seeds": ",".join(map(str, run["seeds"].values())),
        **rate,
        "machine": " + ".join(where),
        "device": found["sut_facts"].get("device", ""),
        **_drawn(dataset.get("task") or {}),
        **_metered(found.get("energy") or {}),
    }
    return {name: str(value) for name, value in values.items()}


def _rows(asked: Any, facts: Mapping[str, Any]) -> str:
    """Say how many were asked for. On a GPU each variant takes as many as its cache has memory for,
    where nobody said: that is the same condition, and the figures tell how many each took.
    """
    if asked != "auto":
        return str(asked)
    is_on_gpu = str(facts.get("device", "")).startswith("cuda")
    return "as many as fit" if is_on_gpu else str(USUAL_ROWS)


def _drawn(task: Mapping[str, Any]) -> dict[str, str]:
    """Say how the answers to a task were drawn; nothing of greedy ones."""
    draws = task.get("draws")
    if not draws:
        return {}
    words = "{attempts} attempts at temperature {temperature:g}, top-p {top_p:g}, seed {seed}"
    return {"answers drawn": words.format(**draws)}


def _metered(energy: Mapping[str, Any]) -> dict[str, str]:
    """Say whose energy it is; nothing of a run without any."""
    if not energy:
        return {}
    if energy.get("whose") == "used":
        return {ENERGY: "of the GPUs that the run used"}
    gpus = energy.get("gpus")
    which = "all of the machine" if gpus is None else f"all {len(gpus)} that the run could use"
    return {ENERGY: f"of the GPUs, {which}"}
