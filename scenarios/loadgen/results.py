"""What would LoadGen say of this run? Its numbers and its verdict, from our event times, to the
last digit.

Percentile p is `v[int(n * p)]` of the sorted values, means are integer divisions, rates count the
*last issued* query (not the last to complete), and the verdict is VALID if duration, counts, limits
(server) and early stopping all hold (results.cc, 6.0.17). Tokens are as many as the SUT reported.

Where LoadGen would crash or hang we deviate, and where what it writes can be read by no parser:
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

from harness.kernel.log import RunLog
from harness.kernel.stats import PERCENTILES
from harness.kernel.types import Int64s, RunSettings
from scenarios.loadgen.early import Early, early_stopping
from scenarios.loadgen.figures import Figures, at, figures, mean, per
from scenarios.loadgen.messages import Message, messages
from scenarios.loadgen.settings import Value

_EXITED_EARLY = "The test exited early, before enough queries were issued."
_LONGER = {
    "Server": "Increase the target QPS so the loadgen pre-generates more queries.",
    "Offline": "Increase expected QPS so the loadgen pre-generates a larger (coalesced) query.",
}
_LONGER_STREAM = "Decrease the expected latency so the loadgen pre-generates more queries."


@dataclass(frozen=True, slots=True)
class LoadgenResults:
    """`lines` are LoadGen's own keys and values, in its order (none in accuracy mode, where it
    judges nothing); the other fields are what its logs show beside them.
    """

    valid: bool
    lines: Mapping[str, Value] = field(default_factory=dict)
    recommendations: tuple[str, ...] = ()
    early_stopping: Mapping[str, str] = field(default_factory=dict)  # as in `Early.texts`
    percentile: float = 0.0  # the judged tail
    tail_ns: int | None = None  # its latency; of queries in multi-stream
    first_token_tail_ns: int | None = None
    tokens_per_s_alone: float | None = None  # single-stream: without the time between queries
    messages: tuple[Message, ...] = ()  # in the order of time

    @property
    def errors(self) -> tuple[str, ...]:
        return tuple(message.text for message in self.messages if message.is_error)


def results(log: RunLog, settings: RunSettings) -> LoadgenResults:
    """Return every number, the conditions, their texts and the verdict."""
    missing = _missing(log)
    if settings.mode == "accuracy":
        return LoadgenResults(not missing, messages=messages(log, settings))
    f = figures(log, settings)
    p = f.e.target_latency_percentile
    early = early_stopping(f)
    verdict = _judge(f, early, missing)
    return LoadgenResults(
        valid=verdict.valid,
        lines=_verdict_lines(verdict, early)
        | _count_lines(f)
        | _rate_lines(f, early)
        | _latency_lines(f)
        | _token_lines(f),
        recommendations=verdict.recommendations,
        early_stopping=early.texts,
        percentile=p,
        tail_ns=at(f.query_ns if f.e.scenario == "MultiStream" else f.latency_ns, p),
        first_token_tail_ns=at(f.ttft_ns, p),
        tokens_per_s_alone=per(f.tokens, (mean(f.latency_ns) or 0) / 1e9 * len(f.latency_ns)),
        messages=messages(log, settings),
    )


# ---- the verdict


@dataclass(frozen=True, slots=True)
class _Judgement:
    valid: bool
    met: dict[str, bool]
    recommendations: tuple[str, ...]
    reason: str


def _judge(f: Figures, early: Early, missing: str) -> _Judgement:
    slow = _over_limits(f)
    long_enough = _reached_s(f) >= f.settings.min_duration_ns / 1e9
    counted = f.queries >= f.e.min_query_count and len(f.latency_ns) >= f.e.min_sample_count
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


def _over_limits(f: Figures) -> list[str]:
    """Return what to say, in the server scenario, of each limit that its percentile breaks."""
    s, p, text = f.settings, f.e.target_latency_percentile, "Reduce target QPS to improve latency."
    if f.e.scenario != "Server":
        return []
    if not s.use_tokens:
        return [] if _keeps(f.latency_ns, p, f.e.target_latency_ns) else [text]
    figures = (("TTFT", f.ttft_ns, s.ttft_limit_ns), ("TPOT", f.tpot_ns, s.tpot_limit_ns))
    return [
        f"{name} constrain not met: {text}"
        for name, values, limit in figures
        if not _keeps(values, p, limit)
    ]


def _keeps(values_ns: Int64s, p: float, limit_ns: int) -> bool:
    value_ns = at(values_ns, p)
    return value_ns is not None and value_ns <= limit_ns


def _reached_s(f: Figures) -> float:
    if f.e.scenario == "Offline":
        return f.max_latency_s
    return f.last_due_s if f.e.scenario == "Server" else f.last_issued_s


def _missing(log: RunLog) -> str:
    """Say why LoadGen would never have come to a verdict; empty if it would have."""
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


def _verdict_lines(verdict: _Judgement, early: Early) -> dict[str, Value]:
    lines: dict[str, Value] = {
        "result_validity": "VALID" if verdict.valid else "INVALID",
        **verdict.met,
    }
    if not verdict.valid:
        lines["result_invalid_reason"] = verdict.reason
    for name, text in early.texts.items():
        lines[f"early_stopping_{name.lower().replace(' ', '_')}result"] = text.replace("\n", " ")
    return lines


def _count_lines(f: Figures) -> dict[str, Value]:
    lines: dict[str, Value] = {"result_query_count": f.queries}
    if f.e.scenario == "Server":
        lines["result_overlatency_query_count"] = int((f.latency_ns > f.e.target_latency_ns).sum())
    return lines


def _rate_lines(f: Figures, early: Early) -> dict[str, Value]:
    n = len(f.latency_ns)
    between = max(n - 1, 0)  # the last sample ends the time range, so it does not count
    if f.e.scenario == "SingleStream":
        return {
            "result_qps_with_loadgen_overhead": per(between, f.last_issued_s),
            "result_qps_without_loadgen_overhead": per(1, (mean(f.latency_ns) or 0) / 1e9),
            "early_stopping_latency_ss": early.ss_ns,
            "early_stopping_latency_ms": early.ms_ns,
        }
    if f.e.scenario == "MultiStream":
        lines = _spread(f.query_ns, "result_{}_query_latency_ns") | _tails(
            f.query_ns, "result_{}_percentile_per_query_latency_ns"
        )
        return lines | {"early_stopping_latency_ms": early.ms_ns}
    if f.e.scenario == "Server":
        return {
            "result_scheduled_samples_per_sec": per(between, f.last_due_s),
            "result_completed_samples_per_sec": per(between, f.last_done_s),
        }
    return {"result_samples_per_second": per(n, f.max_latency_s)}


def _latency_lines(f: Figures) -> dict[str, Value]:
    return _spread(f.latency_ns, "result_{}_latency_ns") | _tails(
        f.latency_ns, "result_{}_percentile_latency_ns"
    )


def _token_lines(f: Figures) -> dict[str, Value]:
    lines: dict[str, Value] = {}
    offline, factor = f.e.scenario == "Offline", f.settings.inferred_tokens_per_sample
    if f.settings.use_tokens:
        lines |= (
            {"result_tokens_per_second": per(f.tokens, f.max_latency_s)}
            if offline
            else _streamed_lines(f)
        )
    if factor is not None and offline:
        lines["result_inferred_tokens_per_second"] = per(
            factor * len(f.latency_ns), f.max_latency_s
        )
    elif factor is not None and f.e.scenario == "Server":
        between = max(len(f.latency_ns) - 1, 0)
        lines["result_inferred_completed_tokens_per_second"] = per(factor * between, f.last_done_s)
    return lines


def _streamed_lines(f: Figures) -> dict[str, Value]:
    return {
        **_spread(f.ttft_ns, "result_first_token_{}_latency_ns"),
        **_tails(f.ttft_ns, "result_first_token_{}_percentile_latency_ns"),
        "result_token_throughput_with_loadgen_overhead": per(f.tokens, f.last_issued_s),
        "result_token_throughput": per(
            f.tokens, (mean(f.latency_ns) or 0) * len(f.latency_ns)
        ),  # per ns, as LoadGen has it
        **_tails(f.tpot_ns, "result_time_per_output_token_{}_percentile_ns"),
        **_spread(f.tpot_ns, "result_time_to_output_token_{}"),
        "result_completed_tokens_per_second": per(f.tokens, f.last_done_s),
    }


def _spread(values: Int64s, key: str) -> dict[str, Value]:
    ends = (int(values[0]), int(values[-1])) if len(values) else (None, None)
    return {
        key.format("min"): ends[0],
        key.format("max"): ends[1],
        key.format("mean"): mean(values),
    }


def _tails(values: Int64s, key: str) -> dict[str, Value]:
    return {key.format(f"{100 * p:.2f}"): at(values, p) for p in PERCENTILES}
