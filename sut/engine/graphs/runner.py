"""Rows of a cache whose decode steps are captured: `SlotRunner`, with `logits_at` replayed.

A step copies its tokens and positions into tensors that stay where they are, and launches the graph
of the smallest bucket that holds it. Rows that fill a bucket up write into a spare row behind all
others: the row behind the running ones may hold a long prompt. What a bucket computes lies in one
matrix of logits, which the next step overwrites.

A bucket that nobody has captured yet is captured at its first step, and counted. One that cannot be
captured is computed eagerly from then on, and a note says why. Shapes: B rows of a step, R rows of
the cache without the spare one, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from harness.kernel.clock import monotonic_ns
from harness.kernel.errors import first_line
from sut.engine.graphs.buckets import Bucket, Buckets, whole_columns
from sut.engine.graphs.capture import Capture
from sut.engine.graphs.facts import Captures
from sut.engine.lean import LeanStep
from sut.engine.prefill.packed import Packed
from sut.engine.slots import SlotRunner
from sut.model import faults

LOAD_SECONDS = 20.0  # for captures before the run; the rest are captured at their first step


class GraphRunner(SlotRunner):
    """Decodes by replaying; all else is a SlotRunner's."""

    def __init__(
        self,
        model: Any,
        max_rows: int,
        max_len: int,
        step: LeanStep | None = None,
        packed: Packed | None = None,
        *,
        capture: Capture,
        now_ns: Callable[[], int] = monotonic_ns,
    ) -> None:
        columns = whole_columns(max_len)
        super().__init__(model, max_rows, columns, step, packed, spare_rows=1)
        self.max_len = max_len
        self.captures = Captures()
        self._capture, self._now_ns = capture, now_ns
        self._buckets = Buckets(max_rows, columns)
        self._replays: dict[Bucket, Callable[[], None]] = {}
        self._ids, self._at, self._into = (
            torch.zeros(max_rows, dtype=torch.long, device=self._device) for _ in range(3)
        )
        self._logits: torch.Tensor | None = None  # (R, V), made by the first step
        self._fill_up(0)

    @property
    def graph_bytes(self) -> int:
        """Return what the graphs take beside weights and cache: their pool, and the logits."""
        logits = 0 if self._logits is None else self._logits.nbytes
        return self._capture.num_bytes + logits

    @torch.inference_mode()
    def prepare(self, seconds: float = LOAD_SECONDS) -> None:
        """Capture the buckets, the largest first, until the time is over. Rows stay as they are."""
        end_ns = self._now_ns() + int(seconds * 1e9)
        if not self.cache.is_made:
            self.prefill_logits(0, [[0]], 0)
        self._fill_up(0)
        for bucket in self._buckets.largest_first():
            if self._now_ns() >= end_ns:
                break
            if bucket not in self._replays:
                self._replays[bucket] = self._captured(bucket)
                self.captures.at_load += 1

    def decode_logits(self, tokens: Sequence[int], positions: Sequence[int]) -> torch.Tensor:
        """Return the logits (B, V) of the next token, a copy."""
        return super().decode_logits(tokens, positions).clone()

    def logits_at(self, ids: torch.Tensor, at: torch.Tensor, length: int) -> torch.Tensor:
        """See `SlotRunner.logits_at`. The next step overwrites what is returned."""
        count = len(ids)
        if count != self._count:
            self._fill_up(count)
        self._ids[:count].copy_(ids)
        self._at[:count].copy_(at)
        bucket = self._buckets.holding(count, length)
        replay = self._replays.get(bucket)
        if replay is None:
            self._replays[bucket] = replay = self._captured(bucket)
            self.captures.later += 1
        replay()
        assert self._logits is not None
        return self._logits[:count]

    def _fill_up(self, count: int) -> None:
        """Let all rows from `count` on write into the spare row, and see their first position."""
        self._count = count
        self._into[:count] = self._rows[:count]
        self._into[count:] = self.max_rows
        self._at[count:] = 0

    def _captured(self, bucket: Bucket) -> Callable[[], None]:
        """Return what computes a bucket's step: its graph, or the step itself."""
        start_ns = self._now_ns()
        step = self._step_of(bucket)
        try:
            self._make_room()
            return self._capture(step)
        except RuntimeError as error:
            if faults.is_out_of_memory(error):
                raise
            self._note(error)
            return step
        finally:
            self.captures.seconds += (self._now_ns() - start_ns) / 1e9

    def _step_of(self, bucket: Bucket) -> Callable[[], None]:
        """Return the step over the first rows of the tensors that stay."""
        rows, length = bucket
        ids, at, into = self._ids[:rows], self._at[:rows], self._into[:rows]

        @torch.inference_mode()
        def step() -> None:
            assert self._logits is not None
            self._logits[:rows].copy_(self._logits_into(into, ids, at, length))

        return step

    def _make_room(self) -> None:
        """Make the matrix of logits; the shape and type of one row of it come from a step."""
        if self._logits is None:
            one = self._logits_into(self._into[:1], self._ids[:1], self._at[:1], self.max_len)
            self._logits = one.new_zeros((self.max_rows, one.shape[-1]))

    def _note(self, error: RuntimeError) -> None:
        note = f"its decode steps are not captured: {type(error).__name__}: {first_line(error)}"
        if note not in self.captures.notes:
            self.captures.notes.append(note)
