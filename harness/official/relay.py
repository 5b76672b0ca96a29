"""What does the official LoadGen hear of the SUT? First tokens and completions."""

from __future__ import annotations

import scenarios
from harness.engine.dispatched.recorder import StampedRecorder
from harness.engine.recorder import Recorder
from harness.kernel.answers import Answer
from harness.kernel.protocols import Clock
from harness.kernel.types import NEVER, Output, RunSettings
from harness.official.child import EVENT, FIRST


class Relay(Recorder):
    """A Recorder whose events LoadGen hears too. Bytes for it gather in `outbox`; `drive` sends
    them.
    """

    def __init__(self, clock: Clock, settings: RunSettings) -> None:
        super().__init__(clock)
        self.outbox = bytearray()
        self._tells_first = (
            settings.use_tokens and not scenarios.entry(settings.scenario).is_at_once
        )
        self._told: set[int] = set()  # open samples whose first token LoadGen has
        self._made_up = self._empty = 0

    def first_token(self, sample_id: int, token: int) -> None:
        super().first_token(sample_id, token)
        self._tell_first(sample_id)

    def text(self, sample_id: int) -> None:
        super().text(sample_id)
        self._tell_first(sample_id)

    def _tell_first(self, sample_id: int) -> None:
        if self._tells_first and sample_id in self._streams and sample_id not in self._told:
            self._tell(sample_id, FIRST, self._streams[sample_id].ids[:1].tobytes())

    def complete(self, output: Output) -> None:
        done = self.num_done
        super().complete(output)
        if self.num_done == done:  # for the second time, or never issued: noted as an anomaly
            return
        self._tell_end(output.sample_id, output.finish == "error")

    def _tell_end(self, i: int, failed: bool) -> None:
        data = b"" if failed else self._ids[i]
        if self._tells_first and i not in self._told:
            self._made_up += not failed
            self._tell(i, FIRST, data[:4])
        said = self._reported[i]
        self._empty += failed
        self._tell(i, 0 if failed else said if said != NEVER else len(data) // 4, data)
        self._told.discard(i)

    def _tell(self, sample_id: int, tokens: int, data: bytes) -> None:
        if tokens == FIRST:
            self._told.add(sample_id)
        self.outbox += EVENT.pack(sample_id, tokens, len(data)) + data

    def repairs(self) -> list[str]:
        """Say in words for the report what LoadGen was told otherwise than it happened."""
        no_first = "reported no first token; LoadGen, which cannot do without, was given one "
        no_answer = "failed or were given up; LoadGen, which would wait for ever, was given "
        notes = {
            no_first + "at their completion": self._made_up,
            no_answer + "an empty answer": self._empty,
        }
        return [f"{count} sample(s) {what}" for what, count in notes.items() if count]


class StampedRelay(Relay, StampedRecorder):
    """The same for workers of ours. LoadGen hears of a first token and of an end as they come; what
    is recorded are the workers' own moments.
    """

    def answered(self, answer: Answer) -> None:
        i, done = answer.sample_id, self.num_done
        stream = self._streams.pop(i, None)  # what was told live
        if stream is not None:
            self.num_tokens -= len(stream.ids)
        super().answered(answer)
        if self.num_done > done:
            self._tell_end(i, bool(answer.failure))
