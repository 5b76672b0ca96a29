"""mlperf_log_detail.txt: every event as one marked JSON line. What differs from LoadGen's is listed
in `mlperf_logs`.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from harness.kernel.log import RunLog
from reports.mlperf.facts import Generated, Header, Lines, Message, Results, Settings

MARK = ":::MLLOG "
_COUNTERS = (
    "swap_request_slots_retry_count", "swap_request_slots_retry_retry_count",
    "swap_request_slots_retry_reencounter_count", "start_reading_entries_retry_count",
    "tls_total_log_cas_fail_count", "tls_total_swap_buffers_slot_retry_count",
)  # fmt: skip


def detail(
    header: Header, settings: Settings, sets: Sequence[Generated], results: Results, log: RunLog
) -> str:
    """Return every event as one marked JSON line."""
    accuracy = settings.effective["effective_test_mode"] == "AccuracyOnly"
    starting = "Starting accuracy mode" if accuracy else "Starting performance mode"
    lines = [
        *_events(_head_lines(header)),
        *_events(settings.requested),
        *_events(settings.effective),
    ]
    lines.append(_event("generic_message", starting))
    at = 0
    for part in sets:
        span = range(at, at + part.query_count * part.samples_per_query)
        at = span.stop if accuracy else len(log)
        lines += _set_lines(header, part, results, log, span if accuracy else range(len(log)))
    if not accuracy:
        values = {**results.lines, "num_errors": len(results.errors)}
        lines += _events(values, _last_ns(log, range(len(log))))
    return "\n".join(lines) + "\n"


def _set_lines(
    header: Header, part: Generated, results: Results, log: RunLog, span: range
) -> list[str]:
    """Yield what is said of one loaded set, whose samples are those of `span`."""
    end_ns = _last_ns(log, span)
    is_last = span.stop >= len(log)
    about = [
        m for m in results.messages if m.sample_id in span or (m.sample_id is None and is_last)
    ]
    return [
        *_events(_generated_lines(part), _first_ns(log, span)),
        *(_message_event(message) for message in about),
        *_events({f"logger_{name}": 0 for name in _COUNTERS}, end_ns),
        *_events(_power_lines(header, _first_ns(log, span), end_ns), end_ns),
    ]


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


def _message_event(message: Message) -> str:
    key = "error_runtime" if message.is_error else "generic_message"
    return _event(key, message.text, message.at_ns, error=message.is_error)


def _power_lines(header: Header, begin_ns: int, end_ns: int) -> dict[str, Any]:
    """Return when a power meter's readings count: from the first sample due to the last completion,
    in UTC.
    """
    end_ns = max(begin_ns, end_ns)
    return {
        "power_begin": _moment(header.started_at, begin_ns),
        "power_end": _moment(header.started_at, end_ns),
    }


def _moment(started_at: str, after_ns: int) -> str:
    moment = dt.datetime.fromisoformat(started_at).astimezone(dt.UTC) + dt.timedelta(
        microseconds=after_ns // 1000
    )
    return f"{moment:%m-%d-%Y %H:%M:%S}.{moment.microsecond // 1000:03d}"


def _first_ns(log: RunLog, span: range) -> int:
    """Return when the first sample of `span` was due."""
    due_ns = log.due_ns[span.start : span.stop]
    return int(due_ns.min()) if len(due_ns) else 0


def _last_ns(log: RunLog, span: range) -> int:
    """Return when the last sample of `span` completed."""
    return int(log.done_ns[span.start : span.stop].max(initial=0))


def _events(lines: Lines, at_ns: int = 0) -> list[str]:
    return [_event(key, value, at_ns) for key, value in lines.items()]


def _event(key: str, value: Any, at_ns: int = 0, error: bool = False) -> str:
    return (
        f'{MARK}{{"key": "{key}", "value": {_json(value)}, "time_ms":'
        f' {at_ns // 10**6}.{at_ns % 10**6:06d}, "namespace": "mlperf::logging", "event_type":'
        f' "POINT_IN_TIME", "metadata": {{"is_error": {_json(error)}, "is_warning": false,'
        ' "file": "mlperf_logs.py", "line_no": 0, "pid": 0, "tid": 0}}'
    )


def _json(value: Any) -> str:
    """Write numbers in LoadGen's formats in strict JSON: doubles have six digits."""
    if isinstance(value, float):
        return f"{value:g}" if np.isfinite(value) else "null"
    return json.dumps(value, separators=(",", ":"))
