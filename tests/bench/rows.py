"""What a benchmark prints: a row of the table, or a sentence below it."""

from __future__ import annotations

from typing import NamedTuple


class Row(NamedTuple):
    what: str
    ours: str
    peer: str
    ratio: str
    target: str
    met: bool


def compared(
    what: str, ours: float, peer: float, ratio: float, target: str, met: bool, form: str
) -> Row:
    return Row(what, form.format(ours), form.format(peer), f"{ratio:.2f}x", target, met)
