"""What did the user ask for, and is it possible? Flags and TOML come in, checked values go out.

Every problem is reported at once, before anything is loaded. A flag wins over LoadGen's
configuration files, this over the TOML file, and all over the profile. Durations are seconds, or
text with a unit: 90, "90s", "1.5m", "200ms".
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

import scenarios
from accuracy.datasets.files import absolute, check_name
from harness import registry
from harness.kernel.entries import ScenarioEntry
from harness.kernel.errors import BadInput, HarnessError, unknown
from harness.kernel.places import wrong_path
from harness.kernel.types import RunSettings, Seeds
from harness.options import abilities, profiles
from harness.options.conf import ConfFile, read_named
from harness.options.percentiles import parse_percentiles
from harness.options.profiles import ROUND, SEEDS, Profile
from scenarios.peak_verdict import ADVISED_LIMITS_PER_STEP

_ALIASES = {
    "request_rate": "target_qps",
    "num_prompts": "num_samples",
    "concurrency": "max_concurrency",
    "sut_option": "sut_options",
}
_NOT_SET_BY_USERS = ("origins", "conf_files", "loadgens_percentile")
_DEVICES = ("auto", "cpu", "cuda", "cuda:1", "mps", "xpu")
_UNITS = {"ms": 1e-3, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}
MAX_QPS = 1e8  # ten nanoseconds between queries
MAX_SAMPLES = 50_000_000  # in a plan: it is made before the clock starts
MAX_SECONDS = 1e8  # three years: nanoseconds must fit into 64 bits
UNCALIBRATED_QPS = 10.0


def _refuse_bool(value: object) -> object:
    """True is an integer to Python, and never what a user meant by a number."""
    return f"{value}".lower() if isinstance(value, bool) else value


def parse_seconds(value: object) -> object:
    """ "200ms" -> 0.2; numbers pass; anything else is left for pydantic to refuse."""
    value = _refuse_bool(value)
    if isinstance(value, str) and (
        match := re.fullmatch(r"([0-9.]+(?:e-?\d+)?)\s*(ms|s|m|min|h)?", value.strip())
    ):
        try:
            return float(match[1]) * _UNITS[match[2] or "s"]
        except ValueError:
            return value
    return value


def _absolute_path(path: Path) -> Path:
    return path.expanduser().absolute()


Seconds = Annotated[float, BeforeValidator(parse_seconds), Field(ge=0, le=1e7, allow_inf_nan=False)]
Positive = Annotated[
    float, BeforeValidator(parse_seconds), Field(gt=0, le=1e7, allow_inf_nan=False)
]
Rate = Annotated[float, BeforeValidator(_refuse_bool), Field(gt=0, le=MAX_QPS, allow_inf_nan=False)]
Count = Annotated[int, BeforeValidator(_refuse_bool), Field(gt=0, le=2**31 - 1)]


CountOrAll = Annotated[int, BeforeValidator(_refuse_bool), Field(ge=0, le=2**31 - 1)]
CountOrNone = CountOrAll
Mode = Literal["performance", "accuracy"]
Issue = Literal["random", "unique", "same", "equal", "unique+equal", "same+equal"]


class RunConfig(BaseModel):
    """One run as the user described it; None means "as the profile says"."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    scenario: str
    sut: str = "local"
    sut_options: dict[str, str | int | float | bool] = {}
    model: str = "smollm2-135m"
    variant: str = "fp32"
    dataset: Annotated[str, AfterValidator(absolute)] = "qa"
    prompt_column: str | None = None
    reference_column: str | None = None
    mode: Literal["performance", "accuracy", "submission", "find-peak"] = "performance"
    driver: Literal["touchstone", "mlcommons"] = "touchstone"
    profile: str = "quick"
    target_qps: Rate | Literal["auto"] = "auto"
    samples_per_query: Count = 8
    num_samples: Count | None = None
    performance_samples: CountOrAll | None = None
    accuracy_samples: CountOrAll | None = None
    issue: Issue | None = None
    same_index: Annotated[int, BeforeValidator(_refuse_bool), Field(ge=0)] = 0
    percentile: (
        Annotated[float, BeforeValidator(_refuse_bool), Field(gt=0, lt=100, allow_inf_nan=False)]
        | None
    ) = None
    percentiles: Annotated[tuple[float, ...], BeforeValidator(parse_percentiles)] = ()
    max_new_tokens: Count | None = None
    min_duration: Seconds | None = None
    max_duration: Positive | None = None
    min_queries: Count | None = None
    max_queries: Count | None = None
    ttft_limit: Positive | None = None
    tpot_limit: Positive | None = None
    target_latency: Positive | None = None
    use_token_latencies: bool | None = None
    infer_tokens: CountOrNone | None = None
    accuracy_log_target: Annotated[
        int, BeforeValidator(_refuse_bool), Field(ge=0, le=2**31 - 1)
    ] = 0
    accuracy_log_probability: Annotated[
        float, BeforeValidator(_refuse_bool), Field(ge=0, le=1, allow_inf_nan=False)
    ] = 0.0
    accuracy_log_seed: Annotated[int, BeforeValidator(_refuse_bool), Field(ge=0, lt=2**64)] = 0
    seeds: str = ROUND
    max_concurrency: Count = 32
    warmup: Annotated[int, BeforeValidator(_refuse_bool), Field(ge=0, le=100_000)] | None = None
    sample_timeout: Positive = 120.0
    drain_timeout: Seconds = 10.0
    clock: Literal["real", "virtual"] = "real"
    in_process: bool = False
    device: str = "auto"
    device_map: str | None = None
    adapter: Annotated[Path, AfterValidator(_absolute_path)] | None = None
    merge_adapter: bool = False
    kv_cache_gib: (
        Annotated[float, BeforeValidator(_refuse_bool), Field(gt=0, le=1e6, allow_inf_nan=False)]
        | None
    ) = None
    truncate: bool = False
    trust_remote_code: bool = False
    evaluate: bool = False
    output_dir: Path = Path("runs")
    origins: dict[str, str] = {}  # of what the user set: "--min-queries", "user.conf, line 3"
    conf_files: tuple[ConfFile, ...] = ()  # LoadGen's that were read, and their idle lines
    loadgens_percentile: bool = False  # read from one: 57 * 0.01, another double than 57 / 100

    @property
    def chosen_profile(self) -> Profile:
        return profiles.TABLE[self.profile]

    @property
    def tokens_per_answer(self) -> int:
        return self.max_new_tokens or self.chosen_profile.max_new_tokens

    @property
    def pattern(self) -> ScenarioEntry:
        """What there is to know of its scenario."""
        return scenarios.entry(self.scenario)

    @property
    def size_of_query(self) -> int:
        """Samples in a query, where the scenario leaves that to the user; else 1."""
        return self.samples_per_query if self.pattern.sized_by_user else 1


Problem = str | HarnessError


def load_config(
    flags: Mapping[str, Any], file: Path | None = None, defaults: Mapping[str, Any] | None = None
) -> RunConfig:
    """Flags that are not None over a TOML file over defaults. Raises BadInput naming every
    problem.
    """
    given = {k: v for k, v in flags.items() if v is not None}
    written = _read_toml(file) if file else {}
    values = {**(defaults or {}), **written, **given}
    origins = {k: file.name for k in written if file} | {
        k: f"--{k.replace('_', '-')}" for k in given
    }
    conf = read_named(values, given)
    values |= {k: setting.value for k, setting in conf.settings.items()}
    origins |= {k: setting.origin for k, setting in conf.settings.items()}
    values = {k: v for k, v in values.items() if v is not None}
    settable = [key for key in RunConfig.model_fields if key not in _NOT_SET_BY_USERS]
    problems: list[Problem] = [unknown("setting", k, settable) for k in values if k not in settable]
    known = {key: value for key, value in values.items() if key in settable}
    config: RunConfig | None
    try:
        told = {key: origin for key, origin in origins.items() if key in known}
        config = RunConfig(
            **known,
            origins=told,
            conf_files=conf.files,
            loadgens_percentile="percentile" in conf.settings,
        )
    except ValidationError as error:
        config = None
        complaints = {
            e["loc"][0]: e for e in reversed(error.errors())
        }  # of a union, the first alternative speaks
        from_files = {name: setting.origin for name, setting in conf.settings.items()}
        problems += [_sentence(e, from_files) for e in reversed(complaints.values())]
    problems += _unknown_names(known)
    problems += _contradictions(config) if config and not problems else []
    if problems or config is None:
        raise _all(problems)
    return config


def parse_seeds(text: str) -> Seeds:
    """A round by name ("v6.1") or "QSL,SAMPLE,SCHEDULE"."""
    if text in SEEDS:
        return SEEDS[text]
    parts = text.split(",")
    if len(parts) == 3 and all(re.fullmatch(r"\s*\d+\s*", part) for part in parts):
        numbers = [int(part) for part in parts]
        if max(numbers) < 2**64:
            return Seeds(*numbers)
    raise unknown("seeds", text, SEEDS, "Or three integers below 2^64: QSL,SAMPLE,SCHEDULE.")


def run_settings(
    config: RunConfig, num_samples: int, target_qps: float, mode: Mode | None = None
) -> RunSettings:
    """What the scenario and the driver need, once the library's size and the rate are known.

    `mode` is the part to be run where the config's own mode has several (a submission).
    """
    profile = config.chosen_profile
    percentile = profile.tail(config.scenario)
    if config.percentile is not None:
        percentile = config.percentile / 100
        if config.loadgens_percentile:
            percentile = config.percentile * 0.01
    own, asked = config.performance_samples, config.accuracy_samples
    wanted = profile.performance_samples if own is None else own
    loaded = min(wanted or num_samples, num_samples)
    accuracy_samples = (profile.accuracy_samples if asked is None else asked) or None
    _check_library(config, loaded, min(accuracy_samples or num_samples, num_samples))
    ttft_limit_ns = _ns(config.ttft_limit, profile.ttft_limit_s)
    target_latency_ns = _ns(config.target_latency, profile.target_latency_s or 0.0)
    use_tokens = _use_tokens(config, profile)
    issue, _, equal = (config.issue or "").partition("+")
    equal_issue = profile.equal_issue if config.issue is None else "equal" in (issue, equal)
    infer = profile.inferred_tokens_per_sample
    return RunSettings(
        scenario=config.scenario,
        mode=mode or ("accuracy" if config.mode == "accuracy" else "performance"),
        seeds=parse_seeds(config.seeds),
        num_samples=num_samples,
        performance_samples=loaded,
        target_qps=target_qps,
        samples_per_query=config.size_of_query,
        min_queries=config.min_queries or profile.least_queries(config.scenario),
        min_duration_ns=_ns(shortest_s(config), 0.0),
        max_queries=config.max_queries,
        max_duration_ns=None if config.max_duration is None else _ns(config.max_duration, 0.0),
        percentile=percentile,
        ttft_limit_ns=ttft_limit_ns,
        tpot_limit_ns=_ns(config.tpot_limit, profile.tpot_limit_s),
        use_tokens=use_tokens,
        max_new_tokens=config.tokens_per_answer,
        sample_timeout_ns=int(config.sample_timeout * 1e9),
        drain_timeout_ns=int(config.drain_timeout * 1e9),
        lag_limit_ns=(ttft_limit_ns if use_tokens else target_latency_ns) // 10,
        equal_issue=equal_issue,
        accuracy_samples=accuracy_samples,
        issue=issue if issue in ("unique", "same") else "random",  # type: ignore[arg-type]
        same_index=config.same_index,
        target_latency_ns=target_latency_ns,
        inferred_tokens_per_sample=(
            infer if config.infer_tokens is None else config.infer_tokens or None
        ),
        accuracy_log_probability=config.accuracy_log_probability,
        accuracy_log_target=config.accuracy_log_target,
        accuracy_log_seed=config.accuracy_log_seed,
    )


def _use_tokens(config: RunConfig, profile: Profile) -> bool:
    """Are TTFT and TPOT judged? A limit of the whole latency is judged instead of them, unless it
    is said that they are (as LoadGen has it for its benchmarks with tokens).
    """
    if config.use_token_latencies is not None:
        return config.use_token_latencies
    return profile.use_tokens and not config.target_latency


def shortest_s(config: RunConfig) -> float:
    """The minimum duration: the user's, or the profile's. A step of a search must show whether a
    queue grows, so it lasts a multiple of the limit that the queue would break.
    """
    profile = config.chosen_profile
    if config.min_duration is not None:
        return config.min_duration
    if config.mode != "find-peak":
        return profile.min_duration_s
    limit_s = config.target_latency or profile.target_latency_s or config.ttft_limit
    return max(profile.min_duration_s, ADVISED_LIMITS_PER_STEP * (limit_s or profile.ttft_limit_s))


def _check_library(config: RunConfig, loaded: int, accuracy_samples: int) -> None:
    """What depends on the library's size, where LoadGen would read beyond it. Raises BadInput."""
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
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError:
        raise wrong_path(f"--config {path}", path, "expected a TOML file") from None
    except UnicodeDecodeError:
        found, fine = "it is not UTF-8 text", "expected a TOML file"
        raise BadInput(f"--config {path}", found, fine, "Check the path.") from None
    except tomllib.TOMLDecodeError as error:
        found, fine = f"it is not TOML ({error})", "expected lines such as target_qps = 10"
        raise BadInput(f"--config {path}", found, fine, "Correct the line.") from None
    names = [key.replace("-", "_") for key in data]
    values = dict(zip((_ALIASES.get(name, name) for name in names), data.values(), strict=True))
    if len(values) < len(data):
        raise BadInput(
            f"--config {path}",
            "one setting appears under two names",
            "expected it once",
            "Delete one of the two.",
        )
    return values


def _unknown_names(values: Mapping[str, Any]) -> list[HarnessError]:
    """Complaints about names in raw `values`; of the wrong type, pydantic has complained
    already.
    """
    from sut.model.find import check as check_model
    from sut.precision.lora import check_folder as check_adapter
    from sut.precision.table import TABLE as variants

    def text(field: str) -> str:
        value = values.get(field, RunConfig.model_fields[field].default)
        return value if isinstance(value, str) else str(RunConfig.model_fields[field].default)

    checks: list[Callable[[], object]] = [
        lambda: registry.sut_entry(text("sut")),
        lambda: _known("profile", text("profile"), profiles.TABLE, "profiles"),
        lambda: parse_seeds(text("seeds")),
    ]
    if "scenario" in values:
        checks.insert(0, lambda: scenarios.entry(text("scenario")))
    if _runs_model(text("sut")):
        checks += [
            lambda: _known("variant", text("variant"), variants, "variants"),
            lambda: check_model(text("model")),
            lambda: check_name(text("dataset")),
            lambda: _known("device", re.sub(r"^cuda:\d+$", "cuda:1", text("device")), _DEVICES),
        ]
        if isinstance(values.get("adapter"), str | Path):
            checks.append(lambda: check_adapter(Path(values["adapter"]).expanduser()))
    return [found for check in checks if (found := _complaint(check)) is not None]


def _contradictions(config: RunConfig) -> list[str]:
    """What is allowed by itself and impossible together."""
    found, profile, entry = [], config.chosen_profile, registry.sut_entry(config.sut)
    pattern = config.pattern
    least = config.min_queries or profile.least_queries(config.scenario)
    least_s = shortest_s(config)
    if config.clock == "virtual" and entry.real_time:
        found.append(
            f"--clock virtual: the {config.sut} SUT {entry.real_time}; use it with --sut simulated."
        )
    if config.sut_options and entry.runs_model:
        found.append(
            f"--sut-option: {config.sut} takes none; use --variant, --device and the other flags."
        )
    if config.mode == "find-peak" and not pattern.has_peak:
        found.append(
            "--mode find-peak: only the server scenario has a rate to search for; this is"
            f" {config.scenario}."
        )
    found += abilities.of_loadgen(config)
    found += abilities.of_evidence(config, entry, _use_tokens(config, profile))
    found += abilities.of_limits(config, profile)
    if (
        pattern.sized_by_user
        and config.mode != "accuracy"
        and config.issue == "unique+equal"
        and config.samples_per_query > 1
    ):
        found.append(
            f"--issue unique+equal: {config.scenario} has fewer distinct queries than whole rounds"
            " need (LoadGen crashes); choose one of the two."
        )
    if config.driver == "mlcommons" and config.clock == "virtual":
        found.append(
            "--driver mlcommons: the official LoadGen works in real time; leave --clock out."
        )
    if config.driver == "mlcommons" and config.mode == "find-peak":
        found.append("--driver mlcommons: find-peak is Touchstone's own; leave --driver out.")
    if pattern.is_at_once and (config.max_queries or config.max_duration):
        found.append(
            f"--max-queries and --max-duration: {config.scenario} is one query; use --min-queries"
            " to size it."
        )
    elif config.max_queries is not None and config.max_queries < least:
        whose = "" if config.min_queries else f" (of profile {config.profile})"
        found.append(f"--max-queries {config.max_queries} is below --min-queries {least}{whose}.")
    elif config.max_duration is not None and config.max_duration < least_s:
        found.append(
            f"--max-duration {config.max_duration:g} s is below --min-duration {least_s:g} s."
        )
    rate = UNCALIBRATED_QPS if config.target_qps == "auto" else config.target_qps
    size = max(least, 2.2 * rate * least_s, config.num_samples or 0) * config.size_of_query
    if size > MAX_SAMPLES:
        found.append(
            f"the plan would have {size:,.0f} samples; at most {MAX_SAMPLES:,} fit: lower the rate,"
            " count or time."
        )
    if least / rate > MAX_SECONDS:
        found.append(
            f"--target-qps {rate:g} would take {least / rate:,.0f} s for {least} queries; at most"
            f" {MAX_SECONDS:,.0f} s."
        )
    return found


def _runs_model(sut: str) -> bool:
    """Whether --model, --variant and so on count. Of an unknown SUT nobody can say."""
    try:
        return registry.sut_entry(sut).runs_model
    except HarnessError:
        return False


def _complaint(check: Callable[[], object]) -> HarnessError | None:
    try:
        check()
    except HarnessError as error:
        return error
    return None


def _known(kind: str, name: str, table: Iterable[str], listed: str = "") -> None:
    if name not in table:
        todo = f"See python -m harness list {listed}." if listed else ""
        raise unknown(kind, name, table, todo)


def _sentence(error: ErrorDetails, from_files: Mapping[str, str]) -> Problem:
    """One pydantic complaint as flag (and the line of the file that set it), value, limit."""
    field, found, context = str(error["loc"][0]), error["input"], error.get("ctx", {})
    name = "--" + field.replace("_", "-")
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
    also = (
        " or auto"
        if field == "target_qps"
        else ", or a time such as 90s, 1.5m, 200ms"
        if field in _TIMES
        else ""
    )
    return f"{name} is {found!r}: it must be {expected}{also}."


_TIMES = {
    "min_duration", "max_duration", "ttft_limit", "tpot_limit", "target_latency", "sample_timeout",
    "drain_timeout",
}  # fmt: skip


def _all(problems: Sequence[Problem]) -> HarnessError:
    """One complaint is made as it is; several are told together."""
    unique = {str(problem).rstrip("."): problem for problem in problems}
    first = next(iter(unique.values()))
    if len(unique) > 1:
        return BadInput("settings", f"{len(unique)} problems:\n  " + "\n  ".join(unique))
    return first if isinstance(first, HarnessError) else BadInput("settings", first.rstrip("."))
