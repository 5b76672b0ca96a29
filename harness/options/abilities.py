"""Which settings need something that this scenario or this SUT does not have?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from harness.kernel.entries import SutEntry
from harness.options.profiles import Profile

if TYPE_CHECKING:
    from harness.options.settings import RunConfig


def of_limits(config: RunConfig, profile: Profile) -> Iterator[str]:
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
        if not (config.target_latency or profile.target_latency_s):
            yield (
                f"{where}: without TTFT and TPOT the whole latency is judged, and it has no limit"
                " (LoadGen takes mlperf.conf's of 10 ms, or 0 for models with tokens); set"
                " target_latency too."
            )


def of_loadgen(config: RunConfig) -> Iterator[str]:
    """What only a scenario of LoadGen's can have."""
    if config.pattern.loadgen is not None:
        return
    why = f"LoadGen has no scenario {config.scenario}"
    if config.driver == "mlcommons":
        yield f"--driver mlcommons: {why}; leave --driver out."
    if config.mode == "submission":
        yield f"--mode submission: {why}, so there is nothing to submit; use --mode performance."


def of_evidence(config: RunConfig, entry: SutEntry, use_tokens: bool) -> Iterator[str]:
    """Who sends neither token ids nor counts has no TPOT that could be judged."""
    judges_tokens = config.pattern.has_limits and use_tokens
    if config.mode != "accuracy" and judges_tokens and entry.evidence == {"text"}:
        yield (
            f"--sut {config.sut}: it sends neither token ids nor counts, so TPOT cannot be judged;"
            " judge the whole latency instead, with --target-latency."
        )
