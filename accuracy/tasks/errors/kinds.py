"""Why is an answer wrong? Each wrong answer is of one kind: the first of these that fits.

empty             it has no text
not in the form   the right answer is there, but not in the form that the scorer asks for
cut               the limit on new tokens ended it before a final answer
loop              it ends in a loop, without a final answer
no final answer   it ended by itself, without a final answer
arithmetic slip   an equation does not hold; calculated rightly, the result would be right
slip and method   an equation does not hold; calculated rightly, the result would still be wrong
wrong method      its equations hold, and yet the result is wrong
no steps          a wrong number, and no equation
wrong choice      of given ones
wrong answer      of another sort
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any, Literal, NamedTuple

from accuracy.metrics import numbers
from accuracy.outputs.stops import cut
from accuracy.tasks.errors.equations import Equation, equations, repaired
from accuracy.tasks.errors.equations import numbers as numbers_in
from accuracy.tasks.errors.equations import written as written_number
from accuracy.tasks.errors.loops import is_loop
from accuracy.tasks.solved import Solved
from harness.kernel.types import Sample

Kind = Literal[
    "right", "empty", "not in the form", "cut", "loop", "no final answer", "arithmetic slip",
    "slip and method", "wrong method", "no steps", "wrong choice", "wrong answer",
]  # fmt: skip
KINDS: tuple[Kind, ...] = (
    "arithmetic slip", "slip and method", "wrong method", "no steps", "wrong choice",
    "wrong answer", "not in the form", "no final answer", "cut", "loop", "empty",
)  # fmt: skip
METHODS = ("slip and method", "wrong method")
Row = Mapping[str, Any]


class Answer(NamedTuple):
    """One answer, and what is wrong with it."""

    row: Row  # of the scorer that decides
    sample: Sample
    text: str  # up to the task's stop
    kind: Kind
    is_marked: bool  # its final answer stands in the form that is asked for
    is_cut: bool  # by the limit, before the task's stop
    is_loop: bool
    went_on: bool  # to the next question, beyond the stop
    steps: Sequence[Equation]  # the equations that it writes, where a number is asked for
    has_reference_step: bool | None  # an intermediate result of the solution; None: not known

    @property
    def is_right(self) -> bool:
        return self.kind == "right"

    @property
    def slip(self) -> Equation | None:
        """The first of its equations that does not hold."""
        return next((one for one in self.steps if not one.is_right), None)

    @property
    def says(self) -> str:
        """What shows its kind: the first wrong step and what it should be."""
        slip = self.slip
        if "slip" not in self.kind or slip is None:
            return ""
        return f"{slip.text}, should be {written_number(slip.value)}"


def answers(solved: Solved, asked: Mapping[int, str]) -> dict[int, Answer]:
    """Return each answer with what is wrong with it, by the index of its question. `asked` has the
    questions.
    """
    others = dict[int, list[Row]]()
    for row in solved.rows:
        if row["scorer"] != solved.scorer:
            others.setdefault(row["index"], []).append(row)
    found = dict[int, Answer]()
    for row in solved.deciding:
        index = row["index"]
        if index in solved.samples and index not in found:
            sample, text = solved.samples[index], solved.texts.get(index, "")
            found[index] = _answer(row, others.get(index, []), sample, text, asked[index])
    return found


def _answer(row: Row, others: Sequence[Row], sample: Sample, whole: str, asked: str) -> Answer:
    text = cut(whole, sample.stop)
    is_number = not sample.choices and bool(numbers.target(sample.reference or "").how)
    answer = Answer(
        row=row,
        sample=sample,
        text=text,
        kind="right",
        is_marked=_is_marked(row, others),
        is_cut=bool(row["is_cut"]) and text == whole,
        is_loop=not sample.choices and is_loop(text),
        went_on=bool(whole[len(text) :].strip()),
        steps=equations(text) if is_number else (),
        has_reference_step=None,
    )
    if row["outcome"] == "right":
        return answer
    answer = answer._replace(kind=_kind(answer, others, is_number))
    if answer.kind not in METHODS:
        return answer
    return answer._replace(has_reference_step=_has_step(text, sample.reference or "", asked))


def _is_marked(row: Row, others: Sequence[Row]) -> bool:
    """Say whether the final answer stands in the form that the strict scorer of the task reads."""
    strict = [one for one in (row, *others) if one["scorer"].endswith("_strict")] or [row]
    return all(one["outcome"] != "no answer" for one in strict)


def _kind(answer: Answer, others: Sequence[Row], is_number: bool) -> Kind:
    if answer.sample.choices:
        return "no final answer" if answer.row["outcome"] == "no answer" else "wrong choice"
    if not answer.text.strip():
        return "empty"
    is_read = answer.row["outcome"] != "no answer"
    if not is_read and any(one["outcome"] == "right" for one in others):
        return "not in the form"
    if not (is_read and answer.is_marked):
        if answer.is_loop:
            return "loop"
        if answer.is_cut:
            return "cut"
    if not is_read and not any(one["outcome"] == "wrong" for one in others):
        return "no final answer"
    if not is_number:
        return "wrong answer" if is_read else "no final answer"
    if answer.slip is not None:
        return "arithmetic slip" if _is_slip_alone(answer) else "slip and method"
    return "wrong method" if answer.steps else "no steps"


def _is_slip_alone(answer: Answer) -> bool:
    """Say whether the result would be right, had the answer calculated rightly."""
    wanted = _value(numbers.target(answer.sample.reference or "").answer)
    result = _value(str(answer.row["answer"])) or _value(numbers.read(answer.text).answer)
    return result is not None and repaired(answer.steps, result) == wanted


def _value(answer: str) -> Fraction | None:
    return numbers.value(numbers.plain(answer))


def _has_step(text: str, reference: str, asked: str) -> bool | None:
    """Say whether a wrong answer reaches an intermediate result of the reference's solution; None
    where that has none that is not in the question as well.
    """
    final = _value(numbers.target(reference).answer)
    known = numbers_in(asked)
    results = {one.written for one in equations(reference)} - {final} - known
    return bool(results & numbers_in(text)) if results else None
