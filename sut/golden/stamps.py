"""What was sent, and when? A row per answer, on CLOCK_MONOTONIC, which all processes share."""

from __future__ import annotations

from array import array
from collections.abc import Sequence

import msgspec

from sut.golden.answering import Reply
from sut.golden.connection import Connection


class Row(msgspec.Struct):
    """`sent_ns` are the moments right before the writes, `tokens` how many each of them brought."""

    number: int  # in the order the requests came
    id: str  # what x-request-id said
    key: int  # of the prompt (sut.golden.answers.asks.key_of)
    fault: str
    received_ns: int
    ids: Sequence[int]
    tokens: Sequence[int]
    sent_ns: Sequence[int]


class Sending:
    """A response under way; afterwards what is known of it. Rows are made when they are asked for:
    a hundred thousand a second are sent.
    """

    __slots__ = ("connection", "head", "n", "number", "received_ns", "reply", "sent_ns", "writes")

    def __init__(
        self, connection: Connection, reply: Reply, head: bytes, number: int, received_ns: int
    ) -> None:
        self.connection, self.reply, self.head = connection, reply, head
        self.number, self.received_ns = number, received_ns
        self.writes = reply.script.writes
        self.n = 0  # writes that were sent
        self.sent_ns = array("q")

    def row(self) -> Row:
        """Return what was sent so far, and when."""
        reply = self.reply
        tokens = [write.tokens for write in self.writes]
        facts = (self.number, _request_id(self.head), reply.key, reply.fault, self.received_ns)
        return Row(*facts, reply.ids, tokens, self.sent_ns.tolist())


def encoded(sendings: Sequence[Sending]) -> bytes:
    """Return the rows of these responses as JSON."""
    return msgspec.json.encode([sending.row() for sending in sendings])


def _request_id(head: bytes) -> str:
    at = head.lower().find(b"\r\nx-request-id:")
    return "" if at < 0 else head[at + 15 :].partition(b"\r\n")[0].strip().decode("latin-1")
