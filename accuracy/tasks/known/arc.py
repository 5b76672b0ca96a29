"""Questions of school science with three to five choices, by the likelihood of each choice's text.

Clark et al. 2018, "Think you have Solved Question Answering? Try ARC". Prompt as in lm-eval's
arc_easy and arc_challenge; the file says which of the two parts it is.
"""

from __future__ import annotations

from string import ascii_uppercase
from typing import Any

from accuracy.datasets.rows import Row
from accuracy.tasks.known.choices import MOST, offered
from accuracy.tasks.task import Doc, Task


def _read(row: Row) -> Doc:
    row = _flat(row)
    texts, names = _choices(row)
    key = row.label("answerKey").strip()
    if key not in names:
        raise row.complain("answerKey", ascii(key[:20]), f"one of {', '.join(names)}")
    right = names.index(key)
    question = f"Question: {row.text('question')}\nAnswer:"
    return Doc(question, texts[right], ascii_uppercase[right], offered(texts))


def _flat(row: Row) -> Row:
    """Return a row as the hub has it. The authors' own lines hold the choices in the question."""
    question = row.cells.get("question")
    if not isinstance(question, dict):
        return row
    cells = {**row.cells, "question": question.get("stem"), "choices": question.get("choices")}
    return Row(row.file, row.where, cells, row.todo)


def _choices(row: Row) -> tuple[list[str], list[str]]:
    """Return texts and names of the choices: {"text": [...], "label": [...]}, or a list of pairs.

    Raises BadInput.
    """
    fine = "texts of at least two choices and a label for each"
    given = row.cells.get("choices")
    texts, names = _columns(given)
    if not all(isinstance(one, str) and one.strip() for one in texts):
        raise row.complain("choices", "a choice without text", fine)
    if not 2 <= len(texts) <= MOST or len(names) != len(texts):
        raise row.complain("choices", f"{len(texts)} texts and {len(names)} labels", fine)
    named = [str(name) for name in names]
    if len(set(named)) != len(named):
        raise row.complain("choices", f"the labels {', '.join(named)}"[:60], "different labels")
    return texts, named


def _columns(given: Any) -> tuple[list[Any], list[Any]]:
    if isinstance(given, dict):
        given = [given.get(name) for name in ("text", "label")]
        texts, names = (one if isinstance(one, list) else [] for one in given)
        return texts, names
    pairs = [one for one in given if isinstance(one, dict)] if isinstance(given, list) else []
    return [one.get("text") for one in pairs], [one.get("label") for one in pairs]


ARC = Task(
    name="arc",
    summary="questions of school science (ARC-Easy, ARC-Challenge), by likelihood",
    read=_read,
    scorers=("likelihood", "likelihood_per_char", "likelihood_per_byte"),
    max_new_tokens=1,
    columns=(("question", "answerKey"),),  # and choices, in the question where it is a record
    licence="CC-BY-SA-4.0",
)
