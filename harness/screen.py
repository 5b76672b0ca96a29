"""Where words for people go: any terminal, also one that knows no letters but ASCII.

What cannot be written is replaced rather than an error: a middle dot by a hyphen, an arrow by ->,
an unknown letter by a question mark. The boxes around panels are rich's own affair.
"""

from __future__ import annotations

import codecs
import sys
from contextlib import suppress
from io import TextIOWrapper

_INSTEAD = {
    "·": "-", "–": "-", "−": "-", "→": "->", "…": "...", "≤": "<=", "≥": ">=", "×": "x", "µ": "u",
    "“": '"', "”": '"', "‘": "'", "’": "'", "│": "|", "─": "-", "Δ": "d",
}  # fmt: skip
_NAME = "touchstone.plain"


def instead(text: str) -> str:
    """The text in ASCII, as near as it can be."""
    return "".join(c if c.isascii() else _INSTEAD.get(c, "?") for c in text)


def tolerate() -> None:
    """From now on stdout and stderr take every letter, whatever their encoding."""
    codecs.register_error(_NAME, _replace)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            with suppress(ValueError):  # closed already
                stream.reconfigure(errors=_NAME)


def _replace(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return instead(error.object[error.start : error.end]), error.end
