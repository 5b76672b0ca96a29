"""Inspect AI, of the UK's AI Security Institute, with its own tasks (FILE.py@NAME) or those of
inspect_evals: it asks /v1/chat/completions. Greedy, unless the user passes `--temperature`.

    *.json    status; results.scores[].metrics.NAME.value; one log per task
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from harness.evaluators.tool import Ask, Figure, Tool, read_object, said_failed

NAME = "inspect"
PROVIDER = "touchstone"  # Inspect looks for TOUCHSTONE_BASE_URL and TOUCHSTONE_API_KEY
_ERROR_OF = ("stderr", "std")  # metrics that tell how sure the others are


def command(ask: Ask) -> list[str]:
    """Return the command line."""
    greedy = [] if ask.says("--temperature") else ["--temperature", "0"]
    return [
        ask.python, "-m", "inspect_ai", "eval", *ask.tasks,
        "--model", f"openai-api/{PROVIDER}/{ask.model}",
        "--log-dir", str(ask.out),
        "--log-format", "json",
        "--display", "plain",
        "--max-connections", str(ask.concurrency),
        *greedy, *ask.options,
    ]  # fmt: skip


def variables(ask: Ask) -> Mapping[str, str]:
    """Return where it finds the server."""
    return {"TOUCHSTONE_BASE_URL": ask.url, "TOUCHSTONE_API_KEY": ask.key}


def read(files: list[Path]) -> list[Figure]:
    """Return the figures of all logs. Raises RunBroke if one says that its task failed."""
    return [figure for file in files for figure in _of_log(read_object(file))]


def _of_log(log: dict[str, Any]) -> Iterator[Figure]:
    task, results = str(log["eval"]["task"]), log.get("results") or {}
    if log["status"] != "success":
        words = (log.get("error") or {}).get("message") or f"its status is {log['status']}"
        raise said_failed(NAME, f"{task}: {words}")
    n = results.get("completed_samples")
    for score in results["scores"]:
        metrics = {name: float(metric["value"]) for name, metric in score["metrics"].items()}
        several = len(results["scores"]) > 1
        for name, value in metrics.items():
            if name not in _ERROR_OF:
                shown = f"{name} ({score['name']})" if several else name
                stderr = metrics.get("stderr") if name in ("accuracy", "mean") else None
                yield Figure(task, shown, value, stderr, n)


TOOL = Tool(NAME, ("inspect-ai==0.3.285", "openai==3.57.0"), "*.json", command, read, variables)
