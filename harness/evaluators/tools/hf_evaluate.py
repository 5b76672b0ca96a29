"""Hugging Face's `evaluate`: a task is a metric, whose script is on this machine. It scores the
answers of finished runs beside their references, and asks no server.

    result.json    figures, alone, draws, left_out, why_not; or failed (scripts/hf_metric.py)
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.evaluators.answers import columns, metrics, words
from harness.evaluators.tool import Ask, Figure, Tool, as_object, is_number, said_failed
from harness.kernel import files
from harness.kernel.foreign import parsed

NAME = "hf-evaluate"
GIVEN, RESULT = "given.json", "result.json"
RESAMPLES = 200
ALONE_S, DRAWING_S = 120.0, 30.0  # for the errors of one metric's figures, at most
_MOST_BYTES = 1 << 30  # of a result file
_SCRIPT = Path(__file__).parents[1] / "scripts" / "hf_metric.py"


def command(ask: Ask) -> list[str]:
    """Return the command line."""
    return [ask.python, str(_SCRIPT), str(ask.out / GIVEN), str(ask.out)]


def variables(ask: Ask) -> Mapping[str, str]:
    """Keep Hugging Face's libraries off the network, and scripts out of the user's cache."""
    metric = metrics.find(ask.tasks[0], ask.tool_path)
    offline = ("HF_HUB_OFFLINE", "HF_EVALUATE_OFFLINE", "HF_DATASETS_OFFLINE")
    found = dict.fromkeys((*offline, "TRANSFORMERS_OFFLINE"), "1")
    found["HF_DATASETS_DISABLE_PROGRESS_BARS"] = "1"
    if not metric.is_cached:
        found["HF_MODULES_CACHE"] = str(ask.out / "modules")
    return found


def check(ask: Ask) -> None:
    """Refuse a metric that is not here, one that is named twice, wrong options. Raises BadInput."""
    found = metrics.find_all(ask.tasks, ask.tool_path)
    names = [metric.name for metric in found]
    for name in names:
        words.options_of(name, ask.options, names)


def prepare(ask: Ask) -> None:
    """Write what the script is given."""
    assert ask.answers is not None
    metric = metrics.find(ask.tasks[0], ask.tool_path)
    options = words.options_of(metric.name, ask.options)
    given = {
        "metric": metric.name,
        "load": metric.load,
        "config": options.pop("config_name", None),
        "options": options,
        "seed": columns.SEED,
        "resamples": RESAMPLES,
        "alone_s": ALONE_S,
        "drawing_s": DRAWING_S,
        "answers": [
            {"prompt": prompt, "answer": text, "reference": reference}
            for prompt, text, reference in zip(
                ask.answers.prompts, ask.answers.texts, ask.answers.references, strict=True
            )
        ],
    }
    files.write_json(ask.out / GIVEN, given)


def read(files: list[Path]) -> list[Figure]:
    """Return the figures, each with its standard error where it is known. Raises RunBroke if the
    metric has failed, or has found no number.
    """
    found = as_object(parsed.read_json(files[-1], _MOST_BYTES))
    task = str(found["metric"])
    if "failed" in found:
        raise said_failed(NAME, f"{task}: {found['failed']}")
    if not found["figures"]:
        left = ", ".join(f"{name} is {what}" for name, what in found["left_out"].items())
        raise said_failed(NAME, f"{task} has found no number: {left or 'its result is empty'}")
    return [
        Figure(task, str(name), _number(value), _stderr(found, name), int(found["n"]))
        for name, value in found["figures"].items()
    ]


def _stderr(found: Mapping[str, Any], name: str) -> float | None:
    values = found["alone"].get(name)
    if values is not None and len(values) > 1:
        return float(statistics.stdev(map(_number, values)) / len(values) ** 0.5)
    if (values := found["draws"].get(name)) is not None:
        return statistics.stdev(map(_number, values))
    return None


def _number(value: Any) -> float:
    if not is_number(value):
        raise ValueError("a value is no number")
    return float(value)


def keep(ask: Ask, folder: Path) -> dict[str, Any]:
    """Write the columns of single answers; return what to know of the figures. Raises ValueError
    for a file of another shape.
    """
    assert ask.answers is not None
    found = as_object(parsed.read_json(ask.out / RESULT, _MOST_BYTES))
    questions, alone, draws = ask.answers.questions, found["alone"], found["draws"]
    for values in alone.values():
        if len(values) != len(questions):
            raise ValueError("it has not a value for each answer")
    columns.write(folder, questions, alone, draws)
    metric = metrics.find(ask.tasks[0], ask.tool_path)
    return {
        "script": str(metric.script),
        "script_sha256": metrics.digest(metric),
        "takes": str(found["takes"]),
        "left_out": {str(name): str(what) for name, what in found["left_out"].items()},
        "means": list(alone),
        "drawn": {name: len(values) for name, values in draws.items()},
        "why_no_error": str(found["why_not"]),
    }


TOOL = Tool(
    NAME,
    (
        "evaluate==0.4.6",
        "rouge-score==0.1.2",  # what common metrics need
        "sacrebleu==2.6.0",
        "jiwer==4.0.0",
        "scikit-learn",
    ),
    RESULT,
    command,
    read,
    variables,
    check,
    prepare,
    scores_answers=True,
    keep=keep,
)
