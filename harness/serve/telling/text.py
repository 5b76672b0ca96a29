"""Which text do ids add to an answer as they come? What is certain, and no more.

A letter may be spread over several tokens, so text that ends in U+FFFD waits for the next one. What
came before (the last tokens of the prompt) is decoded along: many tokenizers leave the space out
that opens a text. A stop string may be spread as well: what could become one waits.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

BEFORE = 6  # ids of the prompt that are decoded along
_HALF = "\ufffd"
_MOST_WAITING = 16  # ids: bytes that still are no letter then will never be one
_TELLINGS = (
    4  # whose ids are decoded along, in the middle of an answer: they end with whole letters
)

Decode = Callable[[Sequence[int]], str]


class Text:
    """The text of one answer: `push` ids, get what they add."""

    def __init__(self, decode: Decode, prompt_ids: Sequence[int] = ()) -> None:
        self._decode = decode
        self._ids = list(prompt_ids[-BEFORE:])
        self._told = len(self._ids)  # ids whose text has been told
        self._tellings = deque([self._told], _TELLINGS)
        self._before = decode(self._ids) if self._ids else ""

    def push(self, ids: Sequence[int]) -> str:
        """Return what has become certain. One by one: letters may end within what comes at once."""
        return "".join(map(self._push, ids))

    def _push(self, number: int) -> str:
        self._ids.append(number)
        whole = self._decode(self._ids)
        waiting = len(self._ids) - self._told
        if whole.endswith(_HALF) and waiting < _MOST_WAITING:
            return ""
        return self._tell(whole)

    def end(self) -> str:
        """Return what is left, whole letters or not."""
        return self._tell(self._decode(self._ids)) if len(self._ids) > self._told else ""

    def _tell(self, whole: str) -> str:
        new = whole[self._common(whole) :]
        count = len(self._ids) - self._told
        if new:
            self._tellings.append(count)
        else:  # special tokens: what follows is decoded behind a text, or it may lose its space
            self._tellings[-1] += count
        self._told = sum(self._tellings)
        del self._ids[: -self._told]
        self._before = self._decode(self._ids)
        return new

    def _common(self, whole: str) -> int:
        """Return how much of `whole` has been told: all that came before, unless a letter of the
        prompt was cut in half.
        """
        before = self._before
        if whole.startswith(before):
            return len(before)
        pairs = enumerate(zip(before, whole, strict=False))
        return next((place for place, (old, new) in pairs if old != new), len(whole))


class Stops:
    """Ends an answer before the string that is complete first, and of several the longest: `push`
    text, get what may be told.
    """

    def __init__(self, strings: Sequence[str], is_included: bool = False) -> None:
        self._strings, self._is_included = strings, is_included
        self._longest = max(map(len, strings), default=1)
        self._held = ""
        self.found: str | None = None

    def push(self, text: str) -> str:
        """Return what cannot be part of a stop string; once there is one, what stands before it."""
        if not self._strings:
            return text
        text = self._held + text
        ends = [(text.find(one) + len(one), -len(one), one) for one in self._strings if one in text]
        if ends:
            end, _, self.found = min(ends)
            self._held = ""
            return text[: end if self._is_included else end - len(self.found)]
        kept = self._beginning(text)
        self._held = text[len(text) - kept :]
        return text[: len(text) - kept]

    def end(self) -> str:
        """Return what was held back in vain."""
        held, self._held = self._held, ""
        return held

    def _beginning(self, text: str) -> int:
        """Return the length of the longest end of `text` that a stop string begins with."""
        for length in range(min(self._longest - 1, len(text)), 0, -1):
            if any(one.startswith(text[-length:]) for one in self._strings):
                return length
        return 0
