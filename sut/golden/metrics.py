"""What does /metrics say? The counters of the golden server under the names of vLLM, SGLang,
llama.cpp or TGI, as their own code has them.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Counts:
    running: int = 0
    received: int = 0
    finished: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    generated_tokens: int = 0


def page(names: str, model: str, counts: Counts) -> bytes:
    """Return the page in Prometheus' text format."""
    rows = _ROWS[names](counts)
    label = f'{{engine="0",model_name="{model}"}}' if names in ("vllm", "sglang") else ""
    lines = []
    for name, kind, value in rows:
        lines += [f"# HELP {name} {name}", f"# TYPE {name} {kind}", f"{name}{label} {value}"]
    return ("\n".join(lines) + "\n").encode()


Rows = list[tuple[str, str, float]]


def _vllm(c: Counts) -> Rows:
    return [
        ("vllm:num_requests_running", "gauge", c.running),
        ("vllm:num_requests_waiting", "gauge", 0.0),
        ("vllm:kv_cache_usage_perc", "gauge", min(c.running / 100, 1.0)),
        ("vllm:prompt_tokens_total", "counter", c.prompt_tokens),
        ("vllm:generation_tokens_total", "counter", c.generated_tokens),
        ("vllm:num_preemptions_total", "counter", 0.0),
        ("vllm:prefix_cache_queries_total", "counter", c.prompt_tokens),
        ("vllm:prefix_cache_hits_total", "counter", c.cached_tokens),
        ("vllm:request_success_total", "counter", c.finished),
        ("vllm:request_queue_time_seconds_sum", "counter", 0.0),
        ("vllm:request_queue_time_seconds_count", "counter", c.finished),
    ]


def _sglang(c: Counts) -> Rows:
    return [
        ("sglang:num_running_reqs", "gauge", c.running),
        ("sglang:num_queue_reqs", "gauge", 0.0),
        ("sglang:token_usage", "gauge", min(c.running / 100, 1.0)),
        ("sglang:prompt_tokens_total", "counter", c.prompt_tokens),
        ("sglang:generation_tokens_total", "counter", c.generated_tokens),
        ("sglang:cached_tokens_total", "counter", c.cached_tokens),
        ("sglang:num_requests_total", "counter", c.finished),
    ]


def _llamacpp(c: Counts) -> Rows:
    return [
        ("llamacpp:prompt_tokens_total", "counter", c.prompt_tokens - c.cached_tokens),
        ("llamacpp:tokens_predicted_total", "counter", c.generated_tokens),
        ("llamacpp:requests_processing", "gauge", c.running),
        ("llamacpp:requests_deferred", "gauge", 0.0),
    ]


def _tgi(c: Counts) -> Rows:
    return [
        ("tgi_batch_current_size", "gauge", c.running),
        ("tgi_queue_size", "gauge", 0.0),
        ("tgi_request_count", "counter", c.received),
        ("tgi_request_success", "counter", c.finished),
        ("tgi_request_input_length_sum", "counter", c.prompt_tokens),
        ("tgi_request_generated_tokens_sum", "counter", c.generated_tokens),
    ]


_ROWS = {"vllm": _vllm, "sglang": _sglang, "llamacpp": _llamacpp, "tgi": _tgi}
