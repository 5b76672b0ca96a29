"""What is a task? How a row of its file becomes a question, and how an answer to it is scored.

A task asks with examples before the question (shots), cuts an answer where the model would go on to
ask itself the next question (`stop`), and names the scorers that tell right from wrong; the first
of them decides unless another is asked for. Prompts continue: the model is given plain text and
goes on with it, as lm-eval does, unless `--chat` puts the text into the model's chat template.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from accuracy.datasets.rows import Row


class Doc(NamedTuple):
    """A question of a task. An example is `question`, the task's `gap` and `shown`."""

    question: str  # as it stands in the prompt
    shown: str  # its answer, as an example shows it
    expected: str  # what the scorers compare with; of choices the letter of the right one
    choices: tuple[str, ...] = ()  # continuations whose likelihoods are compared
    labels: tuple[tuple[str, str], ...] = ()  # groups: (("subject", "law"), ...)
    facts: tuple[tuple[str, str], ...] = ()  # what else a scorer needs, such as tests of a program

    @property
    def subject(self) -> str:
        """The first of its groups: examples may have to be of the same."""
        return self.labels[0][1] if self.labels else ""


def _nothing(doc: Doc) -> str:
    return ""


class Task(NamedTuple):
    """One task. `read` turns a row of its file into a Doc, or raises BadInput naming the cell."""

    name: str
    summary: str
    read: Callable[[Row], Doc]
    scorers: tuple[str, ...]  # names in accuracy.tasks.scorers.TABLE, the one that decides first
    max_new_tokens: int
    columns: tuple[tuple[str, ...], ...] = ()  # that its file has, in one way or another
    stop: tuple[str, ...] = ()
    shots: int = 0
    gap: str = " "  # between a question and its answer
    between: str = "\n\n"  # examples
    heading: Callable[[Doc], str] = _nothing  # what stands before the examples
    takes_first: bool = False  # examples are the first of their file, not drawn for each question
    is_shot_by_subject: bool = False  # examples are of the question's own subject
    examples: tuple[Doc, ...] = ()  # where they are a part of the task rather than of a file
    file: str = ""  # of an embedded task, in accuracy.datasets
    shots_file: str = ""  # the same of its examples
    licence: str = ""

    @property
    def asks_likelihoods(self) -> bool:
        """Does a scorer compare the likelihoods of given continuations?"""
        return any(name.startswith("likelihood") for name in self.scorers)

    def prompt(self, doc: Doc, examples: Sequence[Doc]) -> str:
        """Return what the model is given: heading, examples, question."""
        shown = [example.question + self.gap + example.shown for example in examples]
        return self.heading(doc) + self.between.join((*shown, doc.question))


Columns = dict[str, list[Any]]
