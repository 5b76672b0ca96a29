"""mlperf_log_summary.txt: the page for people, line by line as LoadGen has it."""

from __future__ import annotations

import json
from typing import Any

from reports.mlperf.facts import Header, Lines, Results, Settings

_RULE = "=" * 48
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


def summary(header: Header, settings: Settings, results: Results) -> str:
    """Return the page for people; in accuracy mode only its two closing lines, as LoadGen does."""
    parts = _summary_lines(header, settings, results) if results.lines else []
    parts += [
        "",
        "No warnings encountered during test.",
        "",
        _errors(len(results.errors)),
    ]
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
        *(
            f"{label}{'Yes' if lines[key] else 'NO'}"
            for key, label in _CONDITIONS.items()
            if key in lines
        ),
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
            (
                "Completed samples per second    :"
                f" {_fixed(lines['result_completed_samples_per_sec'])}"
            ),
            *(
                [
                    "Completed tokens per second:"
                    f" {_fixed(lines['result_completed_tokens_per_second'])}"
                ]
                if tokens
                else []
            ),
            *_labelled(
                lines,
                "result_inferred_completed_tokens_per_second",
                "Completed tokens per second (inferred): ",
                _fixed,
            ),
        ]
    if scenario == "Offline":
        return [
            f"Samples per second: {_plain(lines['result_samples_per_second'])}",
            *_labelled(lines, "result_tokens_per_second", "Tokens per second: ", _plain),
            *_labelled(
                lines, "result_inferred_tokens_per_second", "Tokens per second (inferred): ", _plain
            ),
        ]
    first = [f"{th} first token percentile latency (ns) : {_plain(results.first_token_tail_ns)}"]
    return [f"{th} percentile latency (ns) : {_plain(results.tail_ns)}", *(first if tokens else [])]


def _early_stopping(scenario: str, results: Results) -> list[str]:
    """Put TTFT above TPOT, although TPOT is judged first."""
    texts = () if scenario == "Offline" else results.early_stopping.items()
    return [line for name, text in texts for line in (f"{name}Early Stopping Result:", text)]


def _rates(scenario: str, lines: Lines) -> list[str]:
    if scenario == "SingleStream":
        return [
            (
                "QPS w/ loadgen overhead         :"
                f" {_fixed(lines['result_qps_with_loadgen_overhead'])}"
            ),
            (
                "QPS w/o loadgen overhead        :"
                f" {_fixed(lines['result_qps_without_loadgen_overhead'])}"
            ),
            "",
        ]
    if scenario == "Server":
        return [
            f"Scheduled samples per second : {_fixed(lines['result_scheduled_samples_per_sec'])}"
        ]
    return ["Per-query latency:  "] if scenario == "MultiStream" else []


def _latencies(scenario: str, lines: Lines) -> list[str]:
    query = scenario == "MultiStream"
    spread = "result_{}_query_latency_ns" if query else "result_{}_latency_ns"
    tails = (
        "result_{}_percentile_per_query_latency_ns" if query else "result_{}_percentile_latency_ns"
    )
    return [
        *(f"{f'{k.title()} latency (ns)':<32}: {_plain(lines[spread.format(k)])}" for k in _SPREAD),
        *(
            f"{p} percentile latency (ns)   : {_plain(lines[tails.format(p)])}"
            for p in _PERCENTILES
        ),
    ]


def _tokens(scenario: str, results: Results) -> list[str]:
    lines = results.lines
    if scenario == "Offline":
        return [""] if "result_tokens_per_second" in lines else []
    if "result_token_throughput" not in lines:
        return []
    rates = {
        "SingleStream": [
            (
                "TPS w/ loadgen overhead         :"
                f" {_fixed(lines['result_token_throughput_with_loadgen_overhead'])}"
            ),
            f"TPS w/o loadgen overhead        : {_fixed(results.tokens_per_s_alone)}",
        ],
        "Server": [
            "Completed tokens per second                 :"
            f" {_fixed(lines['result_completed_tokens_per_second'])}"
        ],
    }
    first, later = "result_first_token_{}_latency_ns", "result_time_to_output_token_{}"
    first_tail, later_tail = (
        "result_first_token_{}_percentile_latency_ns",
        "result_time_per_output_token_{}_percentile_ns",
    )
    return [
        "",
        *rates.get(scenario, []),
        *(
            f"{f'{k.title()} First Token latency (ns)':<44}: {_plain(lines[first.format(k)])}"
            for k in _SPREAD
        ),
        *(
            f"{p} percentile first token latency (ns)   : {_plain(lines[first_tail.format(p)])}"
            for p in _PERCENTILES
        ),
        "",
        *(
            f"{f'{k.title()} Time per Output Token (ns)':<46}: {_plain(lines[later.format(k)])}"
            for k in _SPREAD
        ),
        *(
            f"{p} percentile time to output token (ns)   : {_plain(lines[later_tail.format(p)])}"
            for p in _PERCENTILES
        ),
    ]


def _parameters(settings: Settings) -> list[str]:
    shown = [
        f"{label}{':' if label.endswith(')') else ' :'}"
        f" {int(value) if isinstance(value, bool) else _plain(value)}"
        for label, value in settings.parameters.items()
    ]
    return (
        [*shown, _PADDED_SETS]
        if settings.effective["effective_sample_concatenate_permutation"]
        else shown
    )


def _labelled(lines: Lines, key: str, label: str, form: Any) -> list[str]:
    return [f"{label}{form(lines[key])}"] if key in lines else []


def _plain(value: Any) -> str:
    if value is None:
        return "undefined"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _fixed(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.2f}"


def _errors(count: int) -> str:
    if not count:
        return "No errors encountered during test."
    return f"{count} ERROR{'S' * (count > 1)} encountered. See detailed log."
