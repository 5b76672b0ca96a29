"""The nouns: what moves between the packages, on one screen.

Times are integer nanoseconds since the start of the run (`*_ns`, -1 = never happened), sizes are
`*_bytes`. Everything here is a value: nothing does I/O, nothing reads a clock.

`Query`, `QuerySample`, `At` and `Output` are made once per query inside the timed window. They are
slotted but not `frozen`, because a frozen dataclass costs 288 ns to build and a plain one 85 ns
(CPython 3.11): treat them as frozen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

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
class Draw:
    """How the tokens of an answer are drawn, where it is not the greedy one."""

    temperature: float
    top_p: float
    seed: int  # of this answer alone
    attempt: int = 0  # at the same question, which the samples before it ask


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
    history: tuple[tuple[str, str], ...] = ()  # (role, text) of the turns before the prompt
    # The prompt as (text, tokens): of each text so many tokens, where somebody has a tokenizer; no
    # chat template is put around it.
    pieces: tuple[tuple[str, int], ...] = ()
    must_fill: bool = False  # the answer is to have `max_new_tokens`, where the SUT can do that
    group: int | None = None  # its prompt begins like those of the same group, on purpose
    is_plain: bool = False  # the prompt is continued: no chat template is put around it
    stop: tuple[str, ...] = ()  # texts that end the answer, which stands before the first of them
    choices: tuple[str, ...] = ()  # continuations whose likelihoods are asked for after the run
    draw: Draw | None = None  # None: the most likely token each time

    @property
    def is_first(self) -> bool:
        """Is it no further attempt at the question of the sample before it?"""
        return self.draw is None or self.draw.attempt == 0

    facts: tuple[tuple[str, str], ...] = ()  # what only a scorer is told, such as a program's test


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


@dataclass(frozen=True, slots=True)
class AfterQuery:
    """Release `think_ns` after the query with this id in the plan has ended (the next turn of a
    conversation). Queries of a plan that has any are numbered anew, in the order of their issue.
    """

    query_id: int
    think_ns: int


Release = At | AfterInFlight | AfterQuery


@dataclass(slots=True)
class Query:
    """Samples that are issued together, and when."""

    id: int
    samples: Sequence[QuerySample]
    release: Release


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
    own_limits: bool = False  # samples have limits of their own; `max_new_tokens` is the highest
    load: str = "poisson"  # server: when queries come, as --load has it (`scenarios.loads`)


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
