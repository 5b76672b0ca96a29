"""What does a reference ask for, a letter, a number or a text, and which output stands against it?

Each kind has its metrics: `multiple_choice`; `number_match`; `bleu` and `exact_match`. A kind is
read from the reference alone: a capital letter (MMLU, GPQA, ARC), a last line `#### 18` (GSM8K), a
`\\boxed{...}` (MATH), or else a text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from harness.kernel.log import RunLog
from harness.kernel.types import Sample

Kind = Literal["letter", "number", "text"]
# 1,234.5 12 .5
DIGITS = (
    r"(?:[0-9]{1,3}(?:,[0-9]{2,3}){0,9},[0-9]{3}(?![0-9])|[0-9]+)(?:\.[0-9]+)?|(?<![0-9])\.[0-9]+"
)
HASHED = rf"(?<!#)####(?!#)[\s*]*(?>(?P<minus>-?)(?:\\?\$)?(?P<digits>-?(?>{DIGITS})))"
_HASHED_LAST = re.compile(rf"{HASHED}\**(?:\s*\\?%)?\s*\Z")
_LETTER = re.compile(r"\(([A-J])\)|([A-J])[.)]?")
_BRACES = re.compile(r"(?P<box>\\f?box(?:ed)?\s*\{)|\\.|(?P<open>\{)|(?P<close>\})", re.DOTALL)


def kind(reference: str) -> Kind:
    if letter(reference):
        return "letter"
    return (
        "number" if _HASHED_LAST.search(reference) or (boxed(reference) or "").strip() else "text"
    )


def letter(reference: str) -> str:
    """Return the capital A to J that is all of the reference, as in "B", "(B)", "B." or "B)"; else
    empty.
    """
    found = _LETTER.fullmatch(reference.strip())
    return (found[1] or found[2]) if found else ""


def hashed(reference: str) -> str:
    """Return the number in the reference's last line "#### 1,234"; else empty."""
    found = _HASHED_LAST.search(reference)
    return found["minus"] + found["digits"] if found else ""


def boxed(text: str) -> str | None:
    """Return what the last `\\boxed{...}` (or `\\fbox{...}`) that is closed holds, braces inside it
    included.
    """
    open_at: list[int | None] = []  # where the content of a box begins; None: some other brace
    found = None
    for brace in _BRACES.finditer(text):
        if brace["box"]:
            open_at.append(brace.end())
        elif brace["open"]:
            open_at.append(None)
        elif brace["close"] and open_at and (start := open_at.pop()) is not None:
            found = text[start : brace.start()]
    return found


def text_references(samples: Sequence[Sample]) -> dict[int, str]:
    """Return sample index -> reference of those that a text is compared with.

    Where MLPerf mixes datasets, some samples count for another of its scores (`mlperf_scores`).
    """
    return {s.index: s.reference for s in samples if s.reference and s.grader in ("", "rouge")}


def of_kind(samples: Sequence[Sample], wanted: Kind) -> dict[int, str]:
    """Return sample index -> reference of those that ask for it."""
    given = (
        (index, reference)
        for index, reference in text_references(samples).items()
        if reference.strip()
    )
    return {index: reference for index, reference in given if kind(reference) == wanted}


def pairs(log: RunLog, references: Mapping[int, str], ids: NDArray[Any]) -> list[tuple[str, str]]:
    """Return (output, reference) of those of the samples `ids` that have a reference and an answer;
    none without any texts.

    As for ROUGE, a sample without text and without tokens gave an empty answer, which counts.
    Tokens that nobody could decode are left out.
    """
    if not log.texts:
        return []
    num_tokens = np.diff(log.token_start)
    return [
        (log.texts.get(i, ""), references[index])
        for i, index in zip(ids.tolist(), log.index[ids].tolist(), strict=True)
        if index in references and (i in log.texts or not num_tokens[i])
    ]


def after_thinking(text: str) -> str:
    """Return what follows a reasoning model's `</think>`; all of it if there is none."""
    return text.rpartition("</think>")[2]
