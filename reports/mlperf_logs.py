"""LoadGen's three log files of a run, so that MLCommons' own parsers, checkers and compliance scripts can read it.

    mlperf_log_detail.txt      one JSON event per line: settings asked for and in force, what was generated, every result
    mlperf_log_summary.txt     the same for people
    mlperf_log_accuracy.json   answers as upper-case hex of int32 little-endian token ids

Layout, order of keys and number formats are LoadGen 6.0.17's (`%g`, two decimals, integers, true/false; 0/1 in the summary).
Different, and meant to be:
    loadgen_version and sut_name name Touchstone, and `touchstone_run_id` says whose log it is
    strings are JSON-escaped (LoadGen writes them as they are: a quote in a SUT's name breaks the line)
    an undefined number is null, in the summary "undefined" (LoadGen: nan or inf, which no JSON parser takes)
    time_ms is 0 before the clock started and the moment of the last completion after; file, line and process are not ours
    logger_* counters are 0: nothing is logged while the clock runs
All of it is made from values; only `write` touches the disk, and never another run's logs.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from harness.errors import BadInput
from harness.types import RunLog

DETAIL, SUMMARY, ACCURACY = "mlperf_log_detail.txt", "mlperf_log_summary.txt", "mlperf_log_accuracy.json"
MARK = ":::MLLOG "
_RULE = "=" * 48
_COUNTERS = (
    "swap_request_slots_retry_count", "swap_request_slots_retry_retry_count", "swap_request_slots_retry_reencounter_count",
    "start_reading_entries_retry_count", "tls_total_log_cas_fail_count", "tls_total_swap_buffers_slot_retry_count",
)  # fmt: skip
_CONDITIONS = {
    "result_perf_constraints_met": "  Performance constraints satisfied : ",
    "result_min_duration_met": "  Min duration satisfied : ",
    "result_min_queries_met": "  Min queries satisfied : ",
    "early_stopping_met": "  Early stopping satisfied: ",
}
_SPREAD = ("min", "max", "mean")
_PERCENTILES = ("50.00", "90.00", "95.00", "97.00", "99.00", "99.90")
_PADDED_SETS = """\
WARNING: sample_concatenate_permutation was set to true.\x20
Generated samples per query might be different as the one in the setting.
Check the generated_samples_per_query line in the detailed log for the real
samples_per_query value"""

Lines = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Header:
    """Who ran what, and when."""

    run_id: str
    version: str
    sut_name: str
    qsl_name: str
    total_count: int
    performance_count: int
    started_at: str  # ISO 8601: when the clock started
    git_commit: str = "NA"


@dataclass(frozen=True, slots=True)
class Settings:
    """LoadGen's names for the settings, each with its value, in its order."""

    requested: Lines
    effective: Lines
    parameters: Lines  # the last block of the summary


class Generated(Protocol):
    """One loaded set and what was generated from it."""

    @property
    def loaded(self) -> Sequence[int]: ...
    @property
    def query_count(self) -> int: ...
    @property
    def samples_per_query(self) -> int: ...
    @property
    def duration_ns(self) -> int: ...


class Results(Protocol):
    """What LoadGen would say of the run (`scenarios.loadgen_results`)."""

    @property
    def lines(self) -> Lines: ...
    @property
    def recommendations(self) -> tuple[str, ...]: ...
    @property
    def early_stopping(self) -> Mapping[str, str]: ...
    @property
    def percentile(self) -> float: ...
    @property
    def tail_ns(self) -> int | None: ...
    @property
    def first_token_tail_ns(self) -> int | None: ...
    @property
    def tokens_per_s_alone(self) -> float | None: ...
    @property
    def ending(self) -> str: ...
    @property
    def errors(self) -> tuple[str, ...]: ...
    @property
    def warnings(self) -> tuple[str, ...]: ...


def write(folder: Path, header: Header, texts: Mapping[str, str]) -> None:
    """The files of `texts` (name -> content), each whole or not at all. Raises BadInput over another run's logs."""
    _refuse_another_run(folder, header.run_id)
    for name in sorted(texts, key=lambda name: name != DETAIL):  # the detail log first: it says whose the others are
        scratch = folder / f"{name}.tmp"
        scratch.write_text(texts[name], encoding="utf-8")
        scratch.replace(folder / name)


def run_id_of(detail_log: Path) -> str | None:
    """Whose log is it? None if there is none, or if it is not one of ours (the real LoadGen's, for one)."""
    try:
        with detail_log.open(encoding="utf-8") as lines:
            for line in lines:
                if '"touchstone_run_id"' in line:
                    return str(json.loads(line.removeprefix(MARK))["value"])
    except (OSError, ValueError):
        return None
    return None


def _refuse_another_run(folder: Path, run_id: str) -> None:
    found = [name for name in (DETAIL, SUMMARY, ACCURACY) if (folder / name).exists()]
    owner = run_id_of(folder / DETAIL)
    if found and owner != run_id:
        raise BadInput(
            f"writing the MLPerf logs into {folder}",
            f"{', '.join(found)} of {f'run {owner}' if owner else 'another program or run'} is there",
            "a folder without logs, or with this run's",
            "Move the logs away or choose another folder.",
        )


# ---- the detail log


def detail(header: Header, settings: Settings, sets: Sequence[Generated], results: Results, log: RunLog) -> str:
    """Every event as one marked JSON line."""
    accuracy = settings.effective["effective_test_mode"] == "AccuracyOnly"
    starting = "Starting accuracy mode" if accuracy else "Starting performance mode"
    lines = [*_events(_head_lines(header)), *_events(settings.requested), *_events(settings.effective)]
    lines.append(_event("generic_message", starting))
    end_ns, at = _last_ns(log), 0
    for i, part in enumerate(sets):
        lines += _events(_generated_lines(part))
        span = slice(at, at + part.query_count * part.samples_per_query)
        at = span.stop
        if i == len(sets) - 1:
            lines += _message_events(results, end_ns)
        lines += _events({f"logger_{name}": 0 for name in _COUNTERS}, end_ns)
        lines += _events(_power_lines(header, log, span if accuracy else slice(None)), end_ns)
    if not accuracy:
        lines += _events({**results.lines, "num_errors": len(results.errors)}, end_ns)
    return "\n".join(lines) + "\n"


def _head_lines(header: Header) -> dict[str, Any]:
    started = dt.datetime.fromisoformat(header.started_at).astimezone(dt.UTC)
    return {
        "loadgen_version": header.version,
        "loadgen_build_date_local": "NA",
        "loadgen_build_date_utc": "NA",
        "loadgen_git_commit_date": "NA",
        "loadgen_git_log_message": header.git_commit,
        "loadgen_git_status_message": "NA",
        "loadgen_file_sha1": {},
        "touchstone_run_id": header.run_id,
        "test_datetime": f"{started:%Y-%m-%dT%H:%M:%SZ}",
        "sut_name": header.sut_name,
        "get_sut_name_duration_ns": 0,
        "qsl_name": header.qsl_name,
        "qsl_reported_total_count": header.total_count,
        "qsl_reported_performance_count": header.performance_count,
    }


def _generated_lines(part: Generated) -> dict[str, Any]:
    return {
        "loaded_qsl_set": list(part.loaded),
        "generated_query_count": part.query_count,
        "generated_samples_per_query": part.samples_per_query,
        "generated_query_duration": part.duration_ns,
    }


def _message_events(results: Results, at_ns: int) -> list[str]:
    return [
        *(_event("error_runtime", text, at_ns, error=True) for text in results.errors),
        *(_event("warning_generic_message", text, at_ns, warning=True) for text in results.warnings),
        *([_event("generic_message", results.ending, at_ns)] if results.ending else []),
    ]


def _power_lines(header: Header, log: RunLog, span: slice) -> dict[str, Any]:
    """When a power meter's readings count: from the first sample due to the last completion, in UTC."""
    due, done = log.due_ns[span], log.done_ns[span]
    begin_ns = int(due.min()) if len(due) else 0
    end_ns = max(begin_ns, int(done.max(initial=0)))
    return {"power_begin": _moment(header.started_at, begin_ns), "power_end": _moment(header.started_at, end_ns)}


def _moment(started_at: str, after_ns: int) -> str:
    moment = dt.datetime.fromisoformat(started_at).astimezone(dt.UTC) + dt.timedelta(microseconds=after_ns // 1000)
    return f"{moment:%m-%d-%Y %H:%M:%S}.{moment.microsecond // 1000:03d}"


def _last_ns(log: RunLog) -> int:
    return int(log.done_ns.max(initial=0))


def _events(lines: Lines, at_ns: int = 0) -> list[str]:
    return [_event(key, value, at_ns) for key, value in lines.items()]


def _event(key: str, value: Any, at_ns: int = 0, error: bool = False, warning: bool = False) -> str:
    return (
        f'{MARK}{{"key": "{key}", "value": {_json(value)}, "time_ms": {at_ns // 10**6}.{at_ns % 10**6:06d}, '
        f'"namespace": "mlperf::logging", "event_type": "POINT_IN_TIME", "metadata": {{"is_error": {_json(error)}, '
        f'"is_warning": {_json(warning)}, "file": "mlperf_logs.py", "line_no": 0, "pid": 0, "tid": 0}}}}'
    )


def _json(value: Any) -> str:
    """LoadGen's number formats in strict JSON: doubles have six digits."""
    if isinstance(value, float):
        return f"{value:g}" if np.isfinite(value) else "null"
    return json.dumps(value, separators=(",", ":"))


# ---- the summary


def summary(header: Header, settings: Settings, results: Results) -> str:
    """The page for people; only the two closing lines in accuracy mode, as LoadGen has it."""
    parts = _summary_lines(header, settings, results) if results.lines else []
    parts += ["", _tally(len(results.warnings), "warning"), "", _tally(len(results.errors), "ERROR")]
    return "\n".join(parts) + "\n"


def _summary_lines(header: Header, settings: Settings, results: Results) -> list[str]:
    scenario, lines = settings.effective["effective_scenario"], results.lines
    return [
        *_title("MLPerf Results Summary"),
        f"SUT name : {json.dumps(header.sut_name, ensure_ascii=False)[1:-1]}",
        f"Scenario : {scenario}",
        f"Mode     : {settings.effective['effective_test_mode']}",
        *_headline(scenario, results),
        f"Result is : {lines['result_validity']}",
        *(f"{label}{'Yes' if lines[key] else 'NO'}" for key, label in _CONDITIONS.items() if key in lines),
        *(["Recommendations:"] if lines["result_validity"] == "INVALID" else []),
        *(f" * {text}" for text in results.recommendations),
        *_early_stopping(scenario, results),
        "",
        *_title("Additional Stats"),
        *_rates(scenario, lines),
        *_latencies(scenario, lines),
        *_tokens(scenario, results),
        "",
        *_title("Test Parameters Used"),
        *_parameters(settings),
    ]


def _title(text: str) -> list[str]:
    return [_RULE, text, _RULE]


def _headline(scenario: str, results: Results) -> list[str]:
    lines, th = results.lines, f"{100 * results.percentile:.1f}th"
    tokens = "result_tokens_per_second" in lines or "result_token_throughput" in lines
    if scenario == "Server":
        return [
            f"Completed samples per second    : {_fixed(lines['result_completed_samples_per_sec'])}",
            *([f"Completed tokens per second: {_fixed(lines['result_completed_tokens_per_second'])}"] if tokens else []),
            *_labelled(
                lines, "result_inferred_completed_tokens_per_second", "Completed tokens per second (inferred): ", _fixed
            ),
        ]
    if scenario == "Offline":
        return [
            f"Samples per second: {_plain(lines['result_samples_per_second'])}",
            *_labelled(lines, "result_tokens_per_second", "Tokens per second: ", _plain),
            *_labelled(lines, "result_inferred_tokens_per_second", "Tokens per second (inferred): ", _plain),
        ]
    first = [f"{th} first token percentile latency (ns) : {_plain(results.first_token_tail_ns)}"]
    return [f"{th} percentile latency (ns) : {_plain(results.tail_ns)}", *(first if tokens else [])]


def _early_stopping(scenario: str, results: Results) -> list[str]:
    """TTFT stands above TPOT although TPOT is judged first."""
    texts = () if scenario == "Offline" else results.early_stopping.items()
    return [line for name, text in texts for line in (f"{name}Early Stopping Result:", text)]


def _rates(scenario: str, lines: Lines) -> list[str]:
    if scenario == "SingleStream":
        return [
            f"QPS w/ loadgen overhead         : {_fixed(lines['result_qps_with_loadgen_overhead'])}",
            f"QPS w/o loadgen overhead        : {_fixed(lines['result_qps_without_loadgen_overhead'])}",
            "",
        ]
    if scenario == "Server":
        return [f"Scheduled samples per second : {_fixed(lines['result_scheduled_samples_per_sec'])}"]
    return ["Per-query latency:  "] if scenario == "MultiStream" else []


def _latencies(scenario: str, lines: Lines) -> list[str]:
    query = scenario == "MultiStream"
    spread = "result_{}_query_latency_ns" if query else "result_{}_latency_ns"
    tails = "result_{}_percentile_per_query_latency_ns" if query else "result_{}_percentile_latency_ns"
    return [
        *(f"{f'{k.title()} latency (ns)':<32}: {_plain(lines[spread.format(k)])}" for k in _SPREAD),
        *(f"{p} percentile latency (ns)   : {_plain(lines[tails.format(p)])}" for p in _PERCENTILES),
    ]


def _tokens(scenario: str, results: Results) -> list[str]:
    lines = results.lines
    if scenario == "Offline":
        return [""] if "result_tokens_per_second" in lines else []
    if "result_token_throughput" not in lines:
        return []
    rates = {
        "SingleStream": [
            f"TPS w/ loadgen overhead         : {_fixed(lines['result_token_throughput_with_loadgen_overhead'])}",
            f"TPS w/o loadgen overhead        : {_fixed(results.tokens_per_s_alone)}",
        ],
        "Server": [f"Completed tokens per second                 : {_fixed(lines['result_completed_tokens_per_second'])}"],
    }
    first, later = "result_first_token_{}_latency_ns", "result_time_to_output_token_{}"
    first_tail, later_tail = "result_first_token_{}_percentile_latency_ns", "result_time_per_output_token_{}_percentile_ns"
    return [
        "",
        *rates.get(scenario, []),
        *(f"{f'{k.title()} First Token latency (ns)':<44}: {_plain(lines[first.format(k)])}" for k in _SPREAD),
        *(f"{p} percentile first token latency (ns)   : {_plain(lines[first_tail.format(p)])}" for p in _PERCENTILES),
        "",
        *(f"{f'{k.title()} Time per Output Token (ns)':<46}: {_plain(lines[later.format(k)])}" for k in _SPREAD),
        *(f"{p} percentile time to output token (ns)   : {_plain(lines[later_tail.format(p)])}" for p in _PERCENTILES),
    ]


def _parameters(settings: Settings) -> list[str]:
    shown = [
        f"{label}{':' if label.endswith(')') else ' :'} {int(value) if isinstance(value, bool) else _plain(value)}"
        for label, value in settings.parameters.items()
    ]
    return [*shown, _PADDED_SETS] if settings.effective["effective_sample_concatenate_permutation"] else shown


def _labelled(lines: Lines, key: str, label: str, form: Any) -> list[str]:
    return [f"{label}{form(lines[key])}"] if key in lines else []


def _plain(value: Any) -> str:
    if value is None:
        return "undefined"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _fixed(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.2f}"


def _tally(count: int, word: str) -> str:
    if not count:
        return f"No {word.lower()}s encountered during test."
    return f"{count} {word}{'' if count == 1 else 'S' if word.isupper() else 's'} encountered. See detailed log."


# ---- the accuracy log


def accuracy(log: RunLog, logged: Iterable[int], with_tokens: bool, with_first: bool) -> str:
    """One entry per sample id of `logged`, in that order: its answer, its first token (not offline) and its token count."""
    data, ends = _hex(log.token_ids), (8 * log.token_start).tolist()
    first, first_ids, counts = _hex(log.first_token), log.first_token.tolist(), log.tokens.tolist()
    index = log.index.tolist()
    entries = []
    for i in logged:
        text = f'{{ "seq_id" : {i}, "qsl_idx" : {index[i]}, "data" : "{data[ends[i] : ends[i + 1]]}"'
        if with_tokens and with_first:
            text += f', "token_data" : "{first[8 * i : 8 * i + 8] if first_ids[i] >= 0 else ""}"'
        entries.append(f'{text}, "token_count" : {counts[i]} }}' if with_tokens else f"{text} }}")
    return "[\n" + ",\n".join(entries) + ("\n]\n" if entries else "]\n")


def _hex(ids: Any) -> str:
    """(t,) int32 -> eight characters each, little-endian."""
    return str(ids.astype("<i4").tobytes().hex().upper())
