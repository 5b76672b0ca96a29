"""Which settings does a run have? One row each, in the order of --help; the row says everything.

A setting whose default is None follows the profile, or does nothing. `Option` explains the columns.
"""

# Annotations are read as they stand, so they are not deferred here.
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import scenarios
from harness.options import names
from harness.options.kinds import (
    Count,
    CountOrNone,
    Dataset,
    FewOrNone,
    Folder,
    Gibibytes,
    Interval,
    Percent,
    Position,
    PositiveSeconds,
    Probability,
    Rate,
    Seconds,
    Seed,
    Share,
)
from harness.options.option import (
    JUDGE,
    LOAD,
    MODEL,
    OUT,
    REQUIRED,
    SERVER,
    Loadgen,
    declare,
    option,
)
from harness.options.percentiles import Percentiles

if TYPE_CHECKING:
    from harness.kernel.types import RunSettings

ROUND = "v6.1"  # MLPerf's, whose profiles and seeds are the defaults
Issue = Literal["random", "unique", "same", "equal", "unique+equal", "same+equal"]
_LOADGENS_MODES = ("submission", "accuracy", "performance", "find-peak")  # its mode = 0, 1, 2, 3


def issue_word(run: "RunSettings") -> str:
    """Return how samples are drawn, in the words of --issue."""
    words = [] if run.issue == "random" else [run.issue]
    return "+".join([*words, *["equal"] * run.equal_issue]) or "random"


def _seeds(run: "RunSettings") -> str:
    return f"{run.seeds.qsl},{run.seeds.sample_index},{run.seeds.schedule}"


def _seconds(ms: float) -> float:
    return ms / 1000


def _no_zero(value: float) -> float | None:
    return value or None


def _any_of(found: list[str]) -> str:
    """Return "a, b or c"."""
    return f"{', '.join(found[:-1])} or {found[-1]}"


class RunOptions:
    """One run as the user describes it. `OPTIONS` has the rows; the fields, plain defaults."""

    # fmt: off

    # ---- load

    scenario: str = option(
        LOAD, REQUIRED, f"Load to apply: {_any_of(scenarios.names())}.",
        is_name=True, check=names.scenario,
    )
    mode: Literal["performance", "accuracy", "submission", "find-peak"] = option(
        LOAD, "performance",
        "What to run: performance, accuracy, submission (accuracy, then performance) or find-peak "
        "(search for the highest rate; server only). Default: performance.",
        is_asked=True, is_audits=True,
        loadgen=Loadgen("mode", lambda number: _LOADGENS_MODES[int(number)]),
    )
    profile: str = option(
        LOAD, "quick",
        "Set of defaults for run length and limits: quick, mlperf, or an MLPerf benchmark such as "
        "llama3.1-8b. Default: quick.",
        commands="run plan compare gate", is_name=True, check=names.profile,
    )
    target_qps: Rate | Literal["auto"] = option(
        LOAD, "auto",
        "Queries per second: the arrival rate in server, the expected rate elsewhere. auto (the "
        "default) measures it during the warm-up. Also --request-rate.",
        also="--request-rate", unit="/s", is_audits=True,
    )
    samples_per_query: Count = option(
        LOAD, 8, "Samples in each query (multi-stream only). Default: 8.", closed="same",
        loadgen=Loadgen("samples_per_query"),
    )
    min_duration: Seconds | None = option(
        LOAD, None, "Minimum run time, for example 90s or 1.5m.", unit="s",
        by_profile="min_duration_s", closed="at least", loadgen=Loadgen("min_duration", _seconds),
    )
    max_duration: PositiveSeconds | None = option(
        LOAD, None, "Stop issuing queries after this time.", unit="s",
        loadgen=Loadgen("max_duration", lambda ms: _no_zero(_seconds(ms))),
    )
    min_queries: Count | None = option(
        LOAD, None, "Minimum number of queries to issue.", by_profile="least_queries",
        closed="at least", loadgen=Loadgen("min_query_count"),
    )
    max_queries: Count | None = option(
        LOAD, None, "Maximum number of queries to issue.",
        loadgen=Loadgen("max_query_count", _no_zero),
    )
    seeds: str = option(
        LOAD, ROUND, "Random seeds: an MLPerf round such as v6.1, or QSL,SAMPLE,SCHEDULE.",
        commands="run plan compare gate", check=names.parse_seeds, held=_seeds,
    )
    issue: Issue | None = option(
        LOAD, None,
        "How samples are drawn: random, unique (each at most once), same (one sample throughout), "
        "equal (each equally often), unique+equal or same+equal.",
        held=issue_word, by_profile="issue", closed="same", is_audits=True,
    )
    same_index: Position = option(
        LOAD, 0, "Which loaded sample to repeat with --issue same, counting from 0.",
        loadgen=Loadgen("performance_issue_same_index"), is_audits=True,
    )
    performance_samples: CountOrNone | None = option(
        LOAD, None, "Number of samples a performance run draws from (0: all).",
        by_profile="performance_samples", of_library=True, closed="at least",
        loadgen=Loadgen("performance_sample_count_override"),
    )
    accuracy_samples: CountOrNone | None = option(
        LOAD, None, "Number of samples an accuracy run issues (0: all).",
        commands="run plan compare gate", held=lambda run: run.accuracy_samples or run.num_samples,
        by_profile="accuracy_samples", of_library=True, closed="at least",
        loadgen=Loadgen("accuracy_sample_count_override"),
    )
    warmup: FewOrNone | None = option(
        LOAD, None, "Number of samples to run before the measurement; they are not counted.",
    )
    driver: Literal["touchstone", "mlcommons"] = option(
        LOAD, "touchstone",
        "Who issues the queries: touchstone, or mlcommons (the official LoadGen).",
        commands="run compare",
    )
    clock: Literal["real", "virtual"] = option(
        LOAD, "real",
        "Clock to run on: real, or virtual, which skips all waiting (simulated SUT only).",
        commands="run compare",
    )

    # ---- limits and rules

    ttft_limit: PositiveSeconds | None = option(
        JUDGE, None, "Limit on the judged TTFT percentile, for example 2s.", unit="s",
        judged="tokens", by_profile="ttft_limit_s", closed="at most",
        loadgen=Loadgen("ttft_latency", _seconds),
    )
    tpot_limit: PositiveSeconds | None = option(
        JUDGE, None, "Limit on the judged TPOT percentile, for example 200ms.", unit="ms",
        judged="tokens", by_profile="tpot_limit_s", closed="at most",
        loadgen=Loadgen("tpot_latency", _seconds),
    )
    target_latency: PositiveSeconds | None = option(
        JUDGE, None,
        "Limit on the latency of whole answers, judged instead of TTFT and TPOT (server only).",
        unit="s", held=lambda run: run.target_latency_ns / 1e9 or None, judged="latency",
        by_profile="target_latency_s", closed="at most",
    )
    use_token_latencies: bool | None = option(
        JUDGE, None,
        "Judge TTFT and TPOT (server only); --no-use-token-latencies judges the latency of whole "
        "answers.",
        held=lambda run: run.use_tokens, by_profile="use_tokens", closed="same",
    )
    percentile: Percent | None = option(
        JUDGE, None, "Percentile that is judged, for example 90, 99 or 99.9.", unit="%",
        held=lambda run: 100 * run.percentile, by_profile="tail", closed="at least",
        loadgen=Loadgen("target_latency_percentile"),
    )
    infer_tokens: CountOrNone | None = option(
        JUDGE, None,
        "Number of tokens to assume per sample when none are counted, or 0 for none (LoadGen's "
        "infer_token_latencies).",
        held=lambda run: run.inferred_tokens_per_sample, by_profile="inferred_tokens_per_sample",
    )
    accuracy_log_target: CountOrNone = option(
        JUDGE, 0,
        "Number of answers, approximately, that a performance run copies into "
        "mlperf_log_accuracy.json.",
        loadgen=Loadgen("accuracy_log_sampling_target"),
    )
    accuracy_log_probability: Probability = option(
        JUDGE, 0.0, "The same as a probability per answer, from 0 to 1.",
        loadgen=Loadgen("accuracy_log_probability", lambda percent: 0.01 * percent),
    )
    accuracy_log_seed: Seed = option(
        JUDGE, 0, "Random seed that selects those answers.",
        loadgen=Loadgen("accuracy_log_rng_seed"),
    )
    sample_timeout: PositiveSeconds = option(
        JUDGE, 120.0,
        "Give a sample up after this time without progress: of the whole system while the sample "
        "waits, of the sample itself once it has begun.",
        unit="s", commands="run plan compare gate",
    )
    drain_timeout: Seconds = option(
        JUDGE, 10.0, "How long to wait for unfinished samples after Ctrl-C. Default: 10s.",
        unit="s", commands="run compare gate",
    )

    # ---- model and data

    model: str = option(
        MODEL, "smollm2-135m",
        "An alias (see harness list models), a model folder, a .gguf file, or a hub id such as "
        "owner/name. Default: smollm2-135m. With --base-url, the name that the server has for it; "
        "default: the only one it lists.",
        commands="run plan compare gate perplexity serve", needs="model", is_name=True,
        check=names.model,
    )
    variant: str = option(
        MODEL, "fp32", "Precision of the weights (see harness list variants). Default: fp32.",
        commands="run plan compare serve", needs="model", is_name=True, check=names.variant,
        by_sut=True,
    )
    dataset: Dataset = option(
        MODEL, "qa",
        "An embedded dataset (see harness list datasets), a file, or FORMAT:FILE. Default: qa "
        "(perplexity: stories).",
        commands="run plan compare gate perplexity", needs="dataset", check=names.dataset,
    )
    prompt_column: str | None = option(
        MODEL, None, "Column that holds the prompts.", commands="run plan compare gate",
    )
    reference_column: str | None = option(
        MODEL, None, "Column that holds the reference answers.", commands="run plan compare gate",
    )
    num_samples: Count | None = option(
        MODEL, None,
        "Number of samples to use from the dataset: each kind with its share, otherwise the first "
        "rows. Also --num-prompts.",
        also="--num-prompts", commands="run plan compare gate perplexity", of_library=True,
    )
    max_new_tokens: Count | None = option(
        MODEL, None, "Maximum length of an answer, in tokens.", unit="tokens",
        commands="run plan compare gate", by_profile="max_new_tokens", closed="same",
    )
    max_concurrency: Count | Literal["auto"] = option(
        MODEL, "auto",
        "Maximum number of requests in a batch. auto (the default): 32; for a model on a GPU as "
        "many as its cache has memory for, up to 256. Also --concurrency.", also="--concurrency",
        commands="run plan compare gate serve",
    )
    prefill_tokens: Count | None = option(
        MODEL, None, "Maximum number of prompt tokens fed in a step. Default: measured at load on a"
        " GPU, 512 on a CPU.", unit="tokens", commands="run compare gate serve", needs="model",
    )
    sut: str = option(
        MODEL, "local",
        "System under test: local (a model), served (a server at --base-url), simulated, null, that"
        " of a plug-in, or module:factory. Default: local, or served with --base-url.",
        is_name=True, check=names.sut, commands="run plan compare serve",
    )
    sut_options: dict[str, str | int | float | bool] = option(
        MODEL, {},
        "Option of the simulated SUT, for example ttft_ms=200; may be given several times.",
        first_flag="--sut-option", metavar="KEY=VALUE", commands="run plan compare serve",
    )
    device: str = option(
        MODEL, "auto", "Where the model runs: auto, cpu, cuda or cuda:1. Default: auto.",
        commands="run compare gate perplexity serve", needs="model", is_name=True,
        check=names.device,
    )
    device_map: str | None = option(
        MODEL, None, "Pass auto to let accelerate spread a model that does not fit on one device.",
        commands="run compare gate perplexity serve", needs="model",
    )
    replicas: Count = option(
        MODEL, 1, "Number of copies of the model that run side by side, each on a GPU of its own, "
        "or on a CPU on an equal share of the cores. Default: 1.", commands="run compare gate",
    )
    tf32: bool = option(
        MODEL, False, "Let GPUs multiply float32 in TF32: faster, 10 bits of mantissa, no"
        " reference. In gate for the candidates.",
        commands="run compare gate perplexity serve", needs="model",
    )
    adapter: Folder | None = option(
        MODEL, None, "LoRA adapter folder, as peft writes it, for the lora variants.",
        metavar="FOLDER", commands="run plan compare gate perplexity serve",
        check=names.adapter, needs="model",
    )
    merge_adapter: bool = option(
        MODEL, False, "Merge the adapter into the weights before running.",
        commands="run plan compare gate perplexity serve", needs="model",
    )
    kv_cache_gib: Gibibytes | None = option(
        MODEL, None,
        "Maximum size of the key-value cache, in GiB. Default: half the free memory; on a GPU, "
        "three quarters of it.", commands="run compare gate serve", needs="model",
    )
    truncate: bool = option(
        MODEL, False, "Cut prompts that exceed the model's context instead of refusing.",
        commands="run compare gate", needs="model",
    )
    trust_remote_code: bool = option(
        MODEL, False, "Allow Python code shipped with the model to run.",
        commands="run compare gate perplexity serve", needs="model",
    )
    evaluate: bool = option(
        MODEL, False,
        "After the run, score the reference answers: loss, perplexity, token accuracy.",
        commands="run",
    )
    in_process: bool = option(
        MODEL, False, "Run the model in the driver's own process (for debugging).",
        commands="run compare gate perplexity",
    )

    # ---- server

    base_url: str | None = option(
        SERVER, None,
        "Address of a server that speaks the OpenAI API, for example http://localhost:8000/v1.",
        metavar="URL", commands="run plan compare gate", check=names.base_url,
    )
    endpoint: Literal["auto", "chat", "completions"] = option(
        SERVER, "auto",
        "Which of the API's calls to use: chat, completions or auto. Default: auto.",
        commands="run plan compare gate", needs="server",
    )
    tokenizer: str | None = option(
        SERVER, None,
        "Tokenizer of the served model (a folder, an alias or a hub id), where the server sends no"
        " token ids.",
        commands="run plan compare gate perplexity", needs="server",
    )
    api_key_env: str | None = option(
        SERVER, None,
        "Environment variable that holds the API key. Default: TOUCHSTONE_API_KEY, then"
        " OPENAI_API_KEY.",
        metavar="NAME", commands="run compare gate perplexity", needs="server",
    )
    ca_file: Path | None = option(
        SERVER, None, "Certificates to trust, as a PEM file.", metavar="FILE.pem",
        commands="run compare gate perplexity", needs="server", check=names.certificates,
    )
    insecure: bool = option(
        SERVER, False, "Accept any certificate.", commands="run compare gate perplexity",
        needs="server",
    )
    shared_prefix: bool = option(
        SERVER, False,
        "Send the prompts as they are, so that the server's prefix cache may know them.",
        commands="run compare gate", needs="server",
    )
    error_budget: Share = option(
        SERVER, 0.0, "Percentage of samples that may fail in a valid run. Default: 0.", unit="%",
        commands="run compare gate", needs="server", closed="at most",
    )
    server_python: Path | None = option(
        SERVER, None, "Python that has the server to be started (--sut vllm, sglang).",
        metavar="FILE", commands="run compare gate", needs="server",
    )
    server_args: tuple[str, ...] = option(
        SERVER, (), "Argument for the server to be started; may be given several times.",
        first_flag="--server-arg", metavar="ARG", commands="run compare gate", needs="server",
    )

    # ---- output

    percentiles: Percentiles = option(
        OUT, (),
        "Percentiles to show of each latency, for example 50,99,99.99. They change no verdict.",
        metavar="LIST", commands="run compare report",
    )
    telemetry_interval: Interval = option(
        OUT, 0.1,
        "How often the GPUs of a run are sampled, from 10ms to 1s. Default: 100ms. Processes and "
        "servers are sampled once a second.", unit="s", commands="run compare gate",
    )
    output_dir: Path = option(
        OUT, Path("runs"), "Folder in which to create the run folder. Default: runs.",
        metavar="FOLDER", commands="run compare gate perplexity", is_place=True, is_audits=True,
    )

    # fmt: on


OPTIONS = declare(RunOptions)
