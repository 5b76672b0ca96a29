"""What did the user ask for, and is it possible? Flags and TOML come in, checked values go out.

Every problem is reported at once, before anything is loaded. A flag wins over LoadGen's
configuration files, this over the TOML file, and all over the profile. Durations are seconds, or
text with a unit: 90, "90s", "1.5m", "200ms".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

import scenarios
from harness import registry
from harness.kernel.entries import ScenarioEntry, SutEntry
from harness.kernel.errors import BadInput, HarnessError, unknown
from harness.kernel.foreign.toml_file import read_toml
from harness.kernel.types import RunSettings
from harness.options import profiles
from harness.options.conf.read import Conf, ConfFile, read_named
from harness.options.contradictions import contradictions
from harness.options.kinds import is_time
from harness.options.names import parse_seeds
from harness.options.option import flag_of, name_of
from harness.options.profiles import Profile
from harness.options.run_options import OPTIONS, RunOptions
from scenarios.loads import load_of
from scenarios.peak.verdict import ADVISED_LIMITS_PER_STEP

_NAMES = {name_of(flag): name for name, option in OPTIONS.items() for flag in option.flags}
_UNCALIBRATED_QPS = 10.0
_OF_TASK = {"scenario": "offline", "mode": "accuracy"}  # where it is not said how it is asked
USUAL_ROWS = 32
Mode = Literal["performance", "accuracy"]


class RunConfig(RunOptions, BaseModel):
    """One run as the user described it; None means "as the profile says"."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    origins: dict[str, str] = {}  # of what the user set: "--min-queries", "user.conf, line 3"
    conf_files: tuple[ConfFile, ...] = ()  # LoadGen's that were read, and their idle lines
    loadgens_percentile: bool = False  # read from one: 57 * 0.01, another double than 57 / 100

    @property
    def chosen_profile(self) -> Profile:
        return profiles.TABLE[self.profile]

    @property
    def tokens_per_answer(self) -> int:
        return self.max_new_tokens or self._of_task or self.chosen_profile.max_new_tokens

    @property
    def _of_task(self) -> int:
        """How long an answer to the task may be; 0 without a task."""
        from accuracy.tasks import of_name

        return of_name(self.task).max_new_tokens if self.task else 0

    @property
    def pattern(self) -> ScenarioEntry:
        """What there is to know of its scenario, under its load."""
        return scenarios.under(scenarios.entry(self.scenario), self.load)

    @property
    def size_of_query(self) -> int:
        """Samples in a query, where the scenario leaves that to the user; else 1."""
        return self.samples_per_query if self.pattern.sized_by_user else 1

    @property
    def expected_qps(self) -> float:
        """The rate before it is measured."""
        own = load_of(self.load).qps(self.shortest_s)
        if own is not None:
            return own
        return _UNCALIBRATED_QPS if self.target_qps == "auto" else self.target_qps

    @property
    def rows(self) -> int:
        """Requests in a batch, before a model has found its own number."""
        return USUAL_ROWS if self.max_concurrency == "auto" else self.max_concurrency

    @property
    def least_queries(self) -> int:
        return self.min_queries or self.chosen_profile.least_queries(self.scenario)

    @property
    def judges_tokens(self) -> bool:
        """Are TTFT and TPOT judged? A limit of the whole latency is judged instead of them, unless
        it is said that they are (as LoadGen has it for its benchmarks with tokens).
        """
        if self.use_token_latencies is not None:
            return self.use_token_latencies
        return self.chosen_profile.use_tokens and not self.target_latency

    @property
    def shortest_s(self) -> float:
        """The minimum duration: the user's, or the profile's. A step of a search must show whether
        a queue grows, so it lasts a multiple of the limit that the queue would break.
        """
        profile = self.chosen_profile
        if self.min_duration is not None:
            return self.min_duration
        if self.mode != "find-peak":
            return profile.min_duration_s
        limit_s = self.target_latency or profile.target_latency_s or self.ttft_limit
        limits_s = ADVISED_LIMITS_PER_STEP * (limit_s or profile.ttft_limit_s)
        return max(profile.min_duration_s, limits_s)


Problem = str | HarnessError


def load_config(
    flags: Mapping[str, Any], file: Path | None = None, defaults: Mapping[str, Any] | None = None
) -> RunConfig:
    """Put flags that are not None over a TOML file over defaults. Raises BadInput naming every
    problem.
    """
    given = {name: value for name, value in flags.items() if value is not None}
    written = _read_toml(file) if file else {}
    values = {**(defaults or {}), **written, **given}
    origins = {name: file.name for name in written if file} | {name: _flag(name) for name in given}
    conf = read_named(values, given)
    values |= {name: setting.value for name, setting in conf.settings.items()}
    origins |= {name: setting.origin for name, setting in conf.settings.items()}
    values = {name: value for name, value in values.items() if value is not None}
    if "base_url" in values and "sut" not in values:
        values["sut"], origins["sut"] = "served", origins["base_url"]
    for name, value in _OF_TASK.items() if "task" in values else ():
        if name not in values:
            values[name], origins[name] = value, origins.get("task", "")
    if not _finds_its_rows(values):
        values.setdefault("max_concurrency", USUAL_ROWS)
    known = {name: value for name, value in values.items() if name in OPTIONS}
    problems: list[Problem] = [
        unknown("setting", name, OPTIONS) for name in values if name not in known
    ]
    config = _read(known, origins, conf, problems)
    problems += _unknown_names(known)
    problems += contradictions(config) if config and not problems else []
    if problems or config is None:
        raise _all(problems)
    return config


def _read(
    known: Mapping[str, Any], origins: Mapping[str, str], conf: Conf, problems: list[Problem]
) -> RunConfig | None:
    """Return the values as settings; None if one is wrong, with what is added to `problems`."""
    try:
        return RunConfig(
            **known,
            origins={name: origin for name, origin in origins.items() if name in known},
            conf_files=conf.files,
            loadgens_percentile="percentile" in conf.settings,
        )
    except ValidationError as error:  # of a union, the first alternative speaks
        complaints = {each["loc"][0]: each for each in reversed(error.errors())}
        from_files = {name: setting.origin for name, setting in conf.settings.items()}
        problems += [_sentence(each, from_files) for each in reversed(complaints.values())]
        return None


def run_settings(
    config: RunConfig,
    num_samples: int,
    target_qps: float,
    mode: Mode | None = None,
    longest: int | None = None,
) -> RunSettings:
    """Return what the scenario and the driver need, once the library's size and the rate are known.

    `mode` is the part to be run where the config's own mode has several (a submission); `longest`
    the most tokens of an answer, where samples have lengths of their own.
    """
    profile = config.chosen_profile
    percentile = profile.tail(config.scenario)
    if config.percentile is not None:
        percentile = config.percentile / 100
        if config.loadgens_percentile:
            percentile = config.percentile * 0.01
    own, asked = config.performance_samples, config.accuracy_samples
    wanted = profile.performance_samples if own is None else own
    if load_of(config.load).brings_samples:
        wanted = num_samples
    loaded = min(wanted or num_samples, num_samples)
    accuracy_samples = (profile.accuracy_samples if asked is None else asked) or None
    _check_library(config, loaded, min(accuracy_samples or num_samples, num_samples))
    ttft_limit_ns = _ns(config.ttft_limit, profile.ttft_limit_s)
    target_latency_ns = _ns(config.target_latency, profile.target_latency_s or 0.0)
    use_tokens = config.judges_tokens
    issue = (config.issue or profile.issue).split("+")
    infer = profile.inferred_tokens_per_sample
    return RunSettings(
        scenario=config.scenario,
        mode=mode or ("accuracy" if config.mode == "accuracy" else "performance"),
        seeds=parse_seeds(config.seeds),
        num_samples=num_samples,
        performance_samples=loaded,
        target_qps=target_qps,
        samples_per_query=config.size_of_query,
        min_queries=config.least_queries,
        min_duration_ns=_ns(config.shortest_s, 0.0),
        max_queries=config.max_queries,
        max_duration_ns=None if config.max_duration is None else _ns(config.max_duration, 0.0),
        percentile=percentile,
        ttft_limit_ns=ttft_limit_ns,
        tpot_limit_ns=_ns(config.tpot_limit, profile.tpot_limit_s),
        use_tokens=use_tokens,
        max_new_tokens=longest or config.tokens_per_answer,
        sample_timeout_ns=int(config.sample_timeout * 1e9),
        drain_timeout_ns=int(config.drain_timeout * 1e9),
        lag_limit_ns=(ttft_limit_ns if use_tokens else target_latency_ns) // 10,
        equal_issue="equal" in issue,
        accuracy_samples=accuracy_samples,
        issue=issue[0] if issue[0] in ("unique", "same") else "random",  # type: ignore[arg-type]
        same_index=config.same_index,
        target_latency_ns=target_latency_ns,
        inferred_tokens_per_sample=(
            infer if config.infer_tokens is None else config.infer_tokens or None
        ),
        accuracy_log_probability=config.accuracy_log_probability,
        accuracy_log_target=config.accuracy_log_target,
        accuracy_log_seed=config.accuracy_log_seed,
        own_limits=config.output_tokens is not None or config.load.startswith("trace:"),
        load=config.load,
    )


def _check_library(config: RunConfig, loaded: int, accuracy_samples: int) -> None:
    """Refuse what depends on the library's size, where LoadGen would read beyond it."""
    parts = config.mode in ("accuracy", "submission")
    smallest = (accuracy_samples % loaded or loaded) if parts else loaded
    if (config.issue or "").startswith("same") and config.same_index >= smallest:
        raise BadInput(
            "--same-index",
            f"it is {config.same_index}",
            f"{smallest} samples are loaded, from 0 on",
            "Lower it.",
        )


def _ns(own: float | None, default_s: float) -> int:
    """Seconds to whole nanoseconds; the nearest, so that 1.001 s are not a millisecond less."""
    return round((default_s if own is None else own) * 1e9)


def _read_toml(path: Path) -> dict[str, Any]:
    return by_setting(read_toml(path, "--config"), f"--config {path}")


def by_setting(written: Mapping[str, Any], doing: str) -> dict[str, Any]:
    """Return what a file says by the names of settings, whatever their spelling. Raises BadInput
    where one is given under two names.
    """
    names = [key.replace("-", "_") for key in written]
    values = dict(zip((_NAMES.get(name, name) for name in names), written.values(), strict=True))
    if len(values) < len(written):
        found, fine = "one setting appears under two names", "expected it once"
        raise BadInput(doing, found, fine, "Delete one of the two.")
    return values


def _unknown_names(values: Mapping[str, Any]) -> list[HarnessError]:
    """Return complaints about names in raw `values`; of the wrong type, pydantic has complained
    already.
    """
    entry = _sut_entry(_sut_name(values))
    found = []
    for name, option in OPTIONS.items():
        if option.check is None or not option.counts_for(entry):
            continue
        value = values.get(name)
        text = value if isinstance(value, str | Path) else option.default
        if isinstance(text, str | Path):
            check = partial(option.check_name, sut=_sut_name(values))
            found.append(_complaint(check, str(text)))
    return [complaint for complaint in found if complaint is not None]


def _finds_its_rows(values: Mapping[str, Any]) -> bool:
    """Tell whether the SUT finds out how many requests its device batches: a model of ours does."""
    entry = _sut_entry(_sut_name(values))
    return entry is not None and entry.runs_model and not entry.starts_server


def _sut_name(values: Mapping[str, Any]) -> str:
    name = values.get("sut")
    return name if isinstance(name, str) else str(OPTIONS["sut"].default)


def _sut_entry(name: str) -> SutEntry | None:
    """Return the entry of the SUT; None if it is not known."""
    try:
        return registry.sut_entry(name)
    except HarnessError:
        return None


def _complaint(check: Callable[[str], object], name: str) -> HarnessError | None:
    try:
        check(name)
    except HarnessError as error:
        return error
    return None


def _sentence(error: ErrorDetails, from_files: Mapping[str, str]) -> Problem:
    """Tell a complaint of pydantic: flag (and the line of the file that set it), value, limit."""
    field, found, context = str(error["loc"][0]), error["input"], error.get("ctx", {})
    option, name = OPTIONS[field], _flag(field)
    if field in from_files:
        name = f"{from_files[field]}: {name}"
    if error["type"] == "missing":
        fine = "expected one of " + ", ".join(scenarios.names())
        return BadInput("settings", f"{name} is missing", fine, f"Pass {name} server, for example.")
    limits = {
        "gt": "must be above",
        "ge": "must be at least",
        "lt": "must be below",
        "le": "must be at most",
    }
    for key, words in limits.items():
        if key in context:
            return f"{name} is {found}: it {words} {context[key]:,.10g}."
    told = error["msg"].removeprefix("Value error, ")
    expected = told.removeprefix("Input should be ").split(", unable")[0]
    if is_time(option.hint):
        expected += ", or a time such as 90s, 1.5m, 200ms"
    elif option.default == "auto":
        expected += " or auto"
    return f"{name} is {found!r}: it must be {expected}."


def _flag(name: str) -> str:
    return OPTIONS[name].flag if name in OPTIONS else flag_of(name)


def _all(problems: Sequence[Problem]) -> HarnessError:
    """Return one complaint as it is; several together, as one."""
    unique = {str(problem).rstrip("."): problem for problem in problems}
    first = next(iter(unique.values()))
    if len(unique) > 1:
        return BadInput("settings", f"{len(unique)} problems:\n  " + "\n  ".join(unique))
    return first if isinstance(first, HarnessError) else BadInput("settings", first.rstrip("."))
