"""Which questions does `--task` ask? `NAME:FILE`, or the name of an embedded task.

Examples come from `--shots-file`, from the task itself, or, for an embedded task, from its own file
of examples. One that is a question of the test as well would give the answer away: it is named and
refused.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence
from importlib.resources import files
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from accuracy import datasets
from accuracy.datasets.files import Loaded, check_count, sha256
from accuracy.datasets.readers import READERS, kind_of, read
from accuracy.tasks import of_name
from accuracy.tasks.task import Doc, Task
from harness.kernel.errors import BadInput
from harness.kernel.places import expanded, wrong_path
from harness.kernel.types import Sample

GRADER = "task"  # such samples count for their task's scorers, not for the metrics of texts
_SEED = 1234  # of the examples, one draw for all questions
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
    task = of_name(text)
    if not colon and task.file:
        return task, _embedded(task.file)
    if not rest:
        fine = f"expected {name}:FILE, the file as it is published"
        raise BadInput(f"--task {text}", "it names no file", fine, _SEE)
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
    docs = list(islice(_docs(task, path), asked.num_samples))
    if not docs:
        raise BadInput(f"task {asked.task}", "its file has no rows", "expected at least one", "")
    check_count(asked.task, len(docs), asked.num_samples, "questions")
    count = task.shots if asked.shots is None else asked.shots
    examples, origin = _examples(task, asked, count)
    _check_apart(task, docs, examples, origin)
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
    told = {"name": task.name, "shots": count, "shots_from": origin.name if count else ""}
    source = {
        "name": asked.task if not task.file or ":" in asked.task else task.name,
        "file": path.name,
        "format": task.name,
        "sha256": sha256(path),
        "licence": task.licence,
        "rows": len(samples),
        "task": told | {"scorers": list(task.scorers), "chat": asked.chat},
    }
    return Loaded(samples, source)


def docs_of(text: str) -> list[Doc]:
    """Return all questions of a task, in the order of its file. Raises BadInput."""
    task, path = find(text)
    return list(_docs(task, path))


def _docs(task: Task, path: Path) -> Iterator[Doc]:
    return map(task.read, read(path))


def _embedded(file: str) -> Path:
    return Path(str(files(datasets))) / file


def _given(doing: str, path: Path) -> Path:
    """Return a file or folder that can be read as a table. Raises BadInput."""
    fine = f"expected a {', '.join(READERS)} file, as the task is published"
    if not path.exists():
        raise wrong_path(doing, path, fine)
    if path.is_file() and kind_of(path) not in READERS:
        raise BadInput(doing, f"its name ends in {path.suffix!r}", fine, "Convert it.")
    return path


# ---- examples


class _Origin(NamedTuple):
    name: str


def _examples(task: Task, asked: Asked, count: int) -> tuple[Sequence[Doc], _Origin]:
    """Return the examples to choose from, and where they stand. Raises BadInput."""
    if not count:
        return (), _Origin("")
    if asked.shots_file is not None:
        path = _given("--shots-file", asked.shots_file)
        return list(_docs(task, path)), _Origin(path.name)
    if task.examples:
        return task.examples, _Origin(f"the task {task.name}")
    if task.shots_file:
        return list(_docs(task, _embedded(task.shots_file))), _Origin(task.shots_file)
    fine = "expected a file of examples that are not in the test"
    todo = "Pass --shots-file FILE, such as the training part, or --shots 0."
    raise BadInput(f"--shots {count}", f"{task.name} has no examples of its own", fine, todo)


class _Shown:
    """Chooses the examples of each question: the first of a file that was made for it, as published
    sets of examples are used; a draw from a file of more.
    """

    def __init__(self, task: Task, examples: Sequence[Doc], count: int, origin: _Origin) -> None:
        self._task, self._all, self._count, self._origin = task, examples, count, origin
        self._of = dict[str, Sequence[Doc]]()

    def before(self, doc: Doc) -> Sequence[Doc]:
        """Return the examples that stand before a question."""
        subject = doc.subject if self._task.is_shot_by_subject else ""
        if subject not in self._of:
            self._of[subject] = self._chosen(subject)
        return self._of[subject]

    def _chosen(self, subject: str) -> Sequence[Doc]:
        fit = [one for one in self._all if not subject or one.subject == subject]
        if len(fit) < self._count:
            where = f" of {subject}" if subject else ""
            found = f"{self._origin.name} has {len(fit)} examples{where}"
            raise BadInput(f"--shots {self._count}", found, "expected as many", "Lower it.")
        if self._task.is_shot_by_subject or self._origin.name.startswith("the task"):
            return fit[: self._count]
        if len(fit) == self._count:
            return fit
        return random.Random(_SEED).sample(fit, self._count)


def _check_apart(task: Task, docs: Sequence[Doc], examples: Sequence[Doc], origin: _Origin) -> None:
    """Refuse examples that are questions of the test. Raises BadInput naming them."""
    asked = {_plain(doc.question): i for i, doc in enumerate(docs)}
    both = [asked[key] for one in examples if (key := _plain(one.question)) in asked]
    if not both:
        return
    more = f" and {len(both) - 1} more" if len(both) > 1 else ""
    found = f"{origin.name} has question {both[0] + 1} of the test{more}"
    fine = "an example that is asked as well gives its answer away"
    raise BadInput(f"task {task.name}", found, fine, "Take the examples from another part.")


def _plain(question: str) -> str:
    """Return a question without what does not make it another one."""
    return re.sub(r"\W+", " ", question.casefold()).strip()
