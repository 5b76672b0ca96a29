"""What holds in a run, and who said so: a flag, a file's line, a profile, the library, the search,
or nobody.
"""

from __future__ import annotations

from collections.abc import Container, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from harness import registry
from harness.kernel.types import RunSettings
from harness.options.settings import RunConfig

_OF_THE_LIBRARY = {"num_samples", "performance_samples", "accuracy_samples"}
_OF_THE_PROFILE = {
    "min_duration", "min_queries", "ttft_limit", "tpot_limit", "target_latency", "percentile",
    "issue", "max_new_tokens", "performance_samples", "infer_tokens", "use_token_latencies",
    "accuracy_samples",
}  # fmt: skip
_NOT_OF_THE_RUN = {"origins", "conf_files", "loadgens_percentile", "output_dir"}
_OF_A_MODEL = {"variant", "model", "dataset", "device"}


class EffectiveSetting(NamedTuple):
    """What holds, and who said so: a flag, a file's line, a profile, or nobody (`default`)."""

    name: str
    value: Any
    unit: str
    origin: str


def effective(config: RunConfig, settings: RunSettings) -> list[EffectiveSetting]:
    """Every setting of the run as it will hold, in the order of the flags."""
    s, profile = settings, f"profile {config.profile}"
    limits: dict[str, tuple[Any, str]] = {"target_latency": (s.target_latency_ns / 1e9, "s")}
    if s.use_tokens:
        limits = {
            "ttft_limit": (s.ttft_limit_ns / 1e9, "s"),
            "tpot_limit": (s.tpot_limit_ns / 1e6, "ms"),
            "target_latency": (s.target_latency_ns / 1e9 or None, "s, not judged"),
        }
    values: dict[str, tuple[Any, str]] = {
        "scenario": (s.scenario, ""),
        "mode": (config.mode, ""),
        "profile": (config.profile, ""),
        "target_qps": (s.target_qps, "/s"),
        "samples_per_query": (s.samples_per_query, ""),
        "min_duration": (s.min_duration_ns / 1e9, "s"),
        "max_duration": (None if s.max_duration_ns is None else s.max_duration_ns / 1e9, "s"),
        "min_queries": (s.min_queries, ""),
        "max_queries": (s.max_queries, ""),
        "use_token_latencies": (s.use_tokens, ""),
        **limits,
        "percentile": (100 * s.percentile, "%"),
        "seeds": (",".join(map(str, (s.seeds.qsl, s.seeds.sample_index, s.seeds.schedule))), ""),
        "issue": (issue_word(s), ""),
        "same_index": (s.same_index, ""),
        "num_samples": (s.num_samples, ""),
        "performance_samples": (s.performance_samples, ""),
        "accuracy_samples": (s.accuracy_samples or s.num_samples, ""),
        "max_new_tokens": (s.max_new_tokens, "tokens"),
        "infer_tokens": (s.inferred_tokens_per_sample, ""),
        "accuracy_log_target": (s.accuracy_log_target, ""),
        "accuracy_log_probability": (s.accuracy_log_probability, ""),
        "accuracy_log_seed": (s.accuracy_log_seed, ""),
        "sample_timeout": (s.sample_timeout_ns / 1e9, "s"),
        "drain_timeout": (s.drain_timeout_ns / 1e9, "s"),
        "max_concurrency": (config.max_concurrency, ""),
        **{name: (getattr(config, name), "") for name in _what_is_asked(config)},
    }  # fmt: skip
    values |= {name: (value, "") for name, value in _others(config, values)}

    def origin(name: str) -> str:
        if config.mode == "find-peak" and name == "target_qps":
            return "the search"
        of_profile_s = config.chosen_profile.min_duration_s
        if name == "min_duration" and config.min_duration is None:
            return profile if s.min_duration_ns == int(of_profile_s * 1e9) else "the search"
        if name in config.origins:
            return config.origins[name] + (
                " auto" if name == "target_qps" and config.target_qps == "auto" else ""
            )
        if name == "target_qps":
            return "default: auto calibrates it in the warm-up"
        if name in _OF_THE_LIBRARY and getattr(config.chosen_profile, name, None) is None:
            return "the library's size"
        return profile if name in _OF_THE_PROFILE else "default"

    shown = [name for name in values if values[name][0] is not None]
    return [EffectiveSetting(name, *values[name], origin(name)) for name in shown]


def _what_is_asked(config: RunConfig) -> tuple[str, ...]:
    """Name the settings that say who answers, and what."""
    entry = registry.sut_entry(config.sut)
    if entry.runs_model:
        return "model", "variant", "dataset", "device"
    return ("sut", "dataset") if entry.uses_dataset else ("sut",)


def issue_word(settings: RunSettings) -> str:
    """How samples are chosen, in the words of --issue."""
    words = [] if settings.issue == "random" else [settings.issue]
    return "+".join([*words, *["equal"] * settings.equal_issue]) or "random"


def _others(config: RunConfig, shown: Container[str]) -> Iterator[tuple[str, Any]]:
    """What no RunSettings holds: whatever is set, as it was set."""
    uses_model = registry.sut_entry(config.sut).runs_model
    for name in RunConfig.model_fields:
        value = getattr(config, name)
        unset = value is None or value is False or value in ({}, ())
        if (
            unset
            or name in shown
            or name in _NOT_OF_THE_RUN
            or (name in _OF_A_MODEL and not uses_model)
        ):
            continue
        yield name, _told(value)


def _told(value: Any) -> Any:
    if isinstance(value, tuple):
        return ",".join(f"{item:.6g}" for item in value)
    return str(value) if isinstance(value, Path | dict) else value
