"""What happened in a run? One column per fact, one row per sample.

Times are integer nanoseconds since the start of the run (`*_ns`, -1 = never happened). Nothing here
does I/O or reads a clock.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from harness.kernel.types import FINISHES, NEVER, TOGETHER_NS, End, Int32s, Int64s

if TYPE_CHECKING:
    from harness.kernel.answers import Seen


@dataclass(frozen=True, slots=True)
class SampleRecord:
    """One row of a RunLog, for rules and for reading."""

    sample_id: int
    query_id: int
    index: int
    due_ns: int
    issued_ns: int
    first_ns: int
    done_ns: int
    first_token: int
    token_ids: Int32s
    chunk_ns: Int64s  # one stamp per streamed token; tokens of one chunk share it
    reported_tokens: int
    finish: str
    text: str
    error: str


class Anomaly(NamedTuple):
    """Something a SUT must not do, noted when it happened: the recorder never raises in the timed
    window.
    """

    sample_id: int
    kind: str
    detail: str


@dataclass(slots=True)
class RunLog:
    """Everything that happened in a run, one column per fact, one row per sample (row number =
    sample id).

    Token ids and stamps are stored flat; row i owns `[token_start[i], token_start[i + 1])`.
    Streamed and final ids may differ if the SUT misbehaves; `token_ids` are the final ones and an
    Anomaly says so.
    """

    query_id: Int32s
    index: Int32s
    due_ns: Int64s
    issued_ns: Int64s
    first_ns: Int64s
    done_ns: Int64s
    first_token: Int32s  # -1 = none reported
    reported_tokens: Int32s  # what the SUT said; -1 = it left counting to us
    finish: NDArray[np.int8]  # index into FINISHES
    token_start: Int64s  # (n + 1,)
    token_ids: Int32s
    stamp_start: Int64s  # (n + 1,)
    stamp_ns: Int64s
    completion_order: Int32s
    texts: dict[int, str] = field(default_factory=dict)
    errors: dict[int, str] = field(default_factory=dict)
    anomalies: list[Anomaly] = field(default_factory=list)
    end: End = "completed"
    end_reason: str = ""
    timed_out: dict[str, int] = field(default_factory=dict)  # how many samples: silent, stuck, ...
    # of `stamp_ns` and `done_ns`: what the driver itself was late by; None on a virtual clock
    stamp_delay_ns: Int64s | None = None
    done_delay_ns: Int64s | None = None
    # of a server: how a sample failed (a key of `answers.FAILURES`), what else its answer told
    failures: dict[int, str] = field(default_factory=dict)
    seen: dict[int, Seen] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.due_ns)

    @property
    def num_queries(self) -> int:
        return int(self.query_id[-1]) + 1 if len(self) else 0

    @property
    def completed(self) -> NDArray[np.bool_]:
        """(n,) True where the sample came back without an error."""
        return np.asarray((self.done_ns >= 0) & (self.finish != FINISHES.index("error")))

    @property
    def tokens(self) -> Int64s:
        """(n,) tokens per sample as *we* count them; the SUT's own figure where it sent no ids."""
        counted = np.diff(self.token_start)
        if counted.all():
            return counted
        return np.where((counted == 0) & (self.reported_tokens > 0), self.reported_tokens, counted)

    @property
    def tokens_as_reported(self) -> Int64s:
        """(n,) tokens per sample as the *SUT* counts them; our count where it left that to us."""
        counted = np.diff(self.token_start)
        return np.where(self.reported_tokens == NEVER, counted, self.reported_tokens)

    @property
    def token_ns(self) -> Int64s:
        """(tokens,) when each token of the completed samples came, in the order of time; those of
        answers that were not streamed came when these were complete.
        """
        completed, stamps = self.completed, np.diff(self.stamp_start)
        streamed = self.stamp_ns[np.repeat(completed, stamps)]
        missing = np.where(completed, np.maximum(self.tokens - stamps, 0), 0)
        moments = np.concatenate((streamed, np.repeat(self.done_ns, missing)))
        moments.sort(kind="stable")  # quicker than any other for what is nearly in order
        return moments

    @property
    def latency_ns(self) -> Int64s:
        """(n,) done - due. Counts from `due`, not `issued`: a stalled driver would otherwise hide
        the wait.
        """
        return self.done_ns - self.due_ns

    @property
    def ttft_ns(self) -> Int64s:
        """(n,) first - due."""
        return self.first_ns - self.due_ns

    @property
    def issue_lag_ns(self) -> Int64s:
        """(n,) issued - due: how late the driver itself was."""
        return self.issued_ns - self.due_ns

    @property
    def came_whole(self) -> NDArray[np.bool_]:
        """(n,) True where an answer of several tokens came at once, the first one included."""
        several, together = self._of_several()
        return np.asarray(several & together)

    def _of_several(self) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Return where answers have several tokens, and where tokens came at once; (n,) each."""
        tokens = self.tokens
        several = self.completed & (self.first_ns >= 0) & (tokens > 1)
        return several, self.done_ns - self.first_ns <= TOGETHER_NS * (tokens - 1)

    @property
    def has_tpot(self) -> NDArray[np.bool_]:
        """(n,) True where TPOT is defined: completed, a first token, at least two tokens that did
        not all come at once.
        """
        several, together = self._of_several()
        return np.asarray(several & ~together)

    @property
    def tpot_ns(self) -> Int64s:
        """(k,) (latency - ttft) // (tokens - 1) of the samples where it is defined (MLPerf's
        integer division).
        """
        mask = self.has_tpot
        return np.asarray((self.done_ns - self.first_ns)[mask] // (self.tokens[mask] - 1))

    def without_delays(self) -> RunLog | None:
        """Return the log of a driver that is never late: it issues when due and hears at once.

        None where its delays are not known. What a late query did to the others is not undone.
        """
        if self.stamp_delay_ns is None or self.done_delay_ns is None:
            return None
        first_ns, stamps = self.first_ns.copy(), np.flatnonzero(np.diff(self.stamp_start) > 0)
        first_ns[stamps] -= self.stamp_delay_ns[self.stamp_start[stamps]]
        return replace(
            self,
            due_ns=self.issued_ns,
            first_ns=first_ns,
            done_ns=self.done_ns - self.done_delay_ns,
            stamp_ns=self.stamp_ns - self.stamp_delay_ns,
            stamp_delay_ns=None,
            done_delay_ns=None,
        )

    def record(self, sample_id: int) -> SampleRecord:
        i = sample_id
        return SampleRecord(
            sample_id=i,
            query_id=int(self.query_id[i]),
            index=int(self.index[i]),
            due_ns=int(self.due_ns[i]),
            issued_ns=int(self.issued_ns[i]),
            first_ns=int(self.first_ns[i]),
            done_ns=int(self.done_ns[i]),
            first_token=int(self.first_token[i]),
            token_ids=self.token_ids[self.token_start[i] : self.token_start[i + 1]],
            chunk_ns=self.stamp_ns[self.stamp_start[i] : self.stamp_start[i + 1]],
            reported_tokens=int(self.reported_tokens[i]),
            finish=FINISHES[self.finish[i]],
            text=self.texts.get(i, ""),
            error=self.errors.get(i, ""),
        )
