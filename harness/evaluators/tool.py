"""What is an evaluation tool of somebody else's? A row: how it is started, what it must find in its
environment, and how its own result file is read.

    Ask      what it is asked: tasks, the server's address, where its results go
    Answers  those of a finished run, for a tool that asks no server
    Tool     the row; its files stand beside each other in `harness.evaluators.tools`
    Figure   one number of its result file: task, metric, value, standard error, n
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from msgspec import Struct

from harness.kernel.errors import RunBroke
from harness.kernel.foreign import parsed
from harness.kernel.foreign.own_files import read_bytes

_START, _END = 100, 200  # characters that are shown of what a tool says
NO_KEY = "none"  # our own server asks for no key, and the tools' clients insist on having one


class Answers(NamedTuple):
    """The answers of a finished run to the questions that have a reference answer, in the order of
    the dataset; `unreferenced` are the answers to the others. `terms` are what was asked.
    """

    label: str
    model: str
    run: str
    questions: Sequence[int]  # their indexes
    prompts: Sequence[str]
    texts: Sequence[str]
    references: Sequence[str]
    unreferenced: int
    terms: Mapping[str, str]

    def facts(self) -> dict[str, Any]:
        """Return what to know of them, without their texts."""
        return {
            "run": self.run,
            "answers": len(self.texts),
            "empty": sum(not text.strip() for text in self.texts),
            "unreferenced": self.unreferenced,
            "questions_sha256": hashlib.sha256(repr(list(self.questions)).encode()).hexdigest(),
            "terms": dict(self.terms),
        }


@dataclass(frozen=True, slots=True)
class Ask:
    """`out` is the folder for results; `context` is in tokens, None where the server does not say;
    `options` are the user's own words for the tool. A tool that scores `answers` has no `url`.
    """

    python: str
    tasks: tuple[str, ...]
    url: str  # http://127.0.0.1:8000/v1
    model: str
    out: Path
    context: int | None = None
    concurrency: int = 8
    tokenizer: str = ""  # a folder or a name on the hub; "" = the server's own
    tool_path: str = ""
    options: tuple[str, ...] = ()
    key: str = field(default=NO_KEY, repr=False)
    answers: Answers | None = None

    def says(self, *flags: str) -> bool:
        """Tell whether the user has given one of these flags to the tool."""
        return any(word.partition("=")[0] in flags for word in self.options)


class Figure(Struct):
    """A figure as the tool tells it; `n` is its number of samples, None where it does not say."""

    task: str
    metric: str
    value: float
    stderr: float | None = None
    n: int | None = None
    higher_is_better: bool | None = None


class Tool(NamedTuple):
    """`packages` is what pip installs, the first being the tool, unless it has a `repository`.

    `read` raises RunBroke if the tool has said itself that it failed, and ValueError, KeyError or
    TypeError for a file of another shape. `check` raises BadInput.
    """

    name: str
    packages: tuple[str, ...]
    results: str  # pattern of the result files, from the folder `out`
    command: Callable[[Ask], list[str]]
    read: Callable[[list[Path]], list[Figure]]
    variables: Callable[[Ask], Mapping[str, str]] = lambda ask: {}
    check: Callable[[Ask], None] = lambda ask: None
    prepare: Callable[[Ask], None] = lambda ask: None  # writes what the tool reads, into `out`
    fine_codes: tuple[int, ...] = (0,)  # exit codes of a tool that has measured everything
    alias: str = ""  # the name by which the tool insists on calling the model
    repository: str = ""  # where a folder with the tool is got, if it has no package
    scores_answers: bool = False  # of finished runs, each by one task after the other
    # Keeps, in a row's folder, what it says of single answers; returns what to know of its figures.
    keep: Callable[[Ask, Path], dict[str, Any]] = lambda ask, folder: {}

    @property
    def package(self) -> str:
        """The name of its distribution; of a tool that has none, of the first that it needs."""
        return self.packages[0].partition("[")[0].partition("=")[0]


def read_object(path: Path) -> dict[str, Any]:
    """Return the JSON object of a result file. Raises ValueError for anything else."""
    return as_object(parsed.read_json(path))


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Return the JSON objects of a file with one a line. Raises ValueError."""
    lines = read_bytes(path).splitlines()
    return [as_object(parsed.loads(line)) for line in lines if line.strip()]


def as_object(value: Any) -> dict[str, Any]:
    """Return it if it is a JSON object. Raises ValueError."""
    if not isinstance(value, dict):
        raise ValueError("expected a JSON object")
    return value


def is_number(value: Any) -> bool:
    """Tell numbers from words, and from yes and no."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def number_or_none(value: Any) -> float | None:
    """Return a number as it is, and None for what is none, such as lm-eval's "N/A" and NaN."""
    return float(value) if is_number(value) and math.isfinite(value) else None


def said_failed(tool: str, words: str) -> RunBroke:
    """Return the error of a tool whose result file says that it failed. Inspect repeats the whole
    request, and says at the end what was wrong with it.
    """
    if len(words) > _START + _END:
        words = f"{words[:_START]} … {words[-_END:]}"
    return RunBroke(f"evaluating with {tool}", words, "", "See its tool.log.")
