"""What happened, and when, as workers of ours say it: a Recorder that takes whole answers with
their stamps. A SUT never sees one of these moments, and plug-ins are never given this recorder.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np

from harness.engine.journal import ANSWERED, Journal, JournalRecorder
from harness.engine.recorder import FINISH_CODE, LONG_GAP, Recorder
from harness.kernel.answers import Answer, Seen
from harness.kernel.log import RunLog
from harness.kernel.protocols import Clock
from harness.kernel.types import NEVER, End

_MOST = 0x7FFF_FFFF
_NOTHING = Seen()
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Answer).decode


class StampedRecorder(Recorder):
    """The clock's own deliveries say nothing here: what is late is late in a worker."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self._arrivals = None
        self.failures: dict[int, str] = {}
        self.seen: dict[int, Seen] = {}

    def answered(self, answer: Answer) -> None:
        """Take an answer, with the moments at which its worker sent and heard it."""
        i = answer.sample_id
        if not self._is_open(i, "an answer"):
            return
        if answer.seen != _NOTHING:
            self.seen[i] = answer.seen
        if answer.failure:
            self.num_failed += 1
            self.failures[i], self.errors[i] = answer.failure, answer.error
        self._done[i] = answer.done_ns
        self._finish[i] = FINISH_CODE["error" if answer.failure else answer.finish]
        self._take_tokens(answer)
        if answer.reported_tokens is not None:
            self._reported[i] = min(answer.reported_tokens, _MOST)
        if answer.text:
            self.texts[i] = answer.text
        self._order.append(i)
        if self._left_in_query:
            self._close_in_query(self._query_id[i], answer.done_ns)
        else:
            self.open_queries -= 1
            self.gate_ns = answer.done_ns

    def _take_tokens(self, answer: Answer) -> None:
        i, stamps = answer.sample_id, answer.stamps_ns
        if answer.first_ns != NEVER:
            self._first[i] = answer.first_ns
        if stamps:
            self._gaps[i] = self._gaps_of(i, stamps)
        ids = answer.token_ids
        if not ids:
            return
        try:
            kept = array("i", ids)
        except OverflowError:
            self._note(i, "bad_token", "a token id does not fit into 32 bits")
            return
        self._ids[i], self._first_token[i] = kept.tobytes(), kept[0]
        self.num_tokens += len(kept)

    def _gaps_of(self, i: int, stamps: Sequence[int]) -> bytes:
        """Return the time since the token before each, of each the first one's since `first_ns`."""
        gaps, last_ns = array("I"), self._first[i]
        for position, stamp_ns in enumerate(stamps):
            gap = max(stamp_ns - last_ns, 0)
            if gap >= LONG_GAP:
                self._long_gaps[i, position] = gap
                gap = LONG_GAP
            gaps.append(gap)
            last_ns = stamp_ns
        return gaps.tobytes()

    def log(self, start_ns: int, end: End, reason: str = "") -> RunLog:
        """Return the columns; answers that came in bulk are complete in the order of their ends."""
        log = super().log(start_ns, end, reason)
        order = log.completion_order
        log.completion_order = order[np.argsort(log.done_ns[order], kind="stable")]
        log.failures = self.failures
        log.seen = {i: _since(seen, start_ns) for i, seen in self.seen.items()}
        return log


def _since(seen: Seen, start_ns: int) -> Seen:
    at_ns = seen.first_content_ns
    return seen if at_ns == NEVER else seen._replace(first_content_ns=at_ns - start_ns)


class StampedJournalRecorder(JournalRecorder, StampedRecorder):
    """The same, with a journal."""

    def __init__(self, clock: Clock, journal: Journal) -> None:
        super().__init__(clock, journal)

    def answered(self, answer: Answer) -> None:
        self._put(ANSWERED, answer.done_ns, _encode(answer))
        super().answered(answer)


def decoded(body: bytes) -> Any:
    """Return the Answer that a journal's record holds. Raises ValueError."""
    try:
        answer = _decode(body)
    except msgspec.MsgspecError as error:
        raise ValueError(str(error)) from None
    if any(isinstance(fact, int) and not -(1 << 63) <= fact < 1 << 63 for fact in answer.seen):
        raise ValueError("a figure of an answer does not fit into 64 bits")
    return answer
