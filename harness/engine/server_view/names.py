"""What do servers call what they count? The names on /metrics of vLLM, SGLang, llama.cpp and TGI,
each as its own code has them, and ours for the columns of the telemetry.

A value is summed over the label sets of its name (engines, ranks), but shares are the highest of
them. Of several names the first that is there counts: servers have renamed some.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

COLUMNS: Mapping[str, tuple[str, ...]] = {
    "server_running": (
        "vllm:num_requests_running",
        "sglang:num_running_reqs",
        "llamacpp:requests_processing",
        "tgi_batch_current_size",
    ),
    "server_waiting": (
        "vllm:num_requests_waiting",
        "sglang:num_queue_reqs",
        "llamacpp:requests_deferred",
        "tgi_queue_size",
    ),
    "server_kv_share": (
        "vllm:kv_cache_usage_perc",
        "vllm:gpu_cache_usage_perc",
        "sglang:token_usage",
        "llamacpp:kv_cache_usage_ratio",
    ),
    "server_prompt_tokens": (
        "vllm:prompt_tokens_total",
        "sglang:prompt_tokens_total",
        "llamacpp:prompt_tokens_total",
        "tgi_request_input_length_sum",
    ),
    "server_generated_tokens": (
        "vllm:generation_tokens_total",
        "sglang:generation_tokens_total",
        "llamacpp:tokens_predicted_total",
        "tgi_request_generated_tokens_sum",
    ),
    "server_cached_tokens": (
        "vllm:prefix_cache_hits_total",
        "sglang:cached_tokens_total",
        "llamacpp:prompt_tokens_cached_total",
    ),
    "server_preemptions": ("vllm:num_preemptions_total",),
    "server_queued_s": (
        "vllm:request_queue_time_seconds_sum",
        "sglang:queue_time_seconds_sum",
        "tgi_request_queue_duration_sum",
    ),
    "server_queued": (
        "vllm:request_queue_time_seconds_count",
        "sglang:queue_time_seconds_count",
        "tgi_request_queue_duration_count",
    ),
}
_HIGHEST = frozenset(("server_kv_share",))
_ALL = frozenset(name for names in COLUMNS.values() for name in names)
_LINE = re.compile(r"([A-Za-z_:][\w:]*)(?:\{.*\})?[ \t]+(\S+)")


def values(page: str) -> dict[str, float]:
    """Return our columns from a page in Prometheus' text format; nothing of a page that is none."""
    found: dict[str, list[float]] = {}
    for name, value in _known(page):
        found.setdefault(name, []).append(value)
    row: dict[str, float] = {}
    for column, names in COLUMNS.items():
        several = next((found[name] for name in names if name in found), None)
        if several is not None:
            row[column] = max(several) if column in _HIGHEST else sum(several)
    return row


def _known(page: str) -> Iterator[tuple[str, float]]:
    """Yield the lines that count; one that is no number is left out."""
    for line in page.splitlines():
        match = _LINE.match(line)
        if match is None or match[1] not in _ALL:
            continue
        try:
            value = float(match[2])
        except ValueError:
            continue
        if value == value and abs(value) != float("inf"):
            yield match[1], value
