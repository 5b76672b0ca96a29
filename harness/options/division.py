"""Closed or open: may a run's figures stand beside MLPerf's of the same benchmark, and if not, what
differs?

Closed: model, dataset, generation limits and rules are those of the run's profile. Everything else
is open, and says where it differs. Whether the run kept its limits is another matter (`status`),
and so is what only MLPerf can grant: a result of MLPerf needs the logs of its own LoadGen
(`--driver mlcommons`), its accuracy, its audits and its review.

Stricter than the profile is not different: a longer run, a tighter limit, more queries.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from harness.kernel.types import RunSettings, short_name
from harness.options.option import Option
from harness.options.profiles import SEEDS
from harness.options.run_options import OPTIONS
from harness.options.settings import RunConfig
from harness.options.table.load import ROUND
from scenarios.loads import DEFAULT


class Difference(NamedTuple):
    """A setting of the run and what it would have to be; `by` says who asks for that: the run's
    profile, or the closed division whatever the profile.
    """

    name: str
    value: Any
    asked: Any
    unit: str = ""
    by: Literal["profile", "division"] = "profile"


@dataclass(frozen=True, slots=True)
class Division:
    name: Literal["closed", "open"]
    differs: tuple[Difference, ...]

    def to_json(self) -> dict[str, Any]:
        return {"name": self.name, "differs": [row._asdict() for row in self.differs]}


def division(
    config: RunConfig,
    settings: RunSettings,
    dataset: Mapping[str, Any],
    facts: Mapping[str, Any],
    runs_model: bool,
) -> Division:
    """Tell the division and what differs. `dataset` is what its loader says of it (name, format,
    rows), `facts` what the SUT says of itself.
    """
    rows = [
        *_task(config, dataset, facts, runs_model),
        *_held_to(config, settings),
        *_others(config, settings, facts),
    ]
    differs = tuple(row for row, is_same in rows if not is_same)
    return Division("open" if differs else "closed", differs)


def official_lacks(
    config: RunConfig, settings: RunSettings, found: Division | None, loadgen_valid: bool | None
) -> list[str]:
    """Name what keeps the figures of a VALID run from being set beside MLPerf's.

    Its model, data, length, limits and rules must be those of a profile of MLPerf, which is what
    the closed division asks; and the run itself must be one that MLPerf would take: of performance,
    by a scenario of the benchmark, on a real clock, of a system with a process of its own, asked
    the benchmark's own prompts, VALID by LoadGen's own conditions too. `found` is None where the
    division could not be told.
    """
    profile = config.chosen_profile
    if not profile.official:
        return ["profile"]
    asked = {
        "mode": settings.mode == "performance" and config.mode != "find-peak",
        "scenario": profile.is_measured_by(config.pattern) or not profile.models,
        "clock": config.clock == "real",
        "in_process": not config.in_process,
        "prompt_column": config.prompt_column is None,
        "infer_tokens": settings.inferred_tokens_per_sample == profile.inferred_tokens_per_sample,
        "loadgen_valid": bool(loadgen_valid),
    }
    differs = ["division"] if found is None else [row.name for row in found.differs]
    lacks = [*differs, *(name for name, is_so in asked.items() if not is_so)]
    return list(dict.fromkeys(lacks))


Checked = tuple[Difference, bool]


def _task(
    config: RunConfig, dataset: Mapping[str, Any], facts: Mapping[str, Any], is_model: bool
) -> Iterator[Checked]:
    """Check what is asked, and of whom. Only names are compared: a renamed model goes unnoticed."""
    profile = config.chosen_profile
    model = config.model if config.base_url is None else str(facts.get("model", ""))
    if not profile.models:
        yield (
            Difference(
                "profile",
                config.profile,
                "an MLPerf benchmark's, such as llama3.1-8b",
                by="division",
            ),
            False,
        )
    if not is_model:
        yield Difference("sut", config.sut, "one that runs a model", by="division"), False
    if not profile.models or not is_model:
        return
    kind, rows = dataset.get("format") or dataset["name"], dataset.get("rows")
    yield (
        Difference("model", model, profile.models[0]),
        _plain(model) in map(_plain, profile.models),
    )
    yield (
        Difference("weights", config.variant, "without further training"),
        not config.variant.startswith("lora"),
    )
    yield Difference("dataset", kind, profile.dataset), _plain(kind) == _plain(profile.dataset)
    yield (
        Difference("num_samples", rows, profile.performance_samples),
        rows == profile.performance_samples or _is_accuracy_set(config, rows),
    )


def _is_accuracy_set(config: RunConfig, rows: Any) -> bool:
    """Tell whether they are the samples of an accuracy run: some benchmarks have others for it."""
    return config.mode == "accuracy" and rows == config.chosen_profile.accuracy_samples


def _plain(name: str) -> str:
    """Return a name without its owner or folder, however it is spelt."""
    return re.sub(r"[^a-z0-9]", "", short_name(name.lower()))


def _held_to(config: RunConfig, settings: RunSettings) -> Iterator[Checked]:
    """Check every setting that has a rule (`Option.closed`)."""
    for option in OPTIONS.values():
        asked = _asked(option, config, settings) if option.closed else None
        if asked is not None:
            value = option.value(config, settings)
            is_fine = value is not None and _RULES[option.closed](value, asked)
            yield Difference(option.name, value, asked, option.unit), is_fine


_RULES: dict[str, Callable[[Any, Any], bool]] = {
    "at least": operator.ge,
    "at most": lambda value, asked: bool(value <= asked + 1e-9),
    "same": operator.eq,
}


def _asked(option: Option, config: RunConfig, s: RunSettings) -> Any:
    """Return what is asked of a setting; None where nothing is."""
    profile, pattern = config.chosen_profile, config.pattern
    if option.judged:
        is_judged = profile.use_tokens == s.use_tokens == (option.judged == "tokens")
        asked = option.of_profile(profile, s.scenario)
        return asked if is_judged and pattern.has_limits else None
    match option.name:
        case "performance_samples" if _is_accuracy_set(config, s.num_samples):
            return s.num_samples
        case "performance_samples":
            return profile.performance_samples or 0
        case "accuracy_samples":
            return min(profile.accuracy_samples or s.num_samples, s.num_samples)
        case "samples_per_query" if not pattern.sized_by_user:
            return None
        case "load" if not pattern.has_limits:
            return None
        case "use_token_latencies" if pattern.has_limits:
            return None
    return option.of_profile(profile, s.scenario) if option.by_profile else option.default


def _others(config: RunConfig, s: RunSettings, facts: Mapping[str, Any]) -> Iterator[Checked]:
    """Check what no setting's value alone decides."""
    profile = config.chosen_profile
    cut = len(facts.get("truncated_samples") or ())
    yield Difference("truncated prompts", cut, 0), not cut
    if config.pattern.loadgen is None and s.load == DEFAULT:
        yield Difference("scenario", s.scenario, "one of MLPerf's", by="division"), False
    for name in ("input_tokens", "output_tokens"):
        asked = getattr(config, name)
        yield Difference(name, asked, "the dataset's own", by="division"), asked is None
    if config.pattern.has_limits and s.use_tokens and not profile.use_tokens:
        yield Difference("use_token_latencies", True, "a limit of the whole latency"), False
    if config.pattern.has_limits and profile.use_tokens and not s.use_tokens:
        limit_s = s.target_latency_ns / 1e9
        yield Difference("target_latency", limit_s, "limits of TTFT and TPOT", "s"), False
    yield Difference("seeds", config.seeds, f"those of {ROUND}"), s.seeds == SEEDS[ROUND]
