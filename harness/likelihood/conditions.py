"""What exactly is scored, and given what? The conditions of the perplexity laboratory, in words.

`sut.likelihood.passages` makes them; here stand their names, what each is held against, and the
sentences that the summary, the screen and the page show of them.
"""

from __future__ import annotations

from typing import Any, NamedTuple

PLAIN, NO_CONTEXT = "plain", "no context"
KINDS = ("sentences", "instructions")
SENTENCES = (NO_CONTEXT, "last 1 sentence", "last 2 sentences", "last 3 sentences")
INSTRUCTIONS = ("vague", "specific", "paraphrased")
NAMES = (*SENTENCES, *INSTRUCTIONS)
Row = dict[str, Any]

_BEFORE = {
    "last 1 sentence": "the sentence right before them, the third of the text",
    "last 2 sentences": "the two sentences right before them, the second and the third of the text",
    "last 3 sentences": "all three sentences before them, the whole beginning of the text",
}


class Statement(NamedTuple):
    """`scored`: which tokens; `given`: what the model has read before the first of them."""

    scored: str
    given: str


def kind_of(name: str) -> str:
    return "sentences" if name in SENTENCES else "instructions" if name in INSTRUCTIONS else PLAIN


def base_of(name: str) -> str | None:
    """Return what a condition is held against: the same tokens without the context."""
    if name in (PLAIN, NO_CONTEXT):
        return None
    return NO_CONTEXT if name in SENTENCES else PLAIN


def statement(name: str, row: Row) -> Statement:
    """State a condition for a subject, of which `row` says whether a start token is added and
    whether there is a chat template.
    """
    has_start = row.get("bos") == "added"
    which = "all tokens" if has_start else "all tokens but the first, which nothing predicts,"
    if kind_of(name) == "sentences":
        scored = f"{which} after the third sentence of each text"
    else:
        scored = f"{which} of each text"
    return Statement(scored, _given(name, has_start, bool(row.get("chat_template"))))


def _given(name: str, has_start: bool, has_template: bool) -> str:
    start = "the start token" if has_start else ""
    if name in (PLAIN, NO_CONTEXT):
        return f"{start} alone" if start else "nothing"
    if name in _BEFORE:
        return " and ".join(filter(None, [start, _BEFORE[name]]))
    if has_template:
        return f"the {name} instruction as a user's turn, and the opening of the assistant's turn"
    return " and ".join(filter(None, [start, f"the {name} instruction with a blank line"]))


def order(name: str) -> int:
    """Return the place of a condition in a table; unknown ones come last."""
    return NAMES.index(name) if name in NAMES else len(NAMES)
