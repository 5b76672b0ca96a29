"""Which answers show best what went wrong? Up to eight, with the words that differ marked.

Of two runs: the questions that were lost, the largest margin first where margins are known, else
those whose answers part first; then those that were gained. Of one run: wrong answers, one of each
kind, then the next of each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import zip_longest
from typing import Any

from accuracy.gate.differences import side_by_side
from accuracy.metrics import numbers
from accuracy.tasks.errors.kinds import KINDS, Answer

MOST = 8
_LONGEST_QUESTION, _LONGEST_ANSWER = 400, 900  # characters
Example = dict[str, Any]


def of_one(
    answers: Mapping[int, Answer], asked: Mapping[int, str], margins: Mapping[int, float]
) -> list[Example]:
    """Return wrong answers of a run, as many kinds as there are."""
    by_kind = [[i for i, one in answers.items() if one.kind == kind] for kind in KINDS]
    turns = zip_longest(*by_kind)
    chosen = [i for turn in turns for i in turn if i is not None][:MOST]
    return [_alone(answers[i], asked[i], margins.get(i)) for i in chosen]


def of_two(
    before: Mapping[int, Answer],
    after: Mapping[int, Answer],
    asked: Mapping[int, str],
    margins: Sequence[Mapping[int, float]],
) -> list[Example]:
    """Return the questions that flipped, the lost ones first."""
    found = []
    for was, i in _order(before, after, margins):
        pair = (
            _choices(before[i], after[i]) if after[i].sample.choices else _pair(before[i], after[i])
        )
        for answer, known in zip(pair["answers"], margins, strict=True):
            answer["margin"] = known.get(i)
        found.append(_question(before[i], asked[i]) | {"was": was, **pair})
    return found


def _alone(answer: Answer, asked: str, margin: float | None) -> Example:
    told = _told(answer, [(_short(_said(answer)), False)])
    return _question(answer, asked) | {"answers": [told | {"margin": margin}]}


def _order(
    before: Mapping[int, Answer],
    after: Mapping[int, Answer],
    margins: Sequence[Mapping[int, float]],
) -> list[tuple[str, int]]:
    flipped = [i for i in after if before[i].is_right != after[i].is_right]
    lost = [i for i in flipped if before[i].is_right]
    gained = [i for i in flipped if after[i].is_right]

    def rank(i: int) -> tuple[float, int]:
        moved = abs(margins[0].get(i, 0.0) - margins[1].get(i, 0.0))
        return -moved, first_difference(before[i].text, after[i].text)

    order = [("lost", i) for i in sorted(lost, key=rank)]
    order += [("gained", i) for i in sorted(gained, key=rank)]
    return order[:MOST]


def first_difference(first: str, second: str) -> int:
    """Return at which word two texts part, from 0; the number of words if they never do."""
    words = first.split(), second.split()
    pairs = enumerate(zip(*words, strict=False))
    return next((k for k, (a, b) in pairs if a != b), min(map(len, words)))


def _said(answer: Answer) -> str:
    """Return what stands for an answer: of choices, the one that was taken."""
    return str(answer.row["answer"]) if answer.sample.choices else answer.text


def _choices(first: Answer, second: Answer) -> Example:
    return {"answers": [_told(one, [(_short(_said(one)), True)]) for one in (first, second)]}


def _pair(first: Answer, second: Answer) -> Example:
    texts = _short(first.text), _short(second.text)
    pieces = side_by_side(*texts)
    return {
        "parts_at": first_difference(first.text, second.text),
        "answers": [
            _told(answer, [tuple(piece) for piece in marked])
            for answer, marked in zip((first, second), pieces, strict=True)
        ],
    }


def _question(answer: Answer, asked: str) -> Example:
    labels = [value for _, value in answer.sample.labels]
    return {
        "index": answer.sample.index,
        "question": _short(asked, _LONGEST_QUESTION),
        "labels": labels,
        "expected": _short(_expected(answer), _LONGEST_QUESTION),
    }


def _expected(answer: Answer) -> str:
    choices, expected = answer.sample.choices, str(answer.row["expected"])
    is_place = bool(choices) and expected.isdecimal() and int(expected) < len(choices)
    if is_place:
        return choices[int(expected)].strip()
    return numbers.target(expected).answer or expected


def _told(answer: Answer, text: Sequence[Any]) -> Example:
    return {
        "kind": answer.kind,
        "says": _short(answer.says, 200),
        "answer": _short(str(answer.row["answer"]), 200),
        "text": [list(piece) for piece in text],
    }


def _short(text: str, longest: int = _LONGEST_ANSWER) -> str:
    text = text.strip()
    return text if len(text) <= longest else text[:longest] + " …"
