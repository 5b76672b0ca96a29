"""What happened, and when: the Sink that stamps events as they arrive and keeps them small.

A SUT reports events; this object reads the clock. It never raises and never interprets: what a SUT
must not do becomes an `Anomaly`, and the rules judge it after the run.

Kept per sample: 45 bytes of columns, two references and two byte strings (140 bytes together); per
token: 4 bytes of id and 4 bytes of time since the token before it. A gap of 4.29 s or more does not
fit and is kept aside.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from itertools import repeat

import numpy as np

from harness.engine.referee.delays import delays
from harness.kernel.log import Anomaly, RunLog
from harness.kernel.protocols import Clock
from harness.kernel.types import FINISHES, NEVER, End, Int64s, Output, Query

MAX_ANOMALIES = 10_000
FINISH_CODE = {name: code for code, name in enumerate(FINISHES)}
LONG_GAP = 0xFFFF_FFFF


class _Stream:
    """The tokens of one open sample; of a SUT that knows no ids, only when its pieces came."""

    __slots__ = ("gaps_ns", "ids", "last_ns")

    def __init__(self, now_ns: int, *tokens: int) -> None:
        self.ids = array("i", tokens)
        self.gaps_ns = array("I", (0,))
        self.last_ns = now_ns


class Recorder:
    """A `Sink`, plus `issue` (called by the driver) and `log` (once the run is over)."""

    def __init__(self, clock: Clock) -> None:
        self._now = clock.now_ns
        self._arrivals = clock.note_arrivals()
        self._query_id, self._index, self._first_token, self._reported = (
            array("i") for _ in range(4)
        )
        self._due, self._issued, self._first, self._done = (array("q") for _ in range(4))
        self._finish = bytearray()
        self._ids: list[bytes] = []
        self._gaps: list[bytes] = []
        self._capacity = 0
        self._streams: dict[int, _Stream] = {}
        self._long_gaps: dict[tuple[int, int], int] = {}
        self._left_in_query: dict[int, int] = {}  # of queries with more than one sample
        self._order = array("i")
        self._oldest = 0
        self.num_issued = 0
        self.num_failed = 0
        self.num_tokens = 0
        self.open_queries = 0
        self.gate_ns = NEVER  # when a query last became complete
        self.stray_ns = NEVER  # when tokens last came of a sample that has not begun
        self.texts: dict[int, str] = {}
        self.errors: dict[int, str] = {}
        self.anomalies: list[Anomaly] = []
        self.timed_out: dict[str, int] = {}  # how many samples, by kind (`harness.engine.timeouts`)

    # ---- called by the driver

    @property
    def num_done(self) -> int:
        return len(self._order)

    @property
    def open_samples(self) -> int:
        return self.num_issued - len(self._order)

    def ended_since(self, count: int) -> list[tuple[int, int]]:
        """(sample id, moment of its end) of those that ended after the first `count` to do so."""
        return [(i, self._done[i]) for i in self._order[count:]]

    def issue(self, query: Query, due_ns: int, issued_ns: int) -> None:
        """Note a query just before the SUT gets it. Sample ids come dense and ascending."""
        i, samples = self.num_issued, query.samples
        n = len(samples)
        if i + n > self._capacity:
            self._grow(n)
        self.open_queries += 1
        self.num_issued = i + n
        if n == 1:
            self._query_id[i] = query.id
            self._index[i] = samples[0].index
            self._due[i] = due_ns
            self._issued[i] = issued_ns
            return
        self._query_id[i : i + n] = array("i", (query.id,)) * n
        self._index[i : i + n] = array("i", (sample.index for sample in samples))
        self._due[i : i + n] = array("q", (due_ns,)) * n
        self._issued[i : i + n] = array("q", (issued_ns,)) * n
        self._left_in_query[query.id] = n

    def _grow(self, needed: int) -> None:
        """Make room in blocks, so that issuing writes four numbers and nothing else."""
        n = max(needed, 4096, self._capacity // 16)
        for column in (self._query_id, self._index, self._first_token, self._reported):
            column.extend(array("i", (NEVER,)) * n)
        for times in (self._due, self._issued, self._first, self._done):
            times.extend(array("q", (NEVER,)) * n)
        self._finish.extend(bytes(n))
        self._ids.extend(repeat(b"", n))
        self._gaps.extend(repeat(b"", n))
        self._capacity += n

    def times_from(self, begin: int, whole: bool) -> tuple[Int64s, Int64s]:
        """Return when the samples from `begin` on were due, and when each had its first token (or,
        `whole`, its answer), -1 for one that still waits; copies, (n - begin,) each.
        """
        left = self._done if whole else self._first
        n = self.num_issued
        return np.array(self._due[begin:n], np.int64), np.array(left[begin:n], np.int64)

    def begun(self) -> list[tuple[int, int]]:
        """(sample id, moment of its latest token) of the open samples whose first token came."""
        return [(i, stream.last_ns) for i, stream in self._streams.items()]

    def waiting(self) -> Iterator[tuple[int, int]]:
        """(sample id, moment of its issue) of the open samples that have not begun, the
        oldest first.
        """
        done, first, issued = self._done, self._first, self._issued
        i, n = self._oldest, self.num_issued
        while i < n and done[i] != NEVER:
            i += 1
        self._oldest = i
        for k in range(i, n):
            if done[k] == NEVER and first[k] == NEVER:
                yield k, issued[k]

    def newest_begun_ns(self, from_ns: int) -> int:
        """Return when the newest sample that has begun, or is done, was issued; NEVER if that was
        before `from_ns`.
        """
        for i in range(self.num_issued - 1, -1, -1):
            if self._issued[i] < from_ns:
                break
            if self._first[i] != NEVER or self._done[i] != NEVER:
                return self._issued[i]
        return NEVER

    @property
    def last_done_ns(self) -> int:
        """When a sample was last completed, failed or given up."""
        return self._done[self._order[-1]] if self._order else NEVER

    def give_up(self, reason: str) -> None:
        """Fail every open sample."""
        for i in range(self._oldest, self.num_issued):
            if self._done[i] == NEVER:
                self.fail(i, reason)

    # ---- the Sink

    def first_token(self, sample_id: int, token: int) -> None:
        now = self._now()
        if not self._is_open(sample_id, "first_token"):
            return
        if self._first[sample_id] != NEVER:
            self._note(
                sample_id, "first_token_twice", f"token {token} came as a second first token"
            )
            return
        try:
            self._first_token[sample_id] = token
        except OverflowError:
            self._note(sample_id, "bad_token", f"first token {token} does not fit into 32 bits")
            return
        self._first[sample_id] = now
        self.num_tokens += 1
        self._streams[sample_id] = _Stream(now, token)

    def tokens(self, sample_id: int, ids: Sequence[int]) -> None:
        now = self._now()
        stream = self._streams.get(sample_id)
        if stream is None:
            if self._is_open(sample_id, "tokens"):
                self.stray_ns = now
                self._note(
                    sample_id,
                    "tokens_before_first",
                    f"{len(ids)} token(s) came before a first token",
                )
            return
        if not ids:  # nothing became visible: the time since the last token goes on
            return
        n = len(stream.ids)
        try:
            if len(ids) == 1:
                stream.ids.append(ids[0])
            else:
                stream.ids.extend(array("i", ids))  # all of them or, if one does not fit, none
        except OverflowError:
            self._note(
                sample_id, "bad_token", f"position {n}: a token id does not fit into 32 bits"
            )
            return
        gap = now - stream.last_ns
        if gap >= LONG_GAP:
            self._long_gaps[sample_id, n] = gap
            gap = LONG_GAP
        stream.last_ns = now
        stream.gaps_ns.append(gap)
        self.num_tokens += len(ids)
        if len(ids) > 1:
            stream.gaps_ns.extend(repeat(0, len(ids) - 1))

    def text(self, sample_id: int) -> None:
        now = self._now()
        stream = self._streams.get(sample_id)
        if stream is not None:
            gap = now - stream.last_ns
            if gap >= LONG_GAP:
                self._long_gaps[sample_id, len(stream.gaps_ns)] = gap
                gap = LONG_GAP
            stream.last_ns = now
            stream.gaps_ns.append(gap)
        elif self._is_open(sample_id, "text"):
            self._first[sample_id] = now
            self._streams[sample_id] = _Stream(now)

    def complete(self, output: Output) -> None:
        now = self._now()
        i = output.sample_id
        if not (0 <= i < self.num_issued and self._done[i] == NEVER):
            self._stray(i, "complete")
            return
        self._done[i] = now
        try:
            self._finish[i] = FINISH_CODE[output.finish]
        except KeyError:
            self._note(
                i, "unknown_finish", f"finish {output.finish!r}; known: {', '.join(FINISHES[1:])}"
            )
        if output.finish == "error":
            self.num_failed += 1
        if output.reported_tokens is not None:
            try:
                self._reported[i] = output.reported_tokens
            except OverflowError:
                self._note(
                    i,
                    "bad_count",
                    f"{output.reported_tokens} reported tokens do not fit into 32 bits",
                )
        if output.text:
            self.texts[i] = output.text
        if output.token_ids or (self._streams and i in self._streams):
            self._keep_tokens(i, self._streams.pop(i, None), output.token_ids)
        self._order.append(i)
        if self._left_in_query:
            self._close_in_query(self._query_id[i], now)
        else:
            self.open_queries -= 1
            self.gate_ns = now

    def fail(self, sample_id: int, reason: str) -> None:
        now = self._now()
        if not self._is_open(sample_id, "fail"):
            return
        self.errors[sample_id] = reason
        self.complete(Output(sample_id, "error"))
        self._done[sample_id] = now

    # ---- helpers

    def _is_open(self, sample_id: int, event: str) -> bool:
        if 0 <= sample_id < self.num_issued and self._done[sample_id] == NEVER:
            return True
        self._stray(sample_id, event)
        return False

    def _stray(self, sample_id: int, event: str) -> None:
        if not 0 <= sample_id < self.num_issued:
            self._note(sample_id, "unknown_sample", f"{event} for a sample that was never issued")
        elif sample_id in self.errors:
            self._note(
                sample_id, "after_failure", f"{event} came after the sample had been given up"
            )
        else:
            self._note(sample_id, "after_completion", f"{event} came after the sample was complete")

    def _note(self, sample_id: int, kind: str, detail: str) -> None:
        if len(self.anomalies) < MAX_ANOMALIES:
            self.anomalies.append(Anomaly(sample_id, kind, detail))

    def _keep_tokens(self, i: int, stream: _Stream | None, final: Sequence[int] | None) -> None:
        streamed = stream.ids if stream is not None else array("i")
        try:
            ids = streamed if final is None else array("i", final)
        except OverflowError:
            self._note(
                i, "bad_token", "a final token id does not fit into 32 bits; kept what was streamed"
            )
            ids = streamed
        if stream is not None:
            self._gaps[i] = stream.gaps_ns.tobytes()
            if streamed and ids != streamed:
                at = next(
                    (k for k, (a, b) in enumerate(zip(ids, streamed, strict=False)) if a != b), None
                )
                where = min(len(ids), len(streamed)) if at is None else at
                self._note(
                    i,
                    "stream_differs",
                    f"position {where}: streamed {_at(streamed, where)}, final {_at(ids, where)} "
                    f"({len(streamed)} streamed, {len(ids)} final)",
                )
        self._ids[i] = ids.tobytes()

    def _close_in_query(self, query_id: int, now_ns: int) -> None:
        left = self._left_in_query.pop(query_id, 1) - 1
        if left:
            self._left_in_query[query_id] = left
        else:
            self.open_queries -= 1
            self.gate_ns = now_ns

    # ---- after the run

    def log(self, start_ns: int, end: End, reason: str = "") -> RunLog:
        """Return the columns as numpy arrays, times counted from `start_ns`."""
        for i, stream in self._streams.items():  # still open: interrupted or died
            self._ids[i], self._gaps[i] = stream.ids.tobytes(), stream.gaps_ns.tobytes()
        n = self.num_issued
        ids, gaps = self._ids[:n], self._gaps[:n]
        first_ns, stamp_start = _since(self._first[:n], start_ns), _starts(gaps)
        log = RunLog(
            query_id=np.array(self._query_id[:n], np.int32),
            index=np.array(self._index[:n], np.int32),
            due_ns=_since(self._due[:n], start_ns),
            issued_ns=_since(self._issued[:n], start_ns),
            first_ns=first_ns,
            done_ns=_since(self._done[:n], start_ns),
            first_token=np.array(self._first_token[:n], np.int32),
            reported_tokens=np.array(self._reported[:n], np.int32),
            finish=np.frombuffer(bytes(self._finish[:n]), np.int8),
            token_start=_starts(ids),
            token_ids=np.frombuffer(b"".join(ids), np.int32),
            stamp_start=stamp_start,
            stamp_ns=self._stamps(gaps, first_ns, stamp_start),
            completion_order=np.array(self._order, np.int32),
            texts=self.texts,
            errors=self.errors,
            anomalies=self.anomalies,
            timed_out=self.timed_out,
            end=end,
            end_reason=reason,
        )
        if self._arrivals is not None:
            log.stamp_delay_ns, log.done_delay_ns = delays(log, self._arrivals, start_ns)
        return log

    def _stamps(self, chunks: list[bytes], first_ns: Int64s, start: Int64s) -> Int64s:
        """Turn gaps back into moments: each sample's running sum, begun at its first token. (t,)
        int64.
        """
        gaps = np.frombuffer(b"".join(chunks), np.uint32).astype(np.int64)
        for (i, position), gap in self._long_gaps.items():
            gaps[start[i] + position] = gap
        running = np.cumsum(gaps)
        lengths = np.diff(start)
        base = np.zeros(len(lengths), np.int64)
        base[lengths > 0] = running[start[:-1][lengths > 0]]
        return running + np.repeat(first_ns - base, lengths)


def _since(column: array[int], start_ns: int) -> Int64s:
    values = np.array(column, np.int64)
    return np.where(values == NEVER, NEVER, values - start_ns)


def _starts(chunks: list[bytes]) -> Int64s:
    """Return where each sample's 4-byte items begin in the flat array: (n + 1,) int64."""
    lengths = np.fromiter(map(len, chunks), np.int64, len(chunks)) // 4
    return np.concatenate(([0], np.cumsum(lengths)))


def _at(ids: array[int], position: int) -> str:
    return str(ids[position]) if position < len(ids) else "nothing"
