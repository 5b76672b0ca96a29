"""DeepEval: a task is a test file of the user's, which `deepeval test run` executes. Its
`LocalModel()` is the served variant; what judges the answers is up to the file.

    test_run_*.json    metricsScores[].metric, .scores, .errors; testPassed, testFailed
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from harness.evaluators.tool import Ask, Figure, Tool, is_number, read_object, said_failed
from harness.kernel.errors import BadInput

NAME = "deepeval"


def command(ask: Ask) -> list[str]:
    """Return the command line."""
    return [ask.python, "-m", "deepeval.cli.main", "test", "run", ask.tasks[0], *ask.options]


def variables(ask: Ask) -> Mapping[str, str]:
    """Return what the test file and `LocalModel()` find. Nothing is sent to anybody else."""
    return {
        "LOCAL_MODEL_NAME": ask.model,
        "LOCAL_MODEL_BASE_URL": ask.url,
        "LOCAL_MODEL_API_KEY": ask.key,
        "DEEPEVAL_RESULTS_FOLDER": str(ask.out),
        "DEEPEVAL_CACHE_FOLDER": str(ask.out / "cache"),
        "DEEPEVAL_TELEMETRY_OPT_OUT": "1",
        "DEEPEVAL_DISABLE_DOTENV": "1",
    }


def check(ask: Ask) -> None:
    """Refuse what is no test file. Raises BadInput."""
    found = ask.tasks[0]
    if len(ask.tasks) > 1 or not found.partition("::")[0].endswith(".py"):
        fine = "a task of DeepEval is one test file, which asks deepeval.models.LocalModel()"
        raise BadInput("--task", repr(",".join(ask.tasks)), fine, "Pass --task test_mine.py.")


def read(files: list[Path]) -> list[Figure]:
    """Return the mean score of each metric. Raises RunBroke if test cases ended in errors."""
    found = read_object(files[-1])
    task = Path(str(found.get("testFile") or "test run")).stem
    return list(_figures(task, found))


def _figures(task: str, found: dict[str, Any]) -> Iterator[Figure]:
    for metric in found["metricsScores"]:
        scores = [float(score) for score in metric["scores"] if is_number(score)]
        if metric.get("errors"):
            raise said_failed(NAME, f"{metric['errors']} test cases ended in an error")
        yield Figure(task, metric["metric"], *_mean(scores))
    passed, failed = int(found["testPassed"]), int(found["testFailed"])
    yield Figure(task, "pass rate", *_mean([1.0] * passed + [0.0] * failed))


def _mean(scores: list[float]) -> tuple[float, float | None, int]:
    """Return mean, standard error (None of a single score) and number. Raises ValueError."""
    n = len(scores)
    if not n:
        raise ValueError("no test case was scored")
    stderr = statistics.stdev(scores) / n**0.5 if n > 1 else None
    return statistics.fmean(scores), stderr, n


TOOL = Tool(
    NAME, ("deepeval==4.3.1",), "test_run_*.json", command, read, variables, check,
    fine_codes=(0, 1),  # 1: a test case did not pass
)  # fmt: skip
