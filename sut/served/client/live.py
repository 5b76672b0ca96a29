"""How does LoadGen hear of a first token while the rest is still on its way? What has come so far
is read again with each read, until a first token is found.
"""

from __future__ import annotations

from collections.abc import Callable

from harness.kernel.answers import Answer, Exchange
from harness.kernel.protocols import Sink
from harness.kernel.types import NEVER, Output
from sut.served.client.frames import Raw
from sut.served.client.http import exchange


class Live:
    """Tells a sink what `read` makes of what comes."""

    def __init__(self, sink: Sink, read: Callable[[Exchange], Answer]) -> None:
        self._sink, self._read = sink, read
        self._parts: dict[int, list[tuple[int, bytes]]] = {}
        self._begun: set[int] = set()

    def part(self, sample_id: int, issued_ns: int, moment_ns: int, data: bytes) -> None:
        """Hear one read."""
        if sample_id in self._begun:
            return
        pieces = self._parts.setdefault(sample_id, [])
        pieces.append((moment_ns, data))
        raw = Raw(sample_id, issued_ns, "closed", moment_ns, "", 0, pieces)
        answer = self._read(exchange(raw))
        if answer.first_ns != NEVER:
            self._begin(answer)

    def _begin(self, answer: Answer) -> None:
        self._begun.add(answer.sample_id)
        self._parts.pop(answer.sample_id, None)
        if answer.token_ids:
            self._sink.first_token(answer.sample_id, answer.token_ids[0])
        else:
            self._sink.text(answer.sample_id)

    def whole(self, answer: Answer) -> None:
        """Hear what became of a sample."""
        i, ids = answer.sample_id, answer.token_ids
        if hasattr(self._sink, "answered"):  # a recorder that believes our moments
            self._sink.answered(answer)
        elif answer.failure:
            self._sink.fail(i, answer.error)
        else:
            if i not in self._begun and answer.first_ns != NEVER:
                self._begin(answer)
            if ids is not None and len(ids) > 1:
                self._sink.tokens(i, ids[1:])
            self._sink.complete(Output(i, answer.finish, ids, answer.text, answer.reported_tokens))
        self._begun.discard(i)
        self._parts.pop(i, None)
