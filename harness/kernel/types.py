"""The nouns: what moves between the packages, on one screen.

Times are integer nanoseconds since the start of the run (`*_ns`, -1 = never happened), sizes are
`*_bytes`. Everything here is a value: nothing does I/O, nothing reads a clock.

`Query`, `QuerySample`, `At` and `Output` are made once per query inside the timed window. They are
slotted but not `frozen`, because a frozen dataclass costs 288 ns to build and a plain one 85 ns
(CPython 3.11): treat them as frozen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from harness.kernel.answers import Seen

Int64s = NDArray[np.int64]
Int32s = NDArray[np.int32]
Finish = Literal["eos", "length", "stop", "error"]
Status = Literal["PASS", "FAIL", "UNDECIDED", "SKIPPED"]
End = Literal["completed", "interrupted", "error"]

# The code in a RunLog column is the index.
FINISHES: tuple[str, ...] = ("", "eos", "length", "stop", "error")
NEVER = -1
TOGETHER_NS = 50_000  # tokens this close came together: apart, it would be 20,000 tokens/s


@dataclass(frozen=True, slots=True)
class Sample:
    """One question of the dataset (QSL). `prompt_ids` and `reference` may be unknown."""

    index: int
    prompt: str
    prompt_ids: tuple[int, ...] | None = None
    reference: str | None = None
    max_new_tokens: int = 64
    labels: tuple[tuple[str, str], ...] = ()  # e.g. (("kind", "why"), ("subject", "physics"))
    grader: str = ""  # which of MLPerf's scores it counts for, where a dataset mixes several kinds


@dataclass(slots=True)
class QuerySample:
    """One use of a sample: `id` is dense from 0 over the run, `index` points into the dataset."""

    id: int
    index: int


@dataclass(slots=True)
class At:
    """Release at a moment, whatever else is open (server, offline)."""

    offset_ns: int


@dataclass(frozen=True, slots=True)
class AfterInFlight:
    """Release when fewer than `below` queries are open (single-stream, multi-stream; sets of an
    accuracy run). `offset_ns` is the moment this stands for: those of later `At`s count from it.
    """

    below: int
    offset_ns: int | None = None


@dataclass(slots=True)
class Query:
    """Samples that are issued together, and when."""

    id: int
    samples: Sequence[QuerySample]
    release: At | AfterInFlight


@dataclass(slots=True)
class Output:
    """What the SUT says it produced for one sample.

    `token_ids` None means "exactly what was streamed". `reported_tokens` None means "count them".
    """

    sample_id: int
    finish: Finish = "eos"
    token_ids: Sequence[int] | None = None
    text: str = ""
    reported_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Seeds:
    """MLPerf's three seeds: which samples are loaded, in what order they are issued, and when."""

    qsl: int
    sample_index: int
    schedule: int


@dataclass(frozen=True, slots=True)
class RunSettings:
    """What a scenario needs to plan and to judge a run. Built from user input by
    `harness.options.settings`.
    """

    scenario: str
    mode: Literal["performance", "accuracy"]
    seeds: Seeds
    num_samples: int  # size of the library (QSL)
    performance_samples: int  # how many of them a performance run loads
    target_qps: float  # server: arrival rate; elsewhere: expected rate
    samples_per_query: int  # multi-stream only; 1 in single-stream and server, derived in offline
    min_queries: int
    min_duration_ns: int
    max_queries: int | None
    max_duration_ns: int | None
    percentile: float  # the tail that is judged, 0 < p < 1
    ttft_limit_ns: int
    tpot_limit_ns: int
    use_tokens: bool  # judge TTFT and TPOT (server) and count tokens
    max_new_tokens: int
    sample_timeout_ns: int
    drain_timeout_ns: int  # after Ctrl-C
    lag_limit_ns: int  # p99 issue lag above this: the driver fell behind
    equal_issue: bool  # sample_concatenate_permutation: every sample is issued equally often
    official_min_duration_ns: int = 600_000_000_000
    accuracy_samples: int | None = None  # accuracy_sample_count_override; None = all
    issue: Literal["random", "unique", "same"] = (
        "random"  # performance_issue_unique, performance_issue_same
    )
    same_index: int = 0  # position in the loaded set
    target_latency_ns: int = 0  # server without tokens: the limit of the whole latency
    inferred_tokens_per_sample: int | None = (
        None  # infer_token_latencies and its token_latency_scaling_factor
    )
    accuracy_log_probability: float = (
        0.0  # performance mode: the share of answers that mlperf_log_accuracy.json gets
    )
    accuracy_log_target: int = 0  # or about so many of them (accuracy_log_sampling_target)
    accuracy_log_seed: int = 0


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
        return np.where((counted == 0) & (self.reported_tokens > 0), self.reported_tokens, counted)

    @property
    def tokens_as_reported(self) -> Int64s:
        """(n,) tokens per sample as the *SUT* counts them; our count where it left that to us."""
        counted = np.diff(self.token_start)
        return np.where(self.reported_tokens == NEVER, counted, self.reported_tokens)

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
        several = self.completed & (self.first_ns >= 0) & (self.tokens > 1)
        together = self.done_ns - self.first_ns <= TOGETHER_NS * (self.tokens - 1)
        return np.asarray(several & together)

    @property
    def has_tpot(self) -> NDArray[np.bool_]:
        """(n,) True where TPOT is defined: completed, a first token, at least two tokens that did
        not all come at once.
        """
        several = self.completed & (self.first_ns >= 0) & (self.tokens > 1)
        return np.asarray(several & ~self.came_whole)

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


@dataclass(frozen=True, slots=True)
class Metric:
    """One figure with its unit and the number of observations behind it."""

    name: str
    value: float | None  # None = undefined (never 0 for "unknown")
    unit: str
    n: int
    why: str = ""  # there is no value, or what to know of it; a note of the run

    def figure(self) -> dict[str, Any]:
        """Return the figure as result.json has it; `why` is a note of the run."""
        return {"name": self.name, "value": self.value, "unit": self.unit, "n": self.n}


@dataclass(frozen=True, slots=True)
class Verdict:
    """One condition: what was measured, what was allowed, who is to blame, which knob to turn.

    `margin` is the room left as a share of the limit (negative: missed by). Where samples over a
    limit are counted, `over` were seen, `allowed` would pass (None: too few queries even for none),
    `more_queries` under the limit would decide it. `error` says why the rule itself broke: nothing
    was judged then, the status is UNDECIDED and the run is not VALID.
    """

    rule: str
    status: Status
    measured: float | None = None
    limit: float | None = None
    unit: str = ""
    detail: str = ""
    evidence: tuple[int, ...] = ()  # sample ids, worst first
    remedy: str = ""
    loadgen: bool = False  # True if LoadGen's own verdict rests on this condition too
    margin: float | None = None
    over: int | None = None
    allowed: int | None = None
    more_queries: int | None = None
    error: str = ""


@dataclass(frozen=True, slots=True)
class MemoryUse:
    """What a SUT weighs, in bytes; None = not known here. `source` says how it was read.

    `peak_bytes`, `rss_peak_bytes` and `gpu_peak_bytes` cover loading and serving, no evaluation.
    """

    weights_bytes: int | None = None
    kv_cache_bytes: int | None = None
    peak_bytes: int | None = None
    rss_peak_bytes: int | None = None
    gpu_peak_bytes: int | None = None
    source: str = ""
    kv_used_bytes: int | None = None  # of the KV cache, at most at once
    gpu_reserved_bytes: int | None = None  # by torch's allocator, at most, loading and serving
    gpu_process_bytes: int | None = None  # booked on the process (NVML), after the run
    loading_peak_bytes: int | None = None  # of each phase: of the GPUs, else of the whole process
    serving_peak_bytes: int | None = None  # warm-up and run
    evaluation_peak_bytes: int | None = None
    graph_bytes: int | None = None  # of captured graphs: their pool and what they write


def short_name(model: str) -> str:
    """Return a hub id or a path without its owner or folder; of a server's address its host, and
    the model there if one is named.
    """
    if is_address(model):
        url, _, name = model.partition("#")
        host = url.partition("://")[2].partition("/")[0]
        return f"{short_name(name)} at {host}" if name else host
    return model.rstrip("/").rsplit("/", 1)[-1]


def is_address(model: str) -> bool:
    """Tell whether a model is one that a server offers: http://host:8000/v1 or, of several there,
    http://host:8000/v1#NAME.
    """
    return model.startswith(("http://", "https://"))


# Free facts a SUT tells of itself: model, dtype, eos_ids, parameters, notes.
SutFacts = dict[str, Any]
