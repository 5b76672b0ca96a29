"""What is to be evaluated, by which tool, in which Python? Checked before anything is loaded."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import TypeAdapter, ValidationError

from harness.evaluators import running
from harness.evaluators.answers import words
from harness.evaluators.answers.runs import answers_of
from harness.evaluators.served import Server
from harness.evaluators.tool import NO_KEY, Answers, Ask, Tool
from harness.evaluators.tools import TABLE
from harness.kernel.errors import BadInput, unknown
from harness.options.kinds import PositiveSeconds
from harness.options.run_options import OPTIONS
from harness.serve.settings import settings

NOBODY = Server("", "", {})  # what a tool asks that asks no server
_CONCURRENCY = 8  # requests at a time, unless the server computes fewer
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


class Asked(NamedTuple):
    """`flags` are those of the model and its SUT; `timeout`, such as 30m, is for each variant.
    `options` are the words after the flags: of a tool that scores answers, `runs` may be among
    them.
    """

    tool: str | None
    tasks: str
    flags: Mapping[str, Any]
    variants: str | None = None
    base_url: str | None = None
    tokenizer: str = ""
    tool_python: Path | None = None
    tool_path: Path | None = None
    timeout: str | None = None
    max_len: int | None = None
    output_dir: Path = Path("runs")
    options: tuple[str, ...] = ()
    runs: tuple[Path, ...] = ()


class Cell(NamedTuple):
    """What one row is about: a variant, or a server, with all tasks; or the answers of a run with
    one of them.
    """

    label: str
    tasks: tuple[str, ...]
    answers: Answers | None = None

    @property
    def name(self) -> str:
        return self.label if self.answers is None else f"{self.label} by {Path(self.tasks[0]).stem}"

    @property
    def folder(self) -> Path:
        """Its folder inside the evaluation's."""
        folder = Path(safe(self.label))
        return folder if self.answers is None else folder / safe(Path(self.tasks[0]).stem)


class Job(NamedTuple):
    """`model` may be empty for a server, and is for the answers of several models."""

    asked: Asked
    tool: Tool
    tasks: tuple[str, ...]
    cells: tuple[Cell, ...] = ()
    python: str = ""
    version: str = ""
    timeout_s: float | None = None

    @property
    def model(self) -> str:
        """The model as the user names it; that of a server may be left out."""
        if self.tool.scores_answers:
            models = {cell.answers.model for cell in self.cells if cell.answers is not None}
            return models.pop() if len(models) == 1 else ""
        given = self.asked.flags.get("model")
        default = "" if self.asked.base_url else OPTIONS["model"].default
        return str(given or default)

    def ask(self, cell: Cell, server: Server, out: Path) -> Ask:
        """Return what the tool is asked for a row, with the server that answers it."""
        asked = self.asked
        return Ask(
            python=self.python,
            tasks=cell.tasks,
            url=server.url,
            model=server.model,
            out=out,
            context=server.context,
            concurrency=min(_CONCURRENCY, server.concurrency or _CONCURRENCY),
            tokenizer=asked.tokenizer,
            tool_path="" if asked.tool_path is None else str(asked.tool_path.absolute()),
            options=asked.options,
            key=server.key or NO_KEY,
            answers=cell.answers,
        )


def job(asked: Asked) -> Job:
    """Check what was asked for. Raises BadInput, SetupFailed."""
    if asked.tool is None:
        todo = "Pass --with lm-eval, or folders of finished evaluations."
        raise BadInput("evaluate", "--with is missing", f"known: {', '.join(TABLE)}", todo)
    if asked.tool not in TABLE:
        raise unknown("--with", asked.tool, TABLE, "Choose one of these.")
    tasks = tuple(filter(None, asked.tasks.split(",")))
    if not tasks:
        fine, todo = "the name is the tool's own", "Pass --task NAME."
        raise BadInput("--task", "it is missing", fine, todo)
    tool = TABLE[asked.tool]
    if tool.scores_answers:
        _check_scoring(asked)
        runs, options = words.apart([*map(str, asked.runs), *asked.options])
        asked = asked._replace(options=options, runs=tuple(runs))
    found = Job(asked, tool, tasks)
    tool.check(found.ask(Cell("", tasks), NOBODY, Path()))
    if tool.scores_answers:
        found = found._replace(cells=_scorings(tasks, asked.runs))
    else:
        found = found._replace(cells=tuple(Cell(label, tasks) for label in _labels(asked)))
    python, version = running.python_of(tool, asked.tool_python)
    return found._replace(python=python, version=version, timeout_s=_seconds(asked.timeout))


def _check_scoring(asked: Asked) -> None:
    """Refuse settings of a server: the answers are there already. Raises BadInput."""
    given = [OPTIONS[name].flag for name, value in asked.flags.items() if value is not None]
    others = {
        "--variants": asked.variants, "--base-url": asked.base_url, "--max-len": asked.max_len,
        "--tokenizer": asked.tokenizer,
    }  # fmt: skip
    given += [flag for flag, value in others.items() if value]
    if given:
        fine = f"{asked.tool} scores the answers of finished runs, and starts no model"
        todo = "Leave it out, and make runs with: python -m harness run --mode accuracy."
        raise BadInput(given[0], "it is given", fine, todo)


def _scorings(tasks: tuple[str, ...], runs: Sequence[Path]) -> tuple[Cell, ...]:
    """Return a cell for each task and run, those of one task together. Raises BadInput."""
    answers = answers_of(runs)
    return tuple(Cell(one.label, (task,), one) for task in tasks for one in answers)


def _seconds(text: str | None) -> float | None:
    if text is None:
        return None
    try:
        return TypeAdapter(PositiveSeconds).validate_python(text)
    except ValidationError:
        fine, todo = "expected a time such as 90s or 30m", "Correct it."
        raise BadInput("--timeout", repr(text), fine, todo) from None


def _labels(asked: Asked) -> tuple[str, ...]:
    """Return the variants, or the server, one after the other. Raises BadInput."""
    if asked.base_url is not None:
        return (_server_label(asked),)
    variant = asked.flags.get("variant")
    if asked.variants and variant:
        fine = "the one is a list of the other"
        raise BadInput("--variants", "--variant is given too", fine, "Leave one of them out.")
    names = (asked.variants or str(variant or OPTIONS["variant"].default)).split(",")
    labels = tuple(dict.fromkeys(filter(None, map(str.strip, names))))
    for name in labels:
        settings({**asked.flags, "variant": name}, None)
    return labels


def _server_label(asked: Asked) -> str:
    given = [name for name, value in asked.flags.items() if value is not None and name != "model"]
    if given or asked.variants:
        flag = OPTIONS[given[0]].flag if given else "--variants"
        fine = "a server that is there has its model already"
        raise BadInput("--base-url", f"{flag} is given too", fine, "Leave one of them out.")
    url = str(asked.base_url)
    return url.partition("://")[2] or url


def safe(text: str) -> str:
    """Return a name that fits a folder, a command line and a model's name."""
    return _UNSAFE.sub("-", text).strip("-.") or "model"
