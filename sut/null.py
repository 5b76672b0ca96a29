"""How fast is the driver itself? A SUT that completes every sample at once, with no tokens."""

from __future__ import annotations

from collections.abc import Sequence

from harness.kernel.protocols import Clock, Sink
from harness.kernel.types import MemoryUse, Output, Query, Sample, SutFacts


class Null:
    name = "null"

    def __init__(self, clock: Clock) -> None:
        del clock

    def load(self, samples: Sequence[Sample], sink: Sink) -> None:
        self._complete = sink.complete

    def issue(self, query: Query) -> None:
        for sample in query.samples:
            self._complete(Output(sample.id))

    def flush(self) -> None:
        """Nothing is ever held back."""

    def close(self) -> None:
        """Nothing is held."""

    def memory(self) -> MemoryUse:
        return MemoryUse(weights_bytes=0, source="null")

    def facts(self) -> SutFacts:
        return {"model": "null"}

    def decode(self, outputs: Sequence[Sequence[int]]) -> list[str] | None:
        return None
