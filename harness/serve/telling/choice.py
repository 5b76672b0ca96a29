"""What has one answer become? The engine's steps, as the text and the end that a client is told.

The id that ends an answer counts as a token and is no text. A stop string ends it as well: what
follows in the same token is dropped. Strings do not end an answer before `min_tokens`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from harness.serve.asking.asked import Asked
from harness.serve.asking.prompts import Prompt
from harness.serve.telling.text import Stops, Text
from sut.prompts.words import Words
from sut.serving.messages import End, Scored

_FINISHES = {"eos": "stop", "stop": "stop", "length": "length", "cancelled": "abort"}


@dataclass(slots=True)
class Piece:
    """What one step adds. `reason` is the id or the string that ended the answer (vLLM's
    `stop_reason`).
    """

    text: str
    ids: Sequence[int]
    scored: Sequence[Scored]
    finish: str | None = None
    reason: int | str | None = None


@dataclass(slots=True)
class Choice:
    """One answer to one prompt; `index` counts over the whole request."""

    index: int
    prompt: Prompt
    asked: Asked
    words: Words
    ids: list[int] = field(default_factory=list)
    scored: list[Scored] = field(default_factory=list)
    prompt_scored: list[Scored] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    finish: str | None = None
    reason: int | str | None = None
    is_opened: bool = False  # its first piece has been told
    _text: Any = None
    _stops: Any = None

    def __post_init__(self) -> None:
        fields = self.asked.fields
        decode = self.words.text if fields["skip_special_tokens"] else self.words.whole_text
        self._text = Text(decode, self.prompt.ids)
        self._stops = Stops(fields["stop"], fields["include_stop_str_in_output"])

    @property
    def text(self) -> str:
        return "".join(self.texts)

    def take(self, ids: Sequence[int], scored: Sequence[Scored], end: End | None) -> Piece:
        """Add the ids of a step, and the end if this was the last one."""
        self.ids += ids
        self.scored += scored
        is_over = end in ("eos", "stop") and bool(ids)
        shown = ids[:-1] if is_over else ids
        text = self._text.push(shown) if shown else ""
        if end is not None:
            text += self._text.end()
        if len(self.ids) > self.asked.fields["min_tokens"] or is_over:
            text = self._stops.push(text)
        if self._stops.found is not None:
            self.finish, self.reason = "stop", self._stops.found
        elif end is not None:
            text += self._stops.end()
            self.finish = _FINISHES[end]
            self.reason = ids[-1] if end == "stop" and ids else None
        self.texts.append(text)
        return Piece(text, ids, scored, self.finish, self.reason)
