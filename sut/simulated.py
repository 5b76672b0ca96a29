"""A SUT made of arithmetic: a queue, `slots` servers, a first-token time and a time per token, all
on the clock.

With a virtual clock its runs are exact and take no time, so schedules, verdicts and reports can be
tested to the nanosecond. It also misbehaves on request (`fault=`), once at sample `fault_at` unless
noted:

    late_first_token    from there on, first tokens come `late_s` later than they should
    lost_sample         sends its tokens, but never completes
    unanswered          is never answered at all
    wrong_first_token   the final output starts with another token than the one it reported first
    two_eos             ends with two end-of-sequence tokens
    wrong_count         reports one token more than it sent
    short_count         from there on, reports one token fewer than it sent
    crash               raises in `issue`, as a dying process would
    stall               nothing at all happens for `stall_s`, beginning when that sample is issued,
                        every `stall_every_s`
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from functools import partial

from harness.kernel.errors import RunBroke, unknown
from harness.kernel.protocols import Clock, Sink
from harness.kernel.types import MemoryUse, Output, Query, Sample, SutFacts

EOS = 2
FAULTS = (
    "late_first_token",
    "lost_sample",
    "unanswered",
    "wrong_first_token",
    "two_eos",
    "wrong_count",
    "short_count",
    "crash",
    "stall",
)


class Simulated:
    """Options are strings or numbers, as the command line gives them; durations in milliseconds or
    seconds by name.
    """

    name = "simulated"

    def __init__(
        self,
        clock: Clock,
        *,
        ttft_ms: float = 50.0,
        per_token_ms: float = 5.0,
        tokens: int = 32,
        slots: int = 16,
        fault: str = "",
        fault_at: int = 6,
        late_s: float = 10.0,
        stall_s: float = 30.0,
        stall_every_s: float = 0.0,
    ) -> None:
        if fault and fault not in FAULTS:
            raise unknown("simulated fault", fault, FAULTS)
        self._clock = clock
        self._ttft_ns, self._per_token_ns = int(ttft_ms * 1e6), int(per_token_ms * 1e6)
        self._tokens, self._slots = max(tokens, 1), max(slots, 1)
        self._fault, self._fault_at = fault, fault_at
        self._late_ns, self._stall_ns, self._stall_every_ns = (
            int(s * 1e9) for s in (late_s, stall_s, stall_every_s)
        )
        self._epoch = 0

    def load(self, samples: Sequence[Sample], sink: Sink) -> None:
        self._sink = sink
        self._samples = {sample.index: sample for sample in samples}
        self._epoch += 1  # timers of an earlier load do nothing any more
        self._waiting: deque[tuple[int, int]] = deque()
        self._busy = 0
        self._stalled_from_ns: int | None = None

    def issue(self, query: Query) -> None:
        for sample in query.samples:
            if sample.id == self._fault_at and self._fault == "crash":
                raise RunBroke("simulated SUT", f"crashed on request at sample {sample.id}")
            if sample.id == self._fault_at and self._fault == "stall":
                self._stalled_from_ns = self._clock.now_ns()
            if sample.id == self._fault_at and self._fault == "unanswered":
                continue
            self._waiting.append((sample.id, sample.index))
        self._admit()

    def _admit(self) -> None:
        while self._waiting and self._busy < self._slots:
            sample_id, index = self._waiting.popleft()
            self._busy += 1
            late_ns = (
                self._late_ns
                if self._fault == "late_first_token" and sample_id >= self._fault_at
                else 0
            )
            ids = self._answer(index)
            self._after(self._ttft_ns + late_ns, partial(self._first, sample_id, ids))

    def _answer(self, index: int) -> list[int]:
        sample = self._samples.get(index)
        n = self._tokens if sample is None else min(self._tokens, sample.max_new_tokens)
        if sample is not None and sample.must_fill:
            n = sample.max_new_tokens
        return [3 + (31 * index + 7 * k) % 997 for k in range(n - 1)] + [EOS]

    def _first(self, sample_id: int, ids: list[int]) -> None:
        self._sink.first_token(sample_id, ids[0])
        self._next(sample_id, ids, 1)

    def _next(self, sample_id: int, ids: list[int], position: int) -> None:
        """Send token `position`; the last one completes the sample."""
        if position < len(ids):
            self._after(self._per_token_ns, partial(self._token, sample_id, ids, position))
            return
        self._busy -= 1
        self._complete(sample_id, ids)
        self._admit()

    def _token(self, sample_id: int, ids: list[int], position: int) -> None:
        self._sink.tokens(sample_id, ids[position : position + 1])
        self._next(sample_id, ids, position + 1)

    def _complete(self, sample_id: int, ids: list[int]) -> None:
        fault = self._fault if sample_id == self._fault_at else ""
        if fault == "lost_sample":
            return
        if fault == "wrong_first_token":
            ids = [ids[0] + 1, *ids[1:]]
        if fault == "two_eos":
            ids = [*ids, EOS]
            self._sink.tokens(sample_id, [EOS])
        short = self._fault == "short_count" and sample_id >= self._fault_at
        count = len(ids) + (fault == "wrong_count") - short
        self._sink.complete(Output(sample_id, "eos", ids, reported_tokens=count))

    def _after(self, delay_ns: int, action: partial[None]) -> None:
        when_ns, epoch = self._when(self._clock.now_ns() + delay_ns), self._epoch

        def run() -> None:
            if epoch == self._epoch:
                action()

        self._clock.call_at(when_ns, run)

    def _when(self, at_ns: int) -> int:
        """Return when an event comes: those that fall into a stall wait for its end."""
        if self._stalled_from_ns is None or at_ns < self._stalled_from_ns:
            return at_ns
        into_ns = at_ns - self._stalled_from_ns
        if self._stall_every_ns:
            into_ns %= self._stall_every_ns
        return at_ns - into_ns + self._stall_ns if into_ns < self._stall_ns else at_ns

    def flush(self) -> None:
        """Nothing is held back for a fuller batch."""

    def close(self) -> None:
        self._epoch += 1

    def memory(self) -> MemoryUse:
        return MemoryUse(weights_bytes=0, kv_cache_bytes=0, source="simulated")

    def facts(self) -> SutFacts:
        return {"model": "simulated", "eos_ids": [EOS]}

    def decode(self, outputs: Sequence[Sequence[int]]) -> list[str] | None:
        return None
