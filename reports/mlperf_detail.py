"""mlperf_log_detail.txt: every event as one marked JSON line. What differs from LoadGen's is listed
in `mlperf_logs`.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from harness.types import RunLog
from reports.mlperf_facts import Generated, Header, Lines, Results, Settings

MARK = ":::MLLOG "
_COUNTERS = (
    "swap_request_slots_retry_count", "swap_request_slots_retry_retry_count",
    "swap_request_slots_retry_reencounter_count", "start_reading_entries_retry_count",
    "tls_total_log_cas_fail_count", "tls_total_swap_buffers_slot_retry_count",
)  # fmt: skip


def detail(
    header: Header, settings: Settings, sets: Sequence[Generated], results: Results, log: RunLog
) -> str:
    """Every event as one marked JSON line."""
    accuracy = settings.effective["effective_test_mode"] == "AccuracyOnly"
    starting = "Starting accuracy mode" if accuracy else "Starting performance mode"
    lines = [
        *_events(_head_lines(header)),
        *_events(settings.requested),
        *_events(settings.effective),
    ]
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
        *(
            _event("warning_generic_message", text, at_ns, warning=True)
            for text in results.warnings
        ),
        *([_event("generic_message", results.ending, at_ns)] if results.ending else []),
    ]


def _power_lines(header: Header, log: RunLog, span: slice) -> dict[str, Any]:
    """When a power meter's readings count: from the first sample due to the last completion, in
    UTC.
    """
    due, done = log.due_ns[span], log.done_ns[span]
    begin_ns = int(due.min()) if len(due) else 0
    end_ns = max(begin_ns, int(done.max(initial=0)))
    return {
        "power_begin": _moment(header.started_at, begin_ns),
        "power_end": _moment(header.started_at, end_ns),
    }


def _moment(started_at: str, after_ns: int) -> str:
    moment = dt.datetime.fromisoformat(started_at).astimezone(dt.UTC) + dt.timedelta(
        microseconds=after_ns // 1000
    )
    return f"{moment:%m-%d-%Y %H:%M:%S}.{moment.microsecond // 1000:03d}"


def _last_ns(log: RunLog) -> int:
    return int(log.done_ns.max(initial=0))


def _events(lines: Lines, at_ns: int = 0) -> list[str]:
    return [_event(key, value, at_ns) for key, value in lines.items()]


def _event(key: str, value: Any, at_ns: int = 0, error: bool = False, warning: bool = False) -> str:
    return (
        f'{MARK}{{"key": "{key}", "value": {_json(value)}, "time_ms":'
        f' {at_ns // 10**6}.{at_ns % 10**6:06d}, "namespace": "mlperf::logging", "event_type":'
        f' "POINT_IN_TIME", "metadata": {{"is_error": {_json(error)}, "is_warning":'
        f' {_json(warning)}, "file": "mlperf_logs.py", "line_no": 0, "pid": 0, "tid": 0}}}}'
    )


def _json(value: Any) -> str:
    """LoadGen's number formats in strict JSON: doubles have six digits."""
    if isinstance(value, float):
        return f"{value:g}" if np.isfinite(value) else "null"
    return json.dumps(value, separators=(",", ":"))
