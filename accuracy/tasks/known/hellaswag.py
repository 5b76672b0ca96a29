"""Which of four endings follows? Descriptions of everyday scenes, by the likelihood of each ending.

Zellers et al. 2019, "HellaSwag: Can a Machine Really Finish Your Sentence?". Prompt as in lm-eval's
hellaswag, which takes the marks of WikiHow ([header], [title], [step]) out of the texts.
"""

from __future__ import annotations

import re

from accuracy.datasets.rows import Row
from accuracy.tasks.known.choices import letter_of, offered
from accuracy.tasks.task import Doc, Task

_COUNT = 4
_BRACKETS = re.compile(r"\[.*?\]")


def _read(row: Row) -> Doc:
    begun = f"{row.text('ctx_a', empty=True)} {row.text('ctx_b', empty=True).capitalize()}"
    if not begun.strip():
        raise row.complain("ctx_a", "an empty text", "the beginning of a scene")
    endings = [_bare(one) for one in row.texts("endings", _COUNT, _COUNT)]
    if not all(endings):
        raise row.complain("endings", "an ending without text", f"{_COUNT} texts")
    letter = _right(row)
    question = _bare(f"{row.text('activity_label')}: {begun}")
    return Doc(question, endings["ABCD".index(letter)], letter, offered(endings), _labels(row))


def _right(row: Row) -> str:
    label = row.cells.get("label")
    if label is None or label == "":
        fine = "the place of the right ending, 0 to 3 (the published test part has none)"
        raise row.complain("label", "no answer", fine)
    return letter_of(row, "label", _COUNT)


def _labels(row: Row) -> tuple[tuple[str, str], ...]:
    """Return whether the kind of activity was in the training part, where the file says so."""
    kind = row.cells.get("split_type")
    return (("split_type", row.label("split_type")),) if kind else ()


def _bare(text: str) -> str:
    text = _BRACKETS.sub("", text.strip().replace(" [title]", ". "))
    return text.replace("  ", " ")


HELLASWAG = Task(
    name="hellaswag",
    summary="everyday scenes, the likeliest of four endings",
    read=_read,
    scorers=("likelihood_per_char", "likelihood", "likelihood_per_byte"),
    max_new_tokens=1,
    columns=(("activity_label", "ctx_a", "ctx_b", "endings", "label"),),
    licence="MIT",
)
