"""Which settings does each function take? Made by `python -m harness.schema`.

Those that say so may be lists, where the command makes several runs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, Required, TypedDict

Mode = Literal["performance", "accuracy", "submission", "find-peak"]
Search = Literal["sequential", "loadgen"]
Issue = Literal["random", "unique", "same", "equal", "unique+equal", "same+equal"]
Driver = Literal["touchstone", "mlcommons"]
Clock = Literal["real", "virtual"]
RunCode = Literal["off", "sandboxed", "unprotected"]
Endpoint = Literal["auto", "chat", "completions"]


class RunSettings(TypedDict, total=False):
    """Of `harness.run`."""

    scenario: Required[str]
    mode: Mode
    search: Search
    profile: str
    target_qps: float | Literal["auto"]
    load: str
    input_tokens: str
    output_tokens: str
    samples_per_query: int
    min_duration: float | str
    max_duration: float | str
    min_queries: int
    max_queries: int
    seeds: str
    issue: Issue
    same_index: int
    performance_samples: int
    accuracy_samples: int
    warmup: int
    driver: Driver
    clock: Clock
    ttft_limit: float | str
    tpot_limit: float | str
    target_latency: float | str
    use_token_latencies: bool
    percentile: float
    slo: str
    infer_tokens: int
    accuracy_log_target: int
    accuracy_log_probability: float
    accuracy_log_seed: int
    sample_timeout: float | str
    drain_timeout: float | str
    model: str
    variant: str
    dataset: str
    task: str
    shots: int
    shots_file: Path | str
    chat: bool
    run_code: RunCode
    prompt_column: str
    reference_column: str
    num_samples: int
    max_new_tokens: int
    max_concurrency: int | Literal["auto"]
    prefill_tokens: int
    sut: str
    sut_options: Mapping[str, str | int | float | bool]
    device: str
    device_map: str
    replicas: int
    tf32: bool
    adapter: Path | str
    merge_adapter: bool
    kv_cache_gib: float
    truncate: bool
    trust_remote_code: bool
    evaluate: bool
    in_process: bool
    attempts: int
    temperature: float
    top_p: float
    sampling_seed: int
    verifier: str
    base_url: str
    endpoint: Endpoint
    tokenizer: str
    api_key_env: str
    ca_file: Path | str
    insecure: bool
    shared_prefix: bool
    error_budget: float
    clients: Sequence[str]
    server_python: Path | str
    server_args: Sequence[str]
    percentiles: Sequence[str]
    no_page: bool
    telemetry_interval: float | str
    output_dir: Path | str
    user_conf: Sequence[Path | str]
    conf_model: str


class CompareSettings(TypedDict, total=False):
    """Of `harness.compare`."""

    scenario: str | Sequence[str]
    mode: Mode | Sequence[Mode]
    profile: str | Sequence[str]
    target_qps: float | Literal["auto"] | Sequence[float | Literal["auto"]]
    load: str | Sequence[str]
    input_tokens: str | Sequence[str]
    output_tokens: str | Sequence[str]
    samples_per_query: int | Sequence[int]
    min_duration: float | str | Sequence[float | str]
    max_duration: float | str | Sequence[float | str]
    min_queries: int | Sequence[int]
    max_queries: int | Sequence[int]
    seeds: str
    issue: Issue | Sequence[Issue]
    same_index: int | Sequence[int]
    performance_samples: int | Sequence[int]
    accuracy_samples: int | Sequence[int]
    warmup: int | Sequence[int]
    driver: Driver | Sequence[Driver]
    clock: Clock | Sequence[Clock]
    ttft_limit: float | str | Sequence[float | str]
    tpot_limit: float | str | Sequence[float | str]
    target_latency: float | str | Sequence[float | str]
    use_token_latencies: bool
    percentile: float | Sequence[float]
    slo: str
    infer_tokens: int | Sequence[int]
    accuracy_log_target: int | Sequence[int]
    accuracy_log_probability: float | Sequence[float]
    accuracy_log_seed: int | Sequence[int]
    sample_timeout: float | str | Sequence[float | str]
    drain_timeout: float | str | Sequence[float | str]
    model: str | Sequence[str]
    variant: str | Sequence[str]
    dataset: str
    task: str
    shots: int | Sequence[int]
    shots_file: Path | str
    chat: bool
    run_code: RunCode | Sequence[RunCode]
    prompt_column: str
    reference_column: str
    num_samples: int | Sequence[int]
    max_new_tokens: int | Sequence[int]
    max_concurrency: int | Literal["auto"] | Sequence[int | Literal["auto"]]
    prefill_tokens: int | Sequence[int]
    sut: str | Sequence[str]
    sut_options: Mapping[str, str | int | float | bool]
    device: str | Sequence[str]
    device_map: str
    replicas: int | Sequence[int]
    tf32: bool
    adapter: Path | str
    merge_adapter: bool
    kv_cache_gib: float | Sequence[float]
    truncate: bool
    trust_remote_code: bool
    in_process: bool
    attempts: int | Sequence[int]
    temperature: float | Sequence[float]
    top_p: float | Sequence[float]
    sampling_seed: int | Sequence[int]
    verifier: str
    base_url: str
    endpoint: Endpoint | Sequence[Endpoint]
    tokenizer: str
    api_key_env: str
    ca_file: Path | str
    insecure: bool
    shared_prefix: bool
    error_budget: float | Sequence[float]
    clients: Sequence[str]
    server_python: Path | str
    server_args: Sequence[str]
    percentiles: Sequence[str]
    telemetry_interval: float | str | Sequence[float | str]
    output_dir: Path | str
    user_conf: Sequence[Path | str]
    conf_model: str


class GateSettings(TypedDict, total=False):
    """Of `harness.gate`."""

    profile: str
    seeds: str
    accuracy_samples: int
    sample_timeout: float | str
    drain_timeout: float | str
    model: str
    dataset: str
    task: str | Sequence[str]
    shots: int
    shots_file: Path | str
    chat: bool
    run_code: RunCode
    prompt_column: str
    reference_column: str
    num_samples: int
    max_new_tokens: int
    max_concurrency: int | Literal["auto"]
    prefill_tokens: int
    device: str
    device_map: str
    replicas: int
    tf32: bool
    adapter: Path | str
    merge_adapter: bool
    kv_cache_gib: float
    truncate: bool
    trust_remote_code: bool
    in_process: bool
    attempts: int
    temperature: float
    top_p: float
    sampling_seed: int
    verifier: str
    base_url: str
    endpoint: Endpoint
    tokenizer: str
    api_key_env: str
    ca_file: Path | str
    insecure: bool
    shared_prefix: bool
    error_budget: float
    clients: Sequence[str]
    server_python: Path | str
    server_args: Sequence[str]
    telemetry_interval: float | str
    output_dir: Path | str


class PerplexitySettings(TypedDict, total=False):
    """Of `harness.perplexity`."""

    model: str
    dataset: str
    num_samples: int
    device: str
    device_map: str
    tf32: bool
    adapter: Path | str
    merge_adapter: bool
    trust_remote_code: bool
    in_process: bool
    tokenizer: str
    api_key_env: str
    ca_file: Path | str
    insecure: bool
    output_dir: Path | str


class EvaluateSettings(TypedDict, total=False):
    """Of `harness.evaluate`."""

    model: str
    variant: str
    max_concurrency: int | Literal["auto"]
    prefill_tokens: int
    sut: str
    sut_options: Mapping[str, str | int | float | bool]
    device: str
    device_map: str
    tf32: bool
    adapter: Path | str
    merge_adapter: bool
    kv_cache_gib: float
    trust_remote_code: bool
