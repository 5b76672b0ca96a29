"""What would LoadGen say of this run? Its numbers and its verdict, from our event times, to the
last digit.

Percentile p is `v[int(n * p)]` of the sorted values, means are integer divisions, rates count the
*last issued* query (not the last to complete), and the verdict is VALID if duration, counts, limits
(server) and early stopping all hold (results.cc, 6.0.17). In token mode early stopping looks at
TPOT first and at TTFT only if TPOT passed, as LoadGen joins them with `&&`.

Where LoadGen would crash, hang or record nonsense we deviate:
    one token, or none     TPOT is undefined and skipped (LoadGen divides by -1 and prints 9e17); n
                           is what remains. One token counts as one (LoadGen: 0) and is a warning;
                           none is an error, as there.
    no first token         TTFT and TPOT are undefined and skipped, with an error (LoadGen:
                           SIGSEGV). If no sample has the figure, its limit is not met.
    failed or lost sample  left out of every figure; an error each, and the run is not valid
                           (LoadGen waits for ever)
    interrupted, broken    never valid; the figures are those of what completed
    0/0 and 1/0            None (LoadGen prints -nan or inf, which is no JSON)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from harness.stats import PERCENTILES
from harness.types import Int64s, RunLog, RunSettings
from scenarios.early_stopping import estimate_rank, queries_needed
from scenarios.loadgen_settings import Effective, Value, effective
from scenarios.multi_stream import query_latency_ns

_STREAM_PERCENTILE = 0.99  # SingleStream's second estimate, from which multi-stream may be inferred
_NATURAL = "Ending naturally: Minimum query count and test duration met."
_RAN_OUT = (
    "Ending early: Ran out of generated queries to issue before the minimum query count and test"
    " duration were reached. Please update the relevant expected latency or target qps in the"
    " TestSettings so they are more accurate."
)
_EXITED_EARLY = "The test exited early, before enough queries were issued."
_LONGER = {
    "Server": "Increase the target QPS so the loadgen pre-generates more queries.",
    "Offline": "Increase expected QPS so the loadgen pre-generates a larger (coalesced) query.",
}
_LONGER_STREAM = "Decrease the expected latency so the loadgen pre-generates more queries."


@dataclass(frozen=True, slots=True)
class LoadgenResults:
    """`lines` are LoadGen's own keys and values, in its order; the other fields are what its logs
    show beside them.
    """

    valid: bool
    lines: Mapping[str, Value] = field(
        default_factory=dict
    )  # empty in accuracy mode: LoadGen judges none
    recommendations: tuple[str, ...] = ()
    early_stopping: Mapping[str, str] = field(
        default_factory=dict
    )  # text by figure: "", or "TTFT " and "TPOT "
    percentile: float = 0.0  # the judged tail
    tail_ns: int | None = None  # its latency; of queries in multi-stream
    first_token_tail_ns: int | None = None
    tokens_per_s_alone: float | None = None  # single-stream: without the time between queries
    ending: str = ""  # LoadGen's message if issuing ended naturally
    errors: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def results(log: RunLog, settings: RunSettings) -> LoadgenResults:
    """Every number, the conditions, their texts and the verdict."""
    ending, errors = _ending(log, settings)
    errors = (*_sample_errors(log, settings), *errors)
    warnings = _warnings(log, settings)
    missing = _missing(log)
    if settings.mode == "accuracy":
        return LoadgenResults(not missing, errors=errors, warnings=warnings)
    f = _figures(log, settings)
    early = _early_stopping(f)
    verdict = _judge(f, early, missing)
    judged = f.query if f.e.scenario == "MultiStream" else f.latency
    return LoadgenResults(
        valid=verdict.valid,
        lines=_verdict_lines(verdict, early)
        | _count_lines(f)
        | _rate_lines(f, early)
        | _latency_lines(f)
        | _token_lines(f),
        recommendations=verdict.recommendations,
        early_stopping=early.texts,
        percentile=f.e.target_latency_percentile,
        tail_ns=_at(judged, f.e.target_latency_percentile),
        first_token_tail_ns=_at(f.ttft, f.e.target_latency_percentile),
        tokens_per_s_alone=_per(f.tokens, (_mean(f.latency) or 0) / 1e9 * len(f.latency)),
        ending=ending,
        errors=errors,
        warnings=warnings,
    )


# ---- the figures


@dataclass(frozen=True, slots=True)
class _Figures:
    """What the formulas need. Arrays are sorted; seconds count from the start; "last" is the query
    issued last.
    """

    settings: RunSettings
    e: Effective
    queries: int
    latency: Int64s  # of completed samples
    query: Int64s  # of queries whose samples all completed
    ttft: Int64s
    tpot: Int64s
    tokens: int
    last_issued_s: float
    last_due_s: float
    last_done_s: float
    max_latency_s: float


def _figures(log: RunLog, settings: RunSettings) -> _Figures:
    ok = log.completed
    latency = np.sort(log.latency_ns[ok])
    n = len(log)
    last = slice(int(np.searchsorted(log.query_id, log.query_id[-1])) if n else 0, n)
    return _Figures(
        settings=settings,
        e=effective(settings),
        queries=log.num_queries,
        latency=latency,
        query=np.sort(query_latency_ns(log)) if settings.scenario == "multi-stream" else latency,
        ttft=np.sort(log.ttft_ns[ok & (log.first_ns >= 0)]),
        tpot=np.sort(log.tpot_ns),
        tokens=int(log.tokens[ok].sum()),
        last_issued_s=int(log.issued_ns[-1]) / 1e9 if n else 0.0,
        last_due_s=int(log.due_ns[-1]) / 1e9 if n else 0.0,
        last_done_s=int(log.done_ns[last].max(initial=0)) / 1e9,
        max_latency_s=int(latency[-1]) / 1e9 if len(latency) else 0.0,
    )


def _at(values: Int64s, p: float) -> int | None:
    return int(values[int(len(values) * p)]) if len(values) else None


def _mean(values: Int64s) -> int | None:
    """Integer division, in 64 unsigned bits."""
    return int(values.astype(np.uint64).sum()) // len(values) if len(values) else None


def _per(amount: float, divisor: float) -> float | None:
    return amount / divisor if divisor else None


# ---- early stopping


@dataclass(frozen=True, slots=True)
class _Early:
    met: bool
    texts: dict[str, str]
    ss_ns: int = 0  # early_stopping_latency_ss
    ms_ns: int = 0


def _early_stopping(f: _Figures) -> _Early:
    """Of latency; or of TPOT and then, only if that passed, of TTFT. The last estimate wins."""
    limits = f.settings
    if not f.settings.use_tokens:
        met, text, ss_ns, ms_ns = _early_of(f, f.latency, f.e.target_latency_ns)
        return _Early(met, {"": text}, ss_ns, ms_ns)
    met, tpot, ss_ns, ms_ns = _early_of(f, f.tpot, limits.tpot_limit_ns)
    if not met:
        return _Early(False, {"TTFT ": "", "TPOT ": tpot})
    met, ttft, ss_later, ms_later = _early_of(f, f.ttft, limits.ttft_limit_ns)
    return _Early(met, {"TTFT ": ttft, "TPOT ": tpot}, ss_later or ss_ns, ms_later or ms_ns)


def _early_of(f: _Figures, values: Int64s, limit_ns: int) -> tuple[bool, str, int, int]:
    """(met, text, estimate for single-stream, estimate for multi-stream); an estimate is 0 if there
    is none.
    """
    p = f.e.target_latency_percentile
    if f.e.scenario == "Offline":
        return True, "", 0, 0
    if f.e.scenario == "Server":
        return *_enough(values, limit_ns, p), 0, 0
    if f.e.scenario == "MultiStream":
        estimate_ns, text = _estimate(f.query, p)
        return estimate_ns is not None, text, 0, estimate_ns or 0
    estimate_ns, text = _estimate(values, p)
    if estimate_ns is None:
        return False, text, 0, 0
    stream_ns, more = _stream_estimate(values)
    return True, text + more, estimate_ns, stream_ns


def _enough(values: Int64s, limit_ns: int, p: float) -> tuple[bool, str]:
    n, over = len(values), int((values > limit_ns).sum())
    more = queries_needed(over, p) - n
    if more <= 0:
        return True, " * Run successful."
    return (
        False,
        (
            f" * Run unsuccessful.\n * Processed {n} queries.\n * Would need to run at least {more}"
            " more queries,\n with the run being successful if every additional\n query were under"
            " latency."
        ),
    )


def _estimate(values: Int64s, p: float) -> tuple[int | None, str]:
    """The value that bounds percentile p with confidence, if there are enough."""
    n, floor, rank = len(values), queries_needed(1, p), estimate_rank(len(values), p)
    if rank is None:
        return (
            None,
            (
                f" * Only processed {n} queries.\n * Need to process at least {floor} queries for"
                " early stopping."
            ),
        )
    return (
        int(values[rank]),
        (
            f" * Processed at least {floor} queries ({n}).\n * Would discard {n - rank - 1} highest"
            f" latency queries.\n * Early stopping {100 * p:.1f}th percentile estimate:"
            f" {values[rank]}"
        ),
    )


def _stream_estimate(values: Int64s) -> tuple[int, str]:
    p = _STREAM_PERCENTILE
    estimate_ns, _ = _estimate(values, p)
    if estimate_ns is not None:
        return (
            estimate_ns,
            f"\n * Early stopping {100 * p:.1f}th percentile estimate: {estimate_ns}",
        )
    return (
        0,
        (
            f"\n * Not enough queries processed for {100 * p:.1f}th percentile\n early stopping"
            f" estimate (would need to process at\n least {queries_needed(1, p)} total queries)."
        ),
    )


# ---- the verdict


@dataclass(frozen=True, slots=True)
class _Judgement:
    valid: bool
    met: dict[str, bool]
    recommendations: tuple[str, ...]
    reason: str


def _judge(f: _Figures, early: _Early, missing: str) -> _Judgement:
    slow = _over_limits(f)
    long_enough = _reached_s(f) >= f.settings.min_duration_ns / 1e9
    counted = f.queries >= f.e.min_query_count and len(f.latency) >= f.e.min_sample_count
    met = {} if f.e.scenario != "Server" else {"result_perf_constraints_met": not slow}
    met |= {
        "result_min_duration_met": long_enough,
        "result_min_queries_met": counted,
        "early_stopping_met": early.met,
    }
    too_short = "" if long_enough else _LONGER.get(f.e.scenario, _LONGER_STREAM)
    advice, reason = (
        [*slow, too_short],
        "  * ".join(slow) + " " * bool(slow) + too_short + " " * bool(too_short),
    )
    if not counted:
        advice.append(f"{_EXITED_EARLY}\n   See the detailed log for why this may have occurred.")
        reason += _EXITED_EARLY
    if missing:
        advice.append(missing)
        reason = f"{reason.rstrip()} {missing}".lstrip()
    return _Judgement(all(met.values()) and not missing, met, tuple(filter(None, advice)), reason)


def _over_limits(f: _Figures) -> list[str]:
    """Server only: what to say of each limit that its percentile breaks."""
    s, p, text = f.settings, f.e.target_latency_percentile, "Reduce target QPS to improve latency."
    if f.e.scenario != "Server":
        return []
    if not s.use_tokens:
        return [] if _keeps(f.latency, p, f.e.target_latency_ns) else [text]
    figures = (("TTFT", f.ttft, s.ttft_limit_ns), ("TPOT", f.tpot, s.tpot_limit_ns))
    return [
        f"{name} constrain not met: {text}"
        for name, values, limit in figures
        if not _keeps(values, p, limit)
    ]


def _keeps(values: Int64s, p: float, limit_ns: int) -> bool:
    value = _at(values, p)
    return value is not None and value <= limit_ns


def _reached_s(f: _Figures) -> float:
    if f.e.scenario == "Offline":
        return f.max_latency_s
    return f.last_due_s if f.e.scenario == "Server" else f.last_issued_s


def _missing(log: RunLog) -> str:
    """Why LoadGen would never have come to a verdict; empty if it would have."""
    if log.end != "completed":
        return f"The run did not end by itself: {log.end_reason or log.end}."
    lost = len(log) - int(log.completed.sum())
    return (
        f"{lost} of {len(log)} samples failed or never completed; LoadGen would still wait for"
        " them."
        if lost
        else ""
    )


# ---- lines of the detail log


def _verdict_lines(verdict: _Judgement, early: _Early) -> dict[str, Value]:
    lines: dict[str, Value] = {
        "result_validity": "VALID" if verdict.valid else "INVALID",
        **verdict.met,
    }
    if not verdict.valid:
        lines["result_invalid_reason"] = verdict.reason
    for name, text in early.texts.items():
        lines[f"early_stopping_{name.lower().replace(' ', '_')}result"] = text.replace("\n", " ")
    return lines


def _count_lines(f: _Figures) -> dict[str, Value]:
    lines: dict[str, Value] = {"result_query_count": f.queries}
    if f.e.scenario == "Server":
        lines["result_overlatency_query_count"] = int((f.latency > f.e.target_latency_ns).sum())
    return lines


def _rate_lines(f: _Figures, early: _Early) -> dict[str, Value]:
    n = len(f.latency)
    between = max(n - 1, 0)  # the last sample ends the time range, so it does not count
    if f.e.scenario == "SingleStream":
        return {
            "result_qps_with_loadgen_overhead": _per(between, f.last_issued_s),
            "result_qps_without_loadgen_overhead": _per(1, (_mean(f.latency) or 0) / 1e9),
            "early_stopping_latency_ss": early.ss_ns,
            "early_stopping_latency_ms": early.ms_ns,
        }
    if f.e.scenario == "MultiStream":
        lines = _spread(f.query, "result_{}_query_latency_ns") | _tails(
            f.query, "result_{}_percentile_per_query_latency_ns"
        )
        return lines | {"early_stopping_latency_ms": early.ms_ns}
    if f.e.scenario == "Server":
        return {
            "result_scheduled_samples_per_sec": _per(between, f.last_due_s),
            "result_completed_samples_per_sec": _per(between, f.last_done_s),
        }
    return {"result_samples_per_second": _per(n, f.max_latency_s)}


def _latency_lines(f: _Figures) -> dict[str, Value]:
    return _spread(f.latency, "result_{}_latency_ns") | _tails(
        f.latency, "result_{}_percentile_latency_ns"
    )


def _token_lines(f: _Figures) -> dict[str, Value]:
    lines: dict[str, Value] = {}
    offline, factor = f.e.scenario == "Offline", f.settings.inferred_tokens_per_sample
    if f.settings.use_tokens:
        lines |= (
            {"result_tokens_per_second": _per(f.tokens, f.max_latency_s)}
            if offline
            else _streamed_lines(f)
        )
    if factor is not None and offline:
        lines["result_inferred_tokens_per_second"] = _per(factor * len(f.latency), f.max_latency_s)
    elif factor is not None and f.e.scenario == "Server":
        between = max(len(f.latency) - 1, 0)
        lines["result_inferred_completed_tokens_per_second"] = _per(factor * between, f.last_done_s)
    return lines


def _streamed_lines(f: _Figures) -> dict[str, Value]:
    return {
        **_spread(f.ttft, "result_first_token_{}_latency_ns"),
        **_tails(f.ttft, "result_first_token_{}_percentile_latency_ns"),
        "result_token_throughput_with_loadgen_overhead": _per(f.tokens, f.last_issued_s),
        "result_token_throughput": _per(
            f.tokens, (_mean(f.latency) or 0) * len(f.latency)
        ),  # per ns, as LoadGen has it
        **_tails(f.tpot, "result_time_per_output_token_{}_percentile_ns"),
        **_spread(f.tpot, "result_time_to_output_token_{}"),
        "result_completed_tokens_per_second": _per(f.tokens, f.last_done_s),
    }


def _spread(values: Int64s, key: str) -> dict[str, Value]:
    ends = (int(values[0]), int(values[-1])) if len(values) else (None, None)
    return {
        key.format("min"): ends[0],
        key.format("max"): ends[1],
        key.format("mean"): _mean(values),
    }


def _tails(values: Int64s, key: str) -> dict[str, Value]:
    return {key.format(f"{100 * p:.2f}"): _at(values, p) for p in PERCENTILES}


# ---- messages


def _ending(log: RunLog, settings: RunSettings) -> tuple[str, tuple[str, ...]]:
    """Why issuing stopped: (LoadGen's message if it ended naturally, its errors if not)."""
    if log.end != "completed":
        return "", (f"Ending early: {log.end_reason or log.end}",)
    if settings.mode == "accuracy" or not len(log):
        return "", ()
    e, queries, issued_ns = effective(settings), log.num_queries, int(log.issued_ns[-1])
    least_ns = 0 if e.scenario == "Offline" else settings.min_duration_ns
    if e.scenario != "Server" and queries >= e.min_query_count and issued_ns >= least_ns:
        return _NATURAL, ()
    thread = "IssueQueryThread 0 Ending early:"
    if settings.max_queries and queries >= settings.max_queries:
        return "", (f"{thread} Max query count reached. query_count {queries}",)
    if settings.max_duration_ns and issued_ns > settings.max_duration_ns:
        return "", (f"{thread} Max test duration reached. duration_ns {issued_ns}",)
    return "", () if e.scenario == "Server" else (_RAN_OUT,)


def _sample_errors(log: RunLog, settings: RunSettings) -> tuple[str, ...]:
    """One line for each sample that LoadGen would have complained of, and for each that never came
    back.
    """
    lost = [
        f"sample {i} did not complete: {_why(log, i)}"
        for i in np.flatnonzero(~log.completed).tolist()
    ]
    again = sorted(
        {
            a.sample_id
            for a in log.anomalies
            if a.kind == "after_completion" and a.detail.startswith("complete")
        }
    )
    twice = [f"Attempted to complete a sample twice. (sample {i})" for i in again]
    if not settings.use_tokens:
        return (*lost, *twice)
    empty = np.flatnonzero(log.completed & (log.tokens == 0)).tolist()
    late = (
        []
        if settings.scenario == "offline"
        else np.flatnonzero(log.completed & (log.first_ns < 0)).tolist()
    )
    none = [
        f"n_tokens argument missing or attempted to record 0 as number of tokens (sample {i})"
        for i in empty
    ]
    never = [
        f"Attempted to record a sample latency before it's first token latency (sample {i})"
        for i in late
    ]
    return (*lost, *twice, *none, *never)


def _warnings(log: RunLog, settings: RunSettings) -> tuple[str, ...]:
    single = (
        int((log.completed & (log.tokens == 1)).sum())
        if settings.use_tokens and settings.scenario != "offline"
        else 0
    )
    return (
        (f"TPOT is undefined for {single} of {len(log)} samples: they have one token",)
        if single
        else ()
    )


def _why(log: RunLog, sample_id: int) -> str:
    return log.errors.get(sample_id) or log.end_reason or "no completion"
