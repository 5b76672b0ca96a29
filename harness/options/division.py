"""Closed or open: may a run's figures stand beside MLPerf's of the same benchmark, and if not, what
differs?

Closed: model, dataset, generation limits and rules are those of the run's profile. Everything else
is open, and says where it differs. Whether the run kept its limits is another matter (`status`),
and so is what only MLPerf can grant: a result of MLPerf needs the logs of its own LoadGen
(`--driver mlcommons`), its accuracy, its audits and its review.

Stricter than the profile is not different: a longer run, a tighter limit, more queries.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from harness import registry
from harness.kernel.types import RunSettings, short_name
from harness.options.effective import issue_word
from harness.options.profiles import ROUND, SEEDS, Profile
from harness.options.settings import RunConfig


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
    config: RunConfig, settings: RunSettings, dataset: Mapping[str, Any], facts: Mapping[str, Any]
) -> Division:
    """`dataset` is what its loader says of it (name, format, rows), `facts` what the SUT says of
    itself.
    """
    rows = [
        *_task(config, dataset),
        *_generation(config, settings, facts),
        *_rules(config, settings),
    ]
    differs = tuple(row for row, is_same in rows if not is_same)
    return Division("open" if differs else "closed", differs)


def official_lacks(profile: Profile, found: Division | None) -> list[str]:
    """Name what keeps the figures of a VALID run from being set beside MLPerf's.

    Its model, data, length, limits and rules must be those of a profile of MLPerf, which is what
    the closed division asks. `found` is None where the division could not be told.
    """
    if not profile.official:
        return ["profile"]
    if found is None:
        return ["division"]
    return [difference.name for difference in found.differs]


Checked = tuple[Difference, bool]


def _task(config: RunConfig, dataset: Mapping[str, Any]) -> Iterator[Checked]:
    """What is asked, and of whom. Only names are compared, so a renamed model goes unnoticed."""
    profile, is_model = config.chosen_profile, registry.sut_entry(config.sut).runs_model
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
        Difference("model", config.model, profile.models[0]),
        _plain(config.model) in map(_plain, profile.models),
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
    """Some benchmarks have another dataset for accuracy."""
    return config.mode == "accuracy" and rows == config.chosen_profile.accuracy_samples


def _plain(name: str) -> str:
    """A name without its owner or folder, however it is spelt."""
    return re.sub(r"[^a-z0-9]", "", short_name(name.lower()))


def _generation(
    config: RunConfig, settings: RunSettings, facts: Mapping[str, Any]
) -> Iterator[Checked]:
    asked = config.chosen_profile.max_new_tokens
    yield (
        Difference("max_new_tokens", settings.max_new_tokens, asked, "tokens"),
        settings.max_new_tokens == asked,
    )
    cut = len(facts.get("truncated_samples") or ())
    yield Difference("truncated prompts", cut, 0), not cut


def _rules(config: RunConfig, settings: RunSettings) -> Iterator[Checked]:
    """How it is issued and judged. Where more is stricter, more is fine; the same for less."""
    s, profile = settings, config.chosen_profile
    pattern = config.pattern
    least, tail = profile.least_queries(s.scenario), profile.tail(s.scenario)
    if pattern.loadgen is None:
        yield Difference("scenario", s.scenario, "one of MLPerf's", by="division"), False
    yield Difference("percentile", 100 * s.percentile, 100 * tail, "%"), s.percentile >= tail
    yield _at_least("min_duration", s.min_duration_ns / 1e9, profile.min_duration_s, "s")
    yield _at_least("min_queries", s.min_queries, least)
    loaded = profile.performance_samples or 0
    if _is_accuracy_set(config, s.num_samples):
        loaded = s.num_samples
    yield _at_least("performance_samples", s.performance_samples, loaded)
    if s.accuracy_samples:
        all_of_them = min(profile.accuracy_samples or s.num_samples, s.num_samples)
        yield _at_least("accuracy_samples", s.accuracy_samples, all_of_them)
    if pattern.sized_by_user:
        yield Difference("samples_per_query", s.samples_per_query, 8), s.samples_per_query == 8
    if pattern.has_limits:
        yield from _limits(config, settings)
    else:
        tokens = Difference("use_token_latencies", s.use_tokens, profile.use_tokens)
        yield tokens, s.use_tokens == profile.use_tokens
    issue, asked = issue_word(s), "equal" if profile.equal_issue else "random"
    yield Difference("issue", issue, asked), issue == asked
    yield Difference("seeds", config.seeds, f"those of {ROUND}"), s.seeds == SEEDS[ROUND]


def _limits(config: RunConfig, s: RunSettings) -> Iterator[Checked]:
    profile = config.chosen_profile
    if profile.target_latency_s is not None and s.use_tokens:
        yield Difference("use_token_latencies", True, "a limit of the whole latency"), False
    elif profile.target_latency_s is not None:
        limit_s = s.target_latency_ns / 1e9 if s.target_latency_ns else None
        fine = limit_s is not None and limit_s <= profile.target_latency_s
        yield Difference("target_latency", limit_s, profile.target_latency_s, "s"), fine
    elif not s.use_tokens:
        yield (
            Difference("target_latency", s.target_latency_ns / 1e9, "limits of TTFT and TPOT", "s"),
            False,
        )
    else:
        yield _at_most("ttft_limit", s.ttft_limit_ns / 1e9, profile.ttft_limit_s, "s")
        yield _at_most("tpot_limit", s.tpot_limit_ns / 1e6, profile.tpot_limit_s * 1e3, "ms")


def _at_least(name: str, value: float, asked: float, unit: str = "") -> Checked:
    return Difference(name, value, asked, unit), value >= asked


def _at_most(name: str, value: float, asked: float, unit: str = "") -> Checked:
    return Difference(name, value, asked, unit), value <= asked + 1e-9
