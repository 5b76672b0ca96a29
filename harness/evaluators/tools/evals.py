"""OpenAI Evals: `oaieval` asks /v1/chat/completions for an eval of its registry, or of one that the
user names after `--` with --registry_path.

    record.jsonl    a line with final_report: accuracy, boostrap_std (so spelled); a line per event
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from harness.evaluators.tool import Ask, Figure, Tool, is_number, number_or_none, read_lines
from harness.kernel import files
from harness.kernel.errors import BadInput

NAME = "touchstone"  # of the completion function that we register
RECORD = "record.jsonl"
_REGISTRY = "registry"
_STD = "boostrap_std"
_SCRIPTS = Path(__file__).parents[1] / "scripts"
_CLASS = "oaieval_model:Served"  # in that folder


def command(ask: Ask) -> list[str]:
    """Return the command line; a second --registry_path is the user's own."""
    return [
        ask.python, "-m", "evals.cli.oaieval", NAME, ask.tasks[0],
        "--record_path", str(ask.out / RECORD),
        "--registry_path", str(ask.out / _REGISTRY),
        *ask.options,
    ]  # fmt: skip


def variables(ask: Ask) -> Mapping[str, str]:
    """Return where it finds the server, and the class that asks it."""
    return {
        "OPENAI_BASE_URL": ask.url,
        "OPENAI_API_KEY": ask.key,
        "EVALS_THREADS": str(ask.concurrency),
        "PYTHONPATH": str(_SCRIPTS),
    }


def check(ask: Ask) -> None:
    """Refuse several evals. Raises BadInput."""
    if len(ask.tasks) > 1:
        found, fine = ",".join(ask.tasks), "oaieval runs one eval at a time"
        raise BadInput("--task", found, fine, "Evaluate them one after the other.")


def prepare(ask: Ask) -> None:
    """Register the served variant under its name. JSON is YAML."""
    folder = ask.out / _REGISTRY / "completion_fns"
    folder.mkdir(parents=True)
    arguments: dict[str, str | int] = {"model": ask.model, "api_base": ask.url}
    if ask.context:
        arguments |= {"n_ctx": ask.context}
    files.write_json(folder / "touchstone.yaml", {NAME: {"class": _CLASS, "args": arguments}})


def read(files: list[Path]) -> list[Figure]:
    """Return the figures of the final report. Raises ValueError if there is none."""
    lines = read_lines(files[-1])
    reports = [line["final_report"] for line in lines if "final_report" in line]
    if not reports:
        raise ValueError("it has no final report")
    task = next((line["spec"]["eval_name"] for line in lines if "spec" in line), "eval")
    asked = {line["sample_id"] for line in lines if line.get("type") == "sampling"}
    report, n = reports[-1], len(asked) or None
    stderr = number_or_none(report.get(_STD))
    return [
        Figure(str(task), name, float(value), stderr if name == "accuracy" else None, n)
        for name, value in report.items()
        if is_number(value) and name != _STD and not name.startswith("usage_")
    ]


TOOL = Tool("evals", ("evals==3.0.1.post1",), RECORD, command, read, variables, check, prepare)
