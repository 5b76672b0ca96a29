"""Which settings are impossible together with a load that is not LoadGen's?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import scenarios
from scenarios.loads import DEFAULT, load_of

if TYPE_CHECKING:
    from harness.options.settings import RunConfig


def of_load(config: RunConfig) -> Iterator[str]:
    """Yield a sentence for each, with what to do about it."""
    if config.load == DEFAULT:
        return
    flag, load = f"--load {config.load}", load_of(config.load)
    entry = scenarios.entry(config.scenario)
    if not (entry.is_open and entry.has_limits):
        yield (
            f"{flag}: only the server scenario has a load of its own; this is {config.scenario}."
        )
        return
    if config.mode in ("accuracy", "submission"):
        yield (
            f"{flag}: --mode {config.mode} follows MLPerf's rules, whose load is poisson; leave"
            " --load out, or use --mode performance."
        )
    if config.mode == "find-peak" and not load.has_peak:
        yield (
            f"{flag}: it has no rate of queries to search for; use poisson, gamma or constant with"
            " --mode find-peak."
        )
    if config.driver == "mlcommons":
        yield f"{flag}: the official LoadGen knows only poisson; leave --driver or --load out."
    if not load.is_rated and "target_qps" in config.origins and config.target_qps != "auto":
        yield f"{flag}: it says its own rate; leave {config.origins['target_qps']} out."
    if load.brings_samples and config.issue is not None:
        yield f"{flag}: its file says what is asked, and in what order; leave --issue out."


def of_lengths(config: RunConfig, uses_dataset: bool) -> Iterator[str]:
    """Yield what stands against wanted lengths of prompts and answers."""
    flags = {"--input-tokens": config.input_tokens, "--output-tokens": config.output_tokens}
    for flag in (flag for flag, asked in flags.items() if asked is not None):
        if config.mode in ("accuracy", "submission"):
            yield (
                f"{flag}: --mode {config.mode} scores the answers to the dataset's own prompts;"
                f" leave {flag} out."
            )
        if load_of(config.load).brings_samples:
            yield f"{flag}: the lengths are those of the load's file; leave {flag} out."
        if config.driver == "mlcommons":
            yield f"{flag}: leave it out with --driver mlcommons, whose runs follow MLPerf's rules."
    if config.input_tokens is not None and not uses_dataset:
        yield f"--input-tokens: --sut {config.sut} reads no prompts; leave it out."
    if config.output_tokens is not None and config.max_new_tokens is not None:
        yield "--output-tokens and --max-new-tokens: give one of the two."
