"""Which letter does the output choose, and is it the reference's? For questions whose reference is
one letter, A to J.

A letter is read where a person would read it, the first of these that holds:

1. where the output says so ("the answer is (B)", "Answer: B", "option B is correct", `\\boxed{B}`),
   the last time it does;
2. where it begins ("B", "**B**", "b) Paris", "B. Paris", "B because ...");
3. where all letters that stand alone in it are the same one ("Perhaps it is (C)").

Anything else, the text of an option without its letter included, is not read: wrong, and counted.
MMLU's, GPQA's and MMLU-Pro's own patterns are rule 1 alone ("Answer: B", "answer is (B)"). "A" and
"I" are words too: standing alone they count where a sign or an end follows.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accuracy.metrics.references import after_thinking, letter, of_kind, pairs
from harness.kernel.log import RunLog
from harness.kernel.types import Metric, Sample

KINDS = ("multiple_choice",)
_MARKUP = re.compile(
    r"[*_`$~\"“”]|'(?=[A-J]')|(?<='[A-J])'|\\(?:text|textbf|mathrm|mathbf)(?![A-Za-z])|\\[()\[\]]"
)
_ROUND = str.maketrans("{[]}", "(())")
_END = r"(?=\s*(?:[).:,;!<]|-\s|\n|\Z))"
_APART, _WHOLE = r"(?<![A-Za-z0-9_'’.(-])", r"(?![A-Za-z0-9_'’])"
# "A and B", "A = 5" choose nothing
_ONE = r"(?!\s*(?:,|/|&|=|\+|and\b|or\b)+\s*(?:(?:or|and)\b\s*)?\(?[A-J0-9]\b)"
_RIGHT = r"(?!\s+(?i:is|are|was)\s+(?i:not|wrong|incorrect|false)\b)"
_NAMED = rf"(?:\(\s*([A-Ja-j])\s*\)|([A-J]){_WHOLE}|([a-j]){_END}){_ONE}{_RIGHT}"
_SAID = re.compile(
    r"(?:\b(?i:answer|option|choice|solution|response)(?:\s*(?:(?i:is|was|(?:would|should|must|will)\s+be)\b|[:=>]))+\s*"
    r"|\b(?i:choose|pick|select|go\s+with|go\s+for)\s+)"
    rf"(?i:[a-z]+ly\s+)?(?i:(?:the\s+)?(?:option|choice|letter|answer)\b(?:\s*:)?\s*)?{_NAMED}"
    r"|\\f?box(?:ed)?\s*\(+\s*([A-J])(?=\s*[).:,])"
    rf"|{_APART}\(?([A-J])\)?\s+is\s+(?:the\s+)?(?:right|correct|best|true|answer)\b"
)
_BEGUN = re.compile(rf"(?:\(\s*([A-Ja-j])\s*\)|([A-Ja-j]){_END}|([B-HJ])(?=\s)){_ONE}{_RIGHT}")
_LISTED = re.compile(r"^[ \t]*\(?([A-Ja-j])[).:](?:\s|\Z)|\(([A-J])\)", re.MULTILINE)
_ALONE = re.compile(
    rf"(?<!\bnot\s)(?<!n't\s)(?<!n’t\s){_APART}"
    rf"(?:\(([A-J])\)|([B-HJ])(?!-){_WHOLE}|([AI])(?=\s*(?:[.,:;!?)<]|(?:and|or)\b|\n|\Z))){_RIGHT}"
)


def references(samples: Sequence[Sample]) -> dict[int, str]:
    return {index: letter(reference) for index, reference in of_kind(samples, "letter").items()}


def multiple_choice(log: RunLog, samples: Sequence[Sample], ids: NDArray[Any]) -> list[Metric]:
    """Return the share of the samples `ids` with a letter for a reference that chose it, and how
    many answers had no letter.
    """
    letters = references(samples)
    last = max(letters.values(), default="D")
    choices = [(read(text, last), reference) for text, reference in pairs(log, letters, ids)]
    if not choices:
        return []
    right = float(np.mean([choice == reference for choice, reference in choices]))
    unread, n = sum(not choice for choice, _ in choices), len(choices)
    return [
        Metric("multiple_choice", round(100 * right, 4), "%", n),
        Metric("multiple_choice_unread", float(unread), "answers", n),
    ]


def score(text: str, reference: str, last: str = "D") -> tuple[float]:
    """Return 1 if the output chooses the reference's letter. `last` is the last letter on offer, as
    for `read`.
    """
    wanted = letter(reference)
    return (float(bool(wanted) and read(text, max(last, wanted)) == wanted),)


def read(text: str, last: str = "D") -> str:
    """Return the letter that the output chooses, A to `last` (at least D); empty if none can be
    read.
    """
    bare = _MARKUP.sub("", after_thinking(text)).translate(_ROUND).strip()
    last = max(last, "D")
    if said := _letters(_SAID.finditer(bare), last):
        return said[-1]
    repeats_the_options = _letters(_LISTED.finditer(bare), last)[:2] == ["A", "B"]
    if (
        not repeats_the_options
        and (begun := _BEGUN.match(bare))
        and (first := _letters([begun], last))
    ):
        return first[0]
    alone = set(_letters(_ALONE.finditer(bare), last))
    return alone.pop() if len(alone) == 1 else ""


def _letters(found: Iterable[re.Match[str]], last: str) -> list[str]:
    letters = (next(filter(None, match.groups())).upper() for match in found)
    return [letter for letter in letters if letter <= last]
