"""Which questions does `--task` ask? `NAME:FILE`, or the name of an embedded task.

Examples come from `--shots-file`, from the task itself, or, for an embedded task, from its own file
of examples. One that is a question of the test as well would give the answer away: it is named and
refused.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

from accuracy import datasets
from accuracy.datasets.files import Loaded, check_count, sha256
from accuracy.datasets.given import check_table
from accuracy.datasets.readers import read
from accuracy.datasets.subset import Drawn, in_shares
from accuracy.tasks import TABLE, of_name
from accuracy.tasks.checks import check_apart, check_columns, repeated, with_hint
from accuracy.tasks.scorers import installed
from accuracy.tasks.task import Doc, Task
from harness.kernel.errors import BadInput
from harness.kernel.places import expanded, wrong_path
from harness.kernel.types import Sample

GRADER = "task"  # such samples count for their task's scorers, not for the metrics of texts
_SEED = 1234  # of the examples, as in lm-eval
_SEE = "See python -m harness list tasks."


class Asked(NamedTuple):
    """What `--task` and the flags beside it ask for; None means as the task does."""

    task: str
    shots: int | None = None
    shots_file: Path | None = None
    num_samples: int | None = None
    max_new_tokens: int | None = None
    chat: bool = False


def find(text: str) -> tuple[Task, Path]:
    """Return the task and the file of its questions. Raises BadInput."""
    name, colon, rest = text.partition(":")
    if "," in text and not (rest and expanded(Path(rest)).exists()):
        fine = "expected one; only gate takes several"
        raise BadInput(f"--task {text}", "these are several tasks", fine, "Name one.")
    task = of_name(text)
    if not colon and task.file:
        return task, _embedded(task.file)
    if not rest:
        fine = f"expected {name}:FILE, the file as it is published"
        raise BadInput(f"--task {text}", "it names no file", fine, _SEE)
    if "://" in rest:
        fine, todo = f"expected {name}:FILE", "Download it and pass the file."
        raise BadInput(f"--task {text}", "it is a web address", fine, todo)
    return task, _given(f"--task {text}", expanded(Path(rest)))


def check_name(text: str) -> None:
    """Raise BadInput for what is no task, or has no file."""
    find(text)


def absolute(text: str) -> str:
    """Return the same task with the full path of its file, if that exists."""
    name, _, rest = text.partition(":")
    path = expanded(Path(rest)).absolute() if rest else None
    return f"{name}:{path}" if path is not None and path.exists() else text


def load_task(asked: Asked) -> Loaded:
    """Read the questions of a task and put the examples before each. Raises BadInput."""
    task, path = find(asked.task)
    docs, drawn = _chosen(task, list(_docs(task, path)), asked.num_samples)
    if not docs:
        fine = "expected at least one question"
        raise BadInput(f"task {asked.task}", "its file has no rows", fine, "Check the file.")
    check_count(asked.task, len(docs), asked.num_samples, "questions")
    count = task.shots if asked.shots is None else asked.shots
    examples, origin = _examples(task, asked, count)
    check_apart(task, docs, examples, origin.name)
    shown = _Shown(task, examples, count, origin)
    tokens = asked.max_new_tokens or task.max_new_tokens
    samples = [
        Sample(
            index=i,
            prompt=task.prompt(doc, shown.before(doc)),
            reference=doc.expected,
            max_new_tokens=tokens,
            labels=doc.labels,
            stop=task.stop,
            choices=doc.choices,
            facts=doc.facts,
            is_plain=not asked.chat,
            grader=GRADER,
        )
        for i, doc in enumerate(docs)
    ]
    told = {
        "name": task.name,
        "shots": count,
        "shots_from": origin.name if count else "",
        "shots_sha256": origin.sha256,
    }
    source: dict[str, Any] = {
        "name": asked.task if not task.file or ":" in asked.task else task.name,
        "file": path.name,
        "format": task.name,
        "sha256": sha256(path),
        "licence": task.licence,
        "rows": len(samples),
        "task": told | {"scorers": installed(task.scorers), "chat": asked.chat},
    }
    source["task"]["repeated"] = repeated(docs)
    return Loaded(samples, source | (drawn.facts() if drawn else {}))


def docs_of(text: str) -> list[Doc]:
    """Return all questions of a task, in the order of its file. Raises BadInput."""
    task, path = find(text)
    return list(_docs(task, path))


def _docs(task: Task, path: Path) -> Iterator[Doc]:
    """Yield the questions of a file. Raises BadInput naming the cell that is wrong."""
    for number, row in enumerate(read(path)):
        if not number:
            check_columns(task, row, TABLE)
        try:
            doc = task.read(replace(row, todo="Check the file."))
        except BadInput as error:
            raise (error if number else with_hint(error, task, row, TABLE)) from None
        yield doc


def _chosen(task: Task, docs: list[Doc], count: int | None) -> tuple[Sequence[Doc], Drawn | None]:
    """Return the first questions, as many as are asked for, and how they were chosen. The files of
    tasks with subjects stand in the subjects' order: there each gets its share.
    """
    if count is None or count >= len(docs):
        return docs, None
    if not task.is_shot_by_subject:
        return docs[:count], Drawn(count)
    chosen, drawn = in_shares([doc.labels for doc in docs], count)
    return [docs[i] for i in chosen], drawn


def _embedded(file: str) -> Path:
    return Path(str(files(datasets))) / file


def _given(doing: str, path: Path) -> Path:
    """Return a file or folder that can be read as a table. Raises BadInput."""
    try:
        if not path.exists():
            raise wrong_path(doing, path, "expected the file of a task, as it is published")
        check_table(doing, path)
    except (OSError, ValueError):  # no permission, a name too long
        raise wrong_path(doing, path, "expected a file that can be read") from None
    return path


# ---- examples


class _Origin(NamedTuple):
    name: str
    sha256: str = ""  # of the file; empty where the task itself has them


def _examples(task: Task, asked: Asked, count: int) -> tuple[Sequence[Doc], _Origin]:
    """Return the examples to choose from, and where they stand. Raises BadInput."""
    if not count:
        return (), _Origin("")
    if asked.shots_file is not None:
        path = _given("--shots-file", asked.shots_file)
        return list(_docs(task, path)), _Origin(path.name, sha256(path))
    if task.examples:
        return task.examples, _Origin(f"the task {task.name}")
    if task.shots_file:
        path = _embedded(task.shots_file)
        return list(_docs(task, path)), _Origin(task.shots_file, sha256(path))
    fine = "expected a file of examples that are not in the test"
    todo = "Pass --shots-file FILE, such as the training part, or --shots 0."
    raise BadInput(f"--shots {count}", f"{task.name} has no examples of its own", fine, todo)


class _Shown:
    """Chooses the examples of each question, in the order of the questions: the first of a file
    that was made for it; of any other, such as a training part, a draw for each question, the one
    that lm-eval makes.
    """

    def __init__(self, task: Task, examples: Sequence[Doc], count: int, origin: _Origin) -> None:
        self._task, self._all, self._count, self._origin = task, examples, count, origin
        self._of = dict[str, list[Doc]]()
        self._random = random.Random(_SEED)

    def before(self, doc: Doc) -> Sequence[Doc]:
        """Return the examples that stand before a question. Raises BadInput for too few."""
        subject = doc.subject if self._task.is_shot_by_subject else ""
        fit = self._fitting(subject)
        if len(fit) < self._count:
            where = f" of {subject}" if subject else ""
            found = f"{self._origin.name} has {len(fit)} example{'s' * (len(fit) != 1)}{where}"
            raise BadInput(f"--shots {self._count}", found, "expected as many", "Lower it.")
        if self._task.takes_first or not self._count:
            return fit[: self._count]
        return self._random.sample(fit, self._count)

    def _fitting(self, subject: str) -> list[Doc]:
        if subject not in self._of:
            fit = [one for one in self._all if not subject or one.subject == subject]
            self._of[subject] = fit
        return self._of[subject]
