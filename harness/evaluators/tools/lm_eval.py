"""EleutherAI's lm-eval: it asks /v1/completions, for generated text and, with `echo` and
`logprobs`, for the log-likelihoods of choices. Its prompts are tokenized by the server.

    results_*.json    results.TASK."METRIC,FILTER" and "METRIC_stderr,FILTER"; n-samples
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any

from harness.evaluators.tool import Ask, Figure, Tool, is_number, number_or_none, read_object
from harness.kernel.errors import BadInput
from sut.served import once
from sut.served.address import address as address_of

NO_FILTER = "none"


def command(ask: Ask) -> list[str]:
    """Return the command line. The user's own options come last: they count."""
    tokenizer = {"tokenizer": ask.tokenizer} if ask.tokenizer else {"tokenizer_backend": "remote"}
    arguments = {
        "base_url": f"{ask.url}/completions",
        "model": ask.model,
        "num_concurrent": ask.concurrency,
        **({"max_length": ask.context} if ask.context else {}),
        **tokenizer,
    }
    return [
        ask.python, "-m", "lm_eval",
        "--model", "local-completions",
        "--model_args", json.dumps(arguments),
        "--tasks", ",".join(ask.tasks),
        "--output_path", str(ask.out),
        *ask.options,
    ]  # fmt: skip


def variables(ask: Ask) -> Mapping[str, str]:
    """Return the key that it sends."""
    return {"OPENAI_API_KEY": ask.key}


def prepare(ask: Ask) -> None:
    """Find out whether the server tells its tokenizer, which not all do. Raises BadInput."""
    if ask.tokenizer or ask.says("--model_args"):
        return
    address = address_of(ask.url)
    path = f"{address.path.removesuffix('/v1')}/tokenizer_info"
    status = once.exchange(address, "GET", path, timeout_s=30).status
    if status != HTTPStatus.OK:
        found = f"the server tells nothing of its tokenizer ({path}: {status or 'no answer'})"
        fine = "lm-eval counts tokens with it; vLLM tells it with --enable-tokenizer-info-endpoint"
        raise BadInput("--tokenizer", found, fine, "Pass --tokenizer FOLDER, or the model's name.")


def read(files: list[Path]) -> list[Figure]:
    """Return the figures of the newest result file: its name ends with its time."""
    found = read_object(files[-1])
    counts, better = found.get("n-samples", {}), found.get("higher_is_better", {})
    tasks = {**found["results"], **found.get("groups", {})}
    figures = []
    for task, metrics in tasks.items():
        n = counts.get(task, {}).get("effective")
        figures += list(_figures(task, metrics, n, better.get(task) or {}))
    return figures


def _figures(
    task: str, metrics: dict[str, Any], n: int | None, better: dict[str, bool]
) -> Iterator[Figure]:
    """Yield the metrics of a task; its keys are `acc,none` and `acc_stderr,none`."""
    for key, value in metrics.items():
        name, comma, by = key.partition(",")
        if not comma or name.endswith("_stderr") or not is_number(value):
            continue
        stderr = number_or_none(metrics.get(f"{name}_stderr,{by}"))
        shown = name if by == NO_FILTER else f"{name} ({by})"
        yield Figure(task, shown, float(value), stderr, n, better.get(name))


TOOL = Tool(
    "lm-eval", ("lm-eval[api]==0.4.13", "transformers"), "**/results*.json", command, read,
    variables, prepare=prepare,
)  # fmt: skip
