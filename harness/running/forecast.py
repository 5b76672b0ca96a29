"""What would a run do, and what in it contradicts itself? Without running it."""

from __future__ import annotations

from typing import Any, NamedTuple

from harness import registry
from harness.kernel.types import (
    RunSettings,
)
from harness.loads.library import longest
from harness.options.settings import RunConfig, run_settings
from harness.result.library import library
from harness.running.warmup import given_rate, warmup_samples


class Forecast(NamedTuple):
    """A run that is not made: its settings and schedule, a word on its length by label, and what
    contradicts itself in it.
    """

    settings: RunSettings
    schedule: Any
    sentences: dict[str, str]
    conflicts: list[Any]


def forecast(config: RunConfig) -> Forecast:
    """Settle, schedule and check a run as `harness plan` shows it."""
    drawn = library(config)
    tokens = longest(drawn.samples, config.tokens_per_answer)
    rate = given_rate(config, drawn.qps)
    settings = run_settings(config, len(drawn.samples), rate, longest=tokens)
    schedule = registry.scenario(config.scenario, drawn.rows).schedule(settings)
    from scenarios.forecast import forecast

    sentences = forecast(settings, schedule)
    if config.mode == "find-peak":
        sentences = {"length": f"each step of the search: {sentences['length']}"}
    rate_known = config.target_qps != "auto" or not config.pattern.is_rated
    found = conflicts_of(config, settings, schedule, rate_known)
    return Forecast(settings, schedule, sentences, found)


def conflicts_of(
    config: RunConfig, settings: RunSettings, schedule: Any, rate_known: bool
) -> list[Any]:
    from scenarios.conflicts import conflicts

    search = config.mode == "find-peak"
    warmup = warmup_samples(config, settings.num_samples)
    return conflicts(settings, schedule, warmup, search, rate_known)
