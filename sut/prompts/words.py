"""Which text and which bytes is a token? One id alone, and ids together.

Many tokenizers leave out the space that opens a text, so a token is decoded behind another one. A
token may be a part of a letter: it has bytes, and OpenAI's name for such a one is bytes:\\xe2\\x82.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from sut.prompts.specials import plain_text

_HALF = "\ufffd"
_BYTE = re.compile(r"<0x([0-9A-F]{2})>")  # of tokenizers that fall back to bytes


class Words:
    """The texts of one tokenizer."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._backend = getattr(tokenizer, "backend_tokenizer", None)
        self._first = plain_text(tokenizer)[1][:1]
        self._letters = _bytes_of_letters()
        self._rows = len(tokenizer)
        self.token = lru_cache(1 << 18)(self._token)
        self.name = lru_cache(1 << 18)(self._name)

    def text(self, ids: Sequence[int]) -> str:
        """Return their text without special tokens."""
        return self._decoded(ids, True)

    def whole_text(self, ids: Sequence[int]) -> str:
        """Return their text, special tokens included."""
        return self._decoded(ids, False)

    def _decoded(self, ids: Sequence[int], is_plain: bool) -> str:
        if self._backend is not None:
            found: str = self._backend.decode(ids, skip_special_tokens=is_plain)
            return found
        options = {"skip_special_tokens": is_plain, "clean_up_tokenization_spaces": False}
        return str(self._tokenizer.decode(ids, **options))

    def _token(self, number: int) -> str:
        """Return the text of a token in the middle of a text."""
        alone, behind = self.whole_text(self._first), self.whole_text([*self._first, number])
        if self._first and behind.startswith(alone):
            return behind[len(alone) :]
        return self.whole_text([number])

    def bytes(self, number: int) -> bytes:
        """Return the bytes of a token."""
        text: str = self.token(number)
        if _HALF not in text:
            return text.encode(errors="replace")
        piece = self.piece(number)
        if found := _BYTE.fullmatch(piece):
            return bytes([int(found[1], 16)])
        if all(letter in self._letters for letter in piece):
            return bytes(self._letters[letter] for letter in piece)
        return text.encode()

    def piece(self, number: int) -> str:
        """Return what the vocabulary calls it."""
        return str(self._tokenizer.convert_ids_to_tokens(number)) if number < self._rows else ""

    def _name(self, number: int) -> str:
        """Return what a client reads of a token: its text, or its bytes if these are no text."""
        text: str = self.token(number)
        if _HALF not in text:
            return text
        return "bytes:" + "".join(f"\\x{byte:02x}" for byte in self.bytes(number))


def _bytes_of_letters() -> dict[str, int]:
    """Return the byte that each letter of a byte-level vocabulary stands for (GPT-2's table): the
    printable ones for themselves, the rest from U+0100 on.
    """
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    rest = [byte for byte in range(256) if byte not in plain]
    letters = {chr(byte): byte for byte in plain}
    return letters | {chr(256 + place): byte for place, byte in enumerate(rest)}
