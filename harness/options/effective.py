"""What holds in a run, and who said so: a flag, a file's line, a profile, the library, the search,
or nobody.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from harness import registry
from harness.kernel.privacy.secrets import hidden, hidden_options
from harness.kernel.types import RunSettings
from harness.options.option import Option
from harness.options.run_options import OPTIONS
from harness.options.settings import RunConfig


class EffectiveSetting(NamedTuple):
    """What holds, and who said so: a flag, a file's line, a profile, or nobody (`default`)."""

    name: str
    value: Any
    unit: str
    origin: str


def effective(config: RunConfig, settings: RunSettings) -> list[EffectiveSetting]:
    """Return every setting of the run as it will hold, in the order of the flags."""
    return list(_rows(config, settings))


def _rows(config: RunConfig, settings: RunSettings) -> Iterator[EffectiveSetting]:
    entry = registry.sut_entry(config.sut)
    for option in OPTIONS.values():
        value, unit = option.value(config, settings), option.unit
        is_off = not option.is_settled and (value is False or value in ({}, ()))
        if option.is_place or not option.counts_for(entry) or is_off or value is None:
            continue
        if option.name == "dataset" and config.task is not None:
            continue
        if option.judged and (option.judged == "tokens") != settings.use_tokens:
            if option.name not in config.origins:
                continue
            unit += ", not judged"
        yield EffectiveSetting(option.name, _told(value), unit, _origin(option, config, settings))


def _origin(option: Option, config: RunConfig, settings: RunSettings) -> str:
    """Name who said what holds."""
    name, profile = option.name, config.chosen_profile
    if config.mode == "find-peak" and name == "target_qps":
        return "the search"
    if name == "target_qps" and not config.pattern.is_rated:
        return "the load"
    if name == "min_duration" and config.min_duration is None:
        is_profiles = settings.min_duration_ns == int(profile.min_duration_s * 1e9)
        return f"profile {config.profile}" if is_profiles else "the search"
    if name in config.origins:
        measured = name == "target_qps" and config.target_qps == "auto"
        return config.origins[name] + " auto" * measured
    if name == "target_qps":
        return "default: auto calibrates it in the warm-up"
    if name == "max_new_tokens" and config.task is not None:
        return "the task"
    if option.of_library and getattr(profile, option.by_profile or name, None) is None:
        return "the library's size"
    return f"profile {config.profile}" if option.by_profile else "default"


def _told(value: Any) -> Any:
    if isinstance(value, tuple):
        return ",".join(item if isinstance(item, str) else f"{item:.6g}" for item in value)
    if isinstance(value, dict):
        return str(hidden_options(value))
    return hidden(str(value)) if isinstance(value, Path | str) else value
