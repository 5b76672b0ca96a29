"""Which settings are allowed by themselves and impossible together: with this scenario, this SUT,
this driver, or with each other?
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from harness import registry
from harness.kernel.entries import SutEntry
from harness.loads.attempts import of_attempts
from harness.loads.refused import of_lengths, of_load
from harness.options.run_options import OPTIONS
from scenarios.loads import DEFAULT, file_of

if TYPE_CHECKING:
    from harness.options.settings import RunConfig

MAX_SAMPLES = 50_000_000  # in a plan: it is made before the clock starts
MAX_SECONDS = 1e8  # three years: nanoseconds must fit into 64 bits


def contradictions(config: RunConfig) -> list[str]:
    """Return a sentence for each, with what to do about it. Raises BadInput, SetupFailed."""
    entry = registry.sut_entry(config.sut)
    return [
        *_of_sut(config, entry),
        *_of_started(config, entry),
        *_of_replicas(config, entry),
        *_of_scenario(config),
        *_of_task(config, entry),
        *of_attempts(config),
        *of_load(config),
        *of_lengths(config, entry.uses_dataset),
        *_of_loadgen(config),
        *_of_evidence(config, entry),
        *_of_limits(config),
        *_of_issue(config),
        *_of_driver(config),
        *_of_ends(config),
        *_of_size(config),
    ]


def _of_sut(config: RunConfig, entry: SutEntry) -> Iterator[str]:
    if config.clock == "virtual" and entry.real_time:
        yield (
            f"--clock virtual: the {config.sut} SUT {entry.real_time}; use it with --sut simulated."
        )
    if config.base_url is not None and not entry.asks_server:
        yield f"--base-url: --sut {config.sut} asks no server; leave one of the two out."
    if config.base_url is not None and entry.starts_server:
        yield f"--base-url: --sut {config.sut} starts its server itself; leave one of the two out."
    if config.base_url is None and entry.asks_server and not entry.starts_server:
        yield f"--sut {config.sut}: --base-url is missing, for example http://localhost:8000/v1."
    if config.sut_options and (entry.runs_model or entry.asks_server):
        yield f"--sut-option: {config.sut} takes none; use --variant, --device and the other flags."


def _of_started(config: RunConfig, entry: SutEntry) -> Iterator[str]:
    """What a server that is started here can be asked, and nothing else."""
    if not entry.starts_server and (config.server_python or config.server_args):
        flag = "--server-python" if config.server_python else "--server-arg"
        yield f"{flag}: --sut {config.sut} starts no server; use --sut vllm, for example."
    if not entry.starts_server:
        return
    local = {
        "--device-map": config.device_map is not None,
        "--merge-adapter": config.merge_adapter,
        "--tf32": config.tf32,
        "--evaluate": config.evaluate,
    }
    for flag in (flag for flag, is_given in local.items() if is_given):
        yield f"{flag}: only a local model can do this; leave it out with --sut {config.sut}."


def _of_replicas(config: RunConfig, entry: SutEntry) -> Iterator[str]:
    """Replicas have processes of their own, and each has a GPU of its own."""
    if config.replicas == 1:
        return
    flag = f"--replicas {config.replicas}"
    if entry.asks_server:
        yield f"{flag}: a server has its own replicas; leave it out with --sut {config.sut}."
    elif not entry.isolated:
        yield f"{flag}: --sut {config.sut} has no process of its own; leave one of the two out."
    elif config.in_process:
        yield f"{flag}: each replica needs a process of its own; leave --in-process out."
    if ":" in config.device and entry.runs_model:
        yield (
            f"{flag}: --device {config.device} is a single GPU, and each replica needs its own; use"
            " --device cuda, and CUDA_VISIBLE_DEVICES to choose the GPUs."
        )


def _of_scenario(config: RunConfig) -> Iterator[str]:
    if config.mode == "find-peak" and not config.pattern.has_limits:
        yield (
            "--mode find-peak: only the server scenario has a rate to search for; this is"
            f" {config.scenario}."
        )


def _of_task(config: RunConfig, entry: SutEntry) -> Iterator[str]:
    """What would be left aside without a word, or make the answers to a task answers to nothing."""
    of_dataset = ("dataset", "prompt_column", "reference_column")
    if config.task is None:
        with_task = [OPTIONS[name] for name in ("shots", "shots_file", "chat")]
        given = [each.flag for each in with_task if getattr(config, each.name) != each.default]
        yield from (f"{flag}: it is for --task; pass that, or leave {flag} out." for flag in given)
        return
    for flag in (config.origins[name] for name in of_dataset if name in config.origins):
        yield f"{flag}: the questions are those of --task; leave one of the two out."
    if config.input_tokens is not None:
        yield "--input-tokens: it makes prompts that ask no task; leave it or --task out."
    if file_of(config.load):
        yield f"--load {config.load}: it brings prompts of its own; leave it or --task out."
    if not entry.uses_dataset:
        yield f"--task: --sut {config.sut} answers no questions; use --sut local or a server."


def _of_loadgen(config: RunConfig) -> Iterator[str]:
    """Yield what only a scenario of LoadGen's can have."""
    if config.pattern.loadgen is not None or config.load != DEFAULT:
        return
    why = f"LoadGen has no scenario {config.scenario}"
    if config.driver == "mlcommons":
        yield f"--driver mlcommons: {why}; leave --driver out."
    if config.mode == "submission":
        yield f"--mode submission: {why}, so there is nothing to submit; use --mode performance."


def _of_evidence(config: RunConfig, entry: SutEntry) -> Iterator[str]:
    """A SUT that sends neither token ids nor counts has no TPOT that could be judged."""
    judges_tokens = config.pattern.has_limits and config.judges_tokens
    if config.mode != "accuracy" and judges_tokens and entry.evidence == {"text"}:
        yield (
            f"--sut {config.sut}: it sends neither token ids nor counts, so TPOT cannot be judged;"
            " judge the whole latency instead, with --target-latency."
        )


def _of_limits(config: RunConfig) -> Iterator[str]:
    """Limits of tokens or of the whole latency: one of them is judged, and must be there."""
    tokens, token_limits = config.use_token_latencies, config.ttft_limit or config.tpot_limit
    if config.target_latency and not config.pattern.has_limits:
        yield (
            f"--target-latency: only the server scenario has this limit; this is {config.scenario}."
        )
    if config.target_latency and token_limits and tokens is None:
        yield (
            "--target-latency judges the whole latency instead of TTFT and TPOT; give one or the"
            " other, or say --use-token-latencies."
        )
    if tokens is False and config.pattern.has_limits and config.mode != "accuracy":
        where = config.origins.get("use_token_latencies", "--no-use-token-latencies")
        if not (config.target_latency or config.chosen_profile.target_latency_s):
            yield (
                f"{where}: without TTFT and TPOT the whole latency is judged, and it has no limit"
                " (LoadGen takes mlperf.conf's of 10 ms, or 0 for models with tokens); set"
                " target_latency too."
            )


def _of_issue(config: RunConfig) -> Iterator[str]:
    """Whole rounds of distinct queries need more of them than a query of several samples leaves."""
    rounds = config.issue == "unique+equal" and config.mode != "accuracy"
    if rounds and config.size_of_query > 1:
        yield (
            f"--issue unique+equal: {config.scenario} has fewer distinct queries than whole rounds"
            " need (LoadGen crashes); choose one of the two."
        )


def _of_driver(config: RunConfig) -> Iterator[str]:
    if config.driver == "mlcommons" and config.clock == "virtual":
        yield "--driver mlcommons: the official LoadGen works in real time; leave --clock out."
    if config.driver == "mlcommons" and config.mode == "find-peak":
        yield "--driver mlcommons: find-peak is Touchstone's own; leave --driver out."


def _of_ends(config: RunConfig) -> Iterator[str]:
    """A maximum must leave room for the minimum; a single query is not ended early."""
    least, least_s = config.least_queries, config.shortest_s
    if config.pattern.is_at_once and (config.max_queries or config.max_duration):
        yield (
            f"--max-queries and --max-duration: {config.scenario} is one query; use --min-queries"
            " to size it."
        )
    elif config.max_queries is not None and config.max_queries < least:
        whose = "" if config.min_queries else f" (of profile {config.profile})"
        yield f"--max-queries {config.max_queries} is below --min-queries {least}{whose}."
    elif config.max_duration is not None and config.max_duration < least_s:
        yield f"--max-duration {config.max_duration:g} s is below --min-duration {least_s:g} s."


def _of_size(config: RunConfig) -> Iterator[str]:
    """A plan must fit into memory, and its times into 64 bits."""
    least, rate = config.least_queries, config.expected_qps
    queries = max(least, 2.2 * rate * config.shortest_s, config.num_samples or 0)
    size = queries * config.size_of_query
    if size > MAX_SAMPLES:
        yield (
            f"the plan would have {size:,.0f} samples; at most {MAX_SAMPLES:,} fit: lower the rate,"
            " count or time."
        )
    if least / rate > MAX_SECONDS:
        yield (
            f"--target-qps {rate:g} would take {least / rate:,.0f} s for {least} queries; at most"
            f" {MAX_SECONDS:,.0f} s."
        )
