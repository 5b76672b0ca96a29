"""What load does a run apply, to how many samples, and who issues it?"""

# Annotations are read as they stand, so they are not deferred here.
from typing import TYPE_CHECKING, Literal

import scenarios
from harness.options import names
from harness.options.kinds import (
    Count,
    CountOrNone,
    FewOrNone,
    Load,
    Position,
    PositiveSeconds,
    Rate,
    Seconds,
)
from harness.options.option import LOAD, REQUIRED, Loadgen, option

if TYPE_CHECKING:
    from harness.kernel.types import RunSettings

ROUND = "v6.1"  # MLPerf's, whose profiles and seeds are the defaults
Issue = Literal["random", "unique", "same", "equal", "unique+equal", "same+equal"]
_LOADGENS_MODES = ("submission", "accuracy", "performance", "find-peak")  # its mode = 0, 1, 2, 3


def issue_word(run: "RunSettings") -> str:
    """Return how samples are drawn, in the words of --issue."""
    words = [] if run.issue == "random" else [run.issue]
    return "+".join([*words, *["equal"] * run.equal_issue]) or "random"


def _seeds(run: "RunSettings") -> str:
    return f"{run.seeds.qsl},{run.seeds.sample_index},{run.seeds.schedule}"


def _load(run: "RunSettings") -> str | None:
    """Return the load; None where the scenario has no other."""
    return run.load if scenarios.entry(run.scenario).is_open else None


def _seconds(ms: float) -> float:
    return ms / 1000


def _no_zero(value: float) -> float | None:
    return value or None


class LoadOptions:
    # fmt: off


    scenario: str = option(
        LOAD, REQUIRED, f"Load to apply: {', '.join(scenarios.TABLE)}, or one that a package adds.",
        is_name=True, check=names.scenario,
    )
    mode: Literal["performance", "accuracy", "submission", "find-peak"] = option(
        LOAD, "performance",
        "What to run: performance, accuracy, submission (accuracy, then performance) or find-peak "
        "(search for the highest rate; server only). Default: performance.",
        is_asked=True, is_audits=True,
        loadgen=Loadgen("mode", lambda number: _LOADGENS_MODES[int(number)]),
    )
    search: Literal["sequential", "loadgen"] | None = option(
        LOAD, None,
        "How find-peak searches: sequential (ends hopeless rates early and weighs all steps) or "
        "loadgen (LoadGen's own: doubles, then halves). Default: sequential.",
        commands="run plan", is_asked=True,
    )
    profile: str = option(
        LOAD, "quick",
        "Set of defaults for run length and limits: quick, mlperf, or an MLPerf benchmark such as "
        "llama3.1-8b. Default: quick.",
        commands="run plan compare gate", is_name=True, check=names.profile,
    )
    target_qps: Rate | Literal["auto"] = option(
        LOAD, "auto",
        "Queries per second: the arrival rate in server, the expected rate elsewhere. auto (the "
        "default) measures it during the warm-up. Also --request-rate.",
        also="--request-rate", unit="/s", is_audits=True, is_load=True,
    )
    load: Load = option(
        LOAD, "poisson",
        "When queries come (server only): poisson, gamma:SHAPE, constant, ramp:FROM..TO, "
        "step:RATE/RATE/..., concurrency:USERS, trace:FILE[@SPEEDx][@FROM..TO] or "
        "conversations:FILE[@THINK]. Default: poisson.",
        is_name=True, check=names.load, held=_load, closed="same", metavar="LOAD",
    )
    input_tokens: str | None = option(
        LOAD, None,
        "Length of each prompt: fixed:N, uniform:LOW..HIGH, normal:MEAN/SD or "
        "lognormal:MEDIAN/SIGMA, in tokens, made of the words of the dataset.",
        needs="dataset", is_name=True, check=names.input_tokens,
    )
    output_tokens: str | None = option(
        LOAD, None,
        "Length of each answer, written the same way. The model's own end is ignored where the "
        "system can do that.",
        is_name=True, check=names.output_tokens,
    )
    samples_per_query: Count = option(
        LOAD, 8, "Samples in each query (multi-stream only). Default: 8.", closed="same",
        loadgen=Loadgen("samples_per_query"), is_load=True,
    )
    min_duration: Seconds | None = option(
        LOAD, None, "Minimum run time, for example 90s or 1.5m.", unit="s",
        by_profile="min_duration_s", closed="at least", loadgen=Loadgen("min_duration", _seconds),
    )
    max_duration: PositiveSeconds | None = option(
        LOAD, None, "Stop issuing queries after this time.", unit="s",
        loadgen=Loadgen("max_duration", lambda ms: _no_zero(_seconds(ms))),
    )
    min_queries: Count | None = option(
        LOAD, None, "Minimum number of queries to issue.", by_profile="least_queries",
        closed="at least", loadgen=Loadgen("min_query_count"),
    )
    max_queries: Count | None = option(
        LOAD, None, "Maximum number of queries to issue.",
        loadgen=Loadgen("max_query_count", _no_zero),
    )
    seeds: str = option(
        LOAD, ROUND, "Random seeds: an MLPerf round such as v6.1, or QSL,SAMPLE,SCHEDULE.",
        commands="run plan compare gate", check=names.parse_seeds, held=_seeds,
    )
    issue: Issue | None = option(
        LOAD, None,
        "How samples are drawn: random, unique (each at most once), same (one sample throughout), "
        "equal (each equally often), unique+equal or same+equal.",
        held=issue_word, by_profile="issue", closed="same", is_audits=True,
    )
    same_index: Position = option(
        LOAD, 0, "Which loaded sample to repeat with --issue same, counting from 0.",
        loadgen=Loadgen("performance_issue_same_index"), is_audits=True,
    )
    performance_samples: CountOrNone | None = option(
        LOAD, None, "Number of samples a performance run draws from (0: all).",
        by_profile="performance_samples", of_library=True, closed="at least",
        loadgen=Loadgen("performance_sample_count_override"),
    )
    accuracy_samples: CountOrNone | None = option(
        LOAD, None, "Number of samples an accuracy run issues (0: all).",
        commands="run plan compare gate", held=lambda run: run.accuracy_samples or run.num_samples,
        by_profile="accuracy_samples", of_library=True, closed="at least",
        loadgen=Loadgen("accuracy_sample_count_override"),
    )
    warmup: FewOrNone | None = option(
        LOAD, None, "Number of samples to run before the measurement; they are not counted.",
    )
    driver: Literal["touchstone", "mlcommons"] = option(
        LOAD, "touchstone",
        "Who issues the queries: touchstone, or mlcommons (the official LoadGen).",
        commands="run compare",
    )
    clock: Literal["real", "virtual"] = option(
        LOAD, "real",
        "Clock to run on: real, or virtual, which skips all waiting (simulated SUT only).",
        commands="run compare",
    )

    # fmt: on
