"""Where does an answer end that stops at given texts? Before the one that is complete first."""

from __future__ import annotations

from collections.abc import Sequence


def cut(text: str, stop: Sequence[str]) -> str:
    """Return a text up to the stop that is complete first, and of several the longest, as servers
    and our own engine end it.
    """
    ends = [(at + len(one), -len(one)) for one in stop if one and (at := text.find(one)) >= 0]
    return text[: sum(min(ends))] if ends else text
