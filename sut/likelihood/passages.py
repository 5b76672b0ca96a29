"""Which tokens are scored, and given what? Texts in; passages out: ids, and where scoring begins.

A passage is a text under a condition. A text is tokenised once, whole, and cut by its ids, so the
tokens that are scored are the same under each condition of a kind:

    condition             what stands before            what is scored
    plain                 start                         the text
    vague, specific,      start, instruction            the text
      paraphrased
    no context            start                         what follows the text's third sentence
    last 1 sentence       start, sentence 3             the same
    last 2 sentences      start, sentences 2 and 3      the same
    last 3 sentences      start, sentences 1 to 3       the same: the whole beginning is given

`start` is the start token, or nothing. Without one nothing predicts the first token of `text` or of
`what follows` under plain and no context; so it is given and not scored under any condition. A
token that reaches over the end of a sentence belongs to that sentence. An instruction is a user's
turn of the chat template, which brings its own start token and opens the assistant's turn, or the
words and a blank line for a model without a template.

A condition must fit the model's window whole: in windows a late token would no longer see the
context, and the windows of two conditions would lie elsewhere. A text that does not fit under one
of a kind's conditions is left out of all of that kind.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, NamedTuple

from harness.kernel.errors import SetupFailed
from sut.prompts.specials import around
from sut.prompts.template import ChatTemplate

PLAIN = "plain"
SENTENCES = ("no context", "last 1 sentence", "last 2 sentences", "last 3 sentences")
INSTRUCTIONS = ("vague", "specific", "paraphrased")
KINDS = {PLAIN: (PLAIN,), "sentences": SENTENCES, "instructions": INSTRUCTIONS}
_LEAST_TOKENS = 2
_GAP = "\n\n"  # between an instruction and the text, for a model without a chat template


class Passage(NamedTuple):
    """`ids` go into the model and are scored from `first` on, which is the text's own token number
    `position`.
    """

    text: int
    condition: str
    ids: list[int]
    first: int
    position: int

    @property
    def file(self) -> str:
        return f"{self.text:06d}-{self.condition.replace(' ', '-')}.npz"

    @property
    def kind(self) -> str:
        return next(kind for kind, names in KINDS.items() if self.condition in names)

    @property
    def input_length(self) -> int:
        """Tokens that the model reads; nobody needs the last one as input."""
        return len(self.ids) - 1


@dataclass
class Tokens:
    """Of all texts, and what was left out and why."""

    ids: list[list[int]] = field(default_factory=list)
    offsets: list[list[tuple[int, int]]] = field(default_factory=list)
    excluded: list[dict[str, str]] = field(default_factory=list)

    @property
    def left_out(self) -> set[str]:
        return {one["text"] for one in self.excluded}


def tokenise(tokenizer: Any, rows: Sequence[Mapping[str, Any]]) -> Tokens:
    """Return ids and character offsets, without special tokens.

    A text with fewer than two tokens has nothing to predict.
    """
    if not tokenizer.is_fast:
        found = f"{type(tokenizer).__name__} does not say where its tokens stand"
        raise SetupFailed(
            "tokenising the texts",
            found,
            "expected a fast tokenizer",
            "Convert it to a tokenizer.json.",
        )
    tokens = Tokens()
    for row in rows:
        made = tokenizer(
            row["text"], add_special_tokens=False, return_offsets_mapping=True, verbose=False
        )
        tokens.ids.append(made["input_ids"])
        tokens.offsets.append(made["offset_mapping"])
        if not row["text"].strip():
            tokens.excluded.append({"text": row["id"], "reason": "it is empty"})
        elif len(made["input_ids"]) < _LEAST_TOKENS:
            count = "one token" if made["input_ids"] else "no token"
            tokens.excluded.append({"text": row["id"], "reason": f"it has {count}"})
    return tokens


def start_ids(tokenizer: Any, bos: str) -> list[int]:
    """Return the ids that stand before every text.

    auto: what the tokenizer itself puts there, several ids if it does so. always: the same, else
    its start token, else the end token, as lm-eval does.
    """
    if bos == "never":
        return []
    own = around(tokenizer).before
    if own or bos == "auto":
        return own
    start = tokenizer.bos_token_id
    if start is None:
        start = tokenizer.eos_token_id
    if start is None:
        found = "the tokenizer has neither a start token nor an end token"
        raise SetupFailed("--bos always", found, "expected one of them", "Pass --bos never.")
    return [start]


def passages(
    tokenizer: Any,
    start: list[int],
    tokens: Tokens,
    rows: Sequence[Mapping[str, Any]],
    kinds: Sequence[str],
) -> list[Passage]:
    """Return every text that is not left out, under each condition of `kinds` and plain."""
    found: list[Passage] = []
    has_template = "instructions" in kinds and tokenizer.chat_template is not None
    template = ChatTemplate(tokenizer) if has_template else None
    for i, row in enumerate(rows):
        if row["id"] not in tokens.left_out:
            found += _of_text(tokenizer, template, start, tokens, i, row, kinds)
    return found


def _of_text(
    tokenizer: Any,
    template: ChatTemplate | None,
    start: list[int],
    tokens: Tokens,
    i: int,
    row: Mapping[str, Any],
    kinds: Sequence[str],
) -> Iterator[Passage]:
    ids = tokens.ids[i]
    unpredicted = 0 if start else 1
    yield Passage(i, PLAIN, [*start, *ids], len(start) + unpredicted, unpredicted)
    if "instructions" in kinds:
        for name in INSTRUCTIONS:
            if row.get(name):
                before = instruction_ids(tokenizer, template, start, row[name])
                yield Passage(i, name, [*before, *ids], len(before) + unpredicted, unpredicted)
    if "sentences" in kinds and row["sentence_ends"]:
        cuts = [0, *(_first_after(tokens.offsets[i], end) for end in row["sentence_ends"])]
        scored = cuts[-1]
        for name, begin in zip(SENTENCES, reversed(cuts), strict=True):
            before = [*start, *ids[begin:scored]]
            first = len(before) + unpredicted
            yield Passage(i, name, [*before, *ids[scored:]], first, scored + unpredicted)


def instruction_ids(
    tokenizer: Any, template: ChatTemplate | None, start: list[int], instruction: str
) -> list[int]:
    """Return the user's turn and the beginning of the assistant's, or just the words and a blank
    line.
    """
    if template is None:
        ids: list[int] = tokenizer(instruction + _GAP, add_special_tokens=False)["input_ids"]
        return [*start, *ids]
    text = template.prompt(instruction, "an instruction")
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    return ids


def _first_after(offsets: Sequence[tuple[int, int]], end: int) -> int:
    """Return the first token that begins at this character or later."""
    return next((k for k, (begin, _) in enumerate(offsets) if begin >= end), len(offsets))


def fitting(
    made: Sequence[Passage], context: int | None, names: Sequence[str]
) -> tuple[list[Passage], list[dict[str, str]]]:
    """Return the passages that can be scored as their condition says, and the texts that a kind of
    condition leaves out, with the reason.
    """
    kept, left_out = [], []
    for (text, kind), group in groupby(made, key=lambda p: (p.text, p.kind)):
        same = list(group)
        if reason := "" if kind == PLAIN else _unfit(same, context):
            left_out.append({"text": names[text], "conditions": kind, "reason": reason})
        else:
            kept += same
    return kept, left_out


def _unfit(same: Sequence[Passage], context: int | None) -> str:
    longest = max(same, key=lambda p: p.input_length)
    if context is not None and longest.input_length > context:
        return (
            f"with {longest.condition} it has {len(longest.ids)} tokens, "
            f"the window takes {context} and predicts one more"
        )
    if any(p.first >= len(p.ids) for p in same):
        return "nothing is left to score after its third sentence"
    return ""
