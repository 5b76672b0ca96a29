"""What was sent, and when? A row per answer, on CLOCK_MONOTONIC, which all processes share."""

from __future__ import annotations

from array import array
from typing import Any

import msgspec


class Row(msgspec.Struct):
    """`sent_ns` are the moments right before the writes, `tokens` how many each of them brought."""

    number: int  # in the order the requests came
    id: str  # what x-request-id said
    key: int  # of the prompt (sut.golden.answers.asks.key_of)
    fault: str
    received_ns: int
    ids: list[int]
    tokens: list[int]
    sent_ns: Any = msgspec.field(default_factory=lambda: array("q"))


def encoded(rows: list[Row]) -> bytes:
    """Return the rows as JSON."""
    return msgspec.json.encode(rows, enc_hook=list)
