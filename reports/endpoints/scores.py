"""accuracy/accuracy_results.json: the scores of an accuracy part, as Endpoints would say them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def scores(result: Mapping[str, Any], complete: bool) -> dict[str, Any]:
    """Return the file's content; {} where nothing was scored. Several scores of one dataset stand
    under their names, as its ROUGE scorer has them. Answers of a performance run are of its type
    `performance`, which counts for no accuracy.
    """
    found = {name: value for name, value in result["accuracy"].items() if value is not None}
    if not found:
        return {}
    counts = result["counts"]
    entry = {
        "dataset_name": _name(result),
        "extractor": None,
        "ground_truth_column": None,
        "score": next(iter(found.values())) if len(found) == 1 else found,
        "unit_samples": counts["samples"],
        "num_repeats": 1,
        "total_samples": counts["samples"],
        "complete": complete,
        "dataset_type": "performance" if result["mode"] == "performance" else "accuracy",
        "response_counts": {"issued": counts["samples"], "scored": counts["completed"]},
    }
    average = {"average_accuracy": entry["score"]} if len(found) == 1 else {}
    return {**average, "accuracy_scores": [entry]}


def _name(result: Mapping[str, Any]) -> str:
    return "performance" if result["mode"] == "performance" else str(result["dataset"])
