"""Would MLCommons' submission checker refuse this tree, and what is wrong with it that the checker
does not see?

`problems` reads a tree (path -> text) and answers in sentences; an empty list is a clean tree. What
the checker of that round refuses comes as it is. What it lets pass (INVALID runs, errors in the
performance log, interactive limits, a missing summary, a run of the wrong mode) ends in UNSEEN.
Power results and endpoints logs are not looked at.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from harness.errors import BadInput, unknown
from reports.mlperf_logs import ACCURACY, DETAIL, SUMMARY
from reports.package_rules import (
    DIVISIONS,
    MAX_ACCURACY_LOG_BYTES,
    MEASUREMENTS,
    MIN_DURATION_MS,
    ROUNDS,
    STATUSES,
    SYSTEM_FILLED,
    SYSTEM_MAY_BE_EMPTY,
    SYSTEM_TYPES,
    Benchmark,
)

UNSEEN = " (the official checker does not see this)"
Tree = Mapping[str, str]  # path inside the submission, with slashes -> content

_MARK = re.compile(r":::(MLLOG|ENDPTS)")
_HASH = re.compile(r"^hash=\w+$", re.MULTILINE)
_SEEDS = (
    "effective_qsl_rng_seed",
    "effective_sample_index_rng_seed",
    "effective_schedule_rng_seed",
)
_FIGURES = {
    "Offline": ("result_samples_per_second", "result_tokens_per_second"),
    "Server": ("result_completed_samples_per_sec", "result_completed_tokens_per_second"),
    "SingleStream": ("early_stopping_latency_ss", "result_90.00_percentile_latency_ns"),
    "MultiStream": ("early_stopping_latency_ms",),
}
_PRETENDERS = ("simulated", "null")  # systems under test that answer without a model


class Place(NamedTuple):
    """Where a result stands: the six names above its files."""

    division: str
    submitter: str
    system: str
    benchmark: str
    scenario: str

    @property
    def root(self) -> str:
        return f"{self.division}/{self.submitter}"

    @property
    def results(self) -> str:
        return f"{self.root}/results/{self.system}/{self.benchmark}/{self.scenario}"

    @property
    def src(self) -> str:
        return f"{self.root}/src/{self.system}/{self.benchmark}/{self.scenario}"

    @property
    def system_file(self) -> str:
        return f"{self.root}/systems/{self.system}.json"


def problems(tree: Tree, version: str = "v6.1") -> list[str]:
    """One sentence for each; they name the file. Raises BadInput for a round that is not known
    here.
    """
    if version not in ROUNDS:
        raise unknown("round", version, ROUNDS)
    places = _places(tree)
    if not places:
        return [
            "there is no result in the tree:"
            " <division>/<submitter>/results/<system>/<benchmark>/<Scenario>/"
        ]
    systems = {(place.root, place.system): place for place in places}
    return [
        *(sentence for place in systems.values() for sentence in _system(tree, place)),
        *(sentence for place in places for sentence in _result(tree, place, version)),
        *_scenario_sets(places, version),
    ]


def read_tree(folder: Path) -> dict[str, str]:
    """The files of a submission that are text. Raises BadInput."""
    if not folder.is_dir():
        raise BadInput(
            f"reading {folder}", "no such folder", "the root of a submission", "Check the path."
        )
    found = {}
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        with path.open(encoding="utf-8", errors="replace", newline="") as file:
            found[path.relative_to(folder).as_posix()] = file.read()
    return found


def _places(tree: Tree) -> list[Place]:
    parts = (path.split("/") for path in tree)
    return sorted(
        {
            Place(p[0], p[1], *p[3:6])
            for p in parts
            if len(p) > 6 and p[0] in DIVISIONS and p[2] == "results"
        }
    )


# ---- the system


def _system(tree: Tree, place: Place) -> Iterator[str]:
    path = place.system_file
    found, complaint = _json(tree, path)
    if complaint:
        yield complaint
        return
    if missing := [key for key in (*SYSTEM_FILLED, *SYSTEM_MAY_BE_EMPTY) if key not in found]:
        yield f"{path}: without {', '.join(missing)}"
    if empty := [key for key in SYSTEM_FILLED if key in found and not found[key]]:
        yield f"{path}: fill in {', '.join(empty)}"
    for key, allowed in {"status": STATUSES, "system_type": SYSTEM_TYPES}.items():
        if found.get(key) and str(found[key]).lower() not in allowed:
            yield f"{path}: {key} is {found[key]!r}, not one of {' | '.join(allowed)}"
    for key, folder in {"division": place.division, "submitter": place.submitter}.items():
        if found.get(key) and str(found[key]).lower() != folder.lower():
            yield f"{path}: {key} is {found[key]!r}, and its folder {folder!r}"
    is_network = str(found.get("is_network", "")).lower() == "true"
    if place.division != "open" and is_network != (place.division == "network"):
        yield f"{path}: is_network is {is_network} in the {place.division} division"


# ---- one result


def _result(tree: Tree, place: Place, version: str) -> Iterator[str]:
    round_ = ROUNDS[version]
    yield from _measurements(tree, place)
    if place.benchmark not in round_.benchmarks:
        yield (
            f"{place.results}: {place.benchmark} is no benchmark of {version}:"
            f" {', '.join(round_.benchmarks)}"
        )
        return
    benchmark = round_.benchmarks[place.benchmark]
    yield from _performance(tree, place, benchmark, round_.seeds)
    yield from _accuracy(tree, place, benchmark)
    if place.division != "open":
        yield from (
            f"{place.results}/{name}: missing; the {place.division} division needs it"
            for name in benchmark.tests
            if f"{place.results}/{name}" not in tree
        )


def _measurements(tree: Tree, place: Place) -> Iterator[str]:
    if not any(path.startswith(f"{place.root}/src/") for path in tree):
        yield f"{place.root}/src: missing"
    for name in ("user.conf", "README.md"):
        if not tree.get(f"{place.results}/{name}"):
            yield f"{place.results}/{name}: missing or empty"
    path = f"{place.results}/measurements.json"
    found, complaint = _json(tree, path)
    if complaint:
        yield complaint
    elif empty := [key for key in MEASUREMENTS if not found.get(key)]:
        yield f"{path}: fill in {', '.join(empty)}"


def _performance(
    tree: Tree, place: Place, benchmark: Benchmark, seeds: tuple[int, ...]
) -> Iterator[str]:
    folder = f"{place.results}/performance/run_1"
    path = f"{folder}/{DETAIL}"
    if f"{folder}/{SUMMARY}" not in tree:
        yield f"{folder}/{SUMMARY}: missing{UNSEEN}"
    log, errors, complaint = _log(tree, path)
    if complaint:
        yield complaint
        return
    yield from (f"{path}: {sentence}" for sentence in _timed(log, place, benchmark, seeds))
    yield from (f"{path}: {sentence}{UNSEEN}" for sentence in _unseen(log, errors, place))


def _timed(
    log: Mapping[str, Any], place: Place, benchmark: Benchmark, seeds: tuple[int, ...]
) -> Iterator[str]:
    """What the checker looks at, with the limits of the scenario's own folder."""
    scenario = log.get("effective_scenario")
    if scenario != ("Server" if place.scenario == "Interactive" else place.scenario):
        yield f"a {scenario} run in the folder {place.scenario}"
    for key, seed in zip(_SEEDS, seeds, strict=True):
        if log.get(key) != seed:
            yield f"{key} is {log.get(key)}, not {seed}"
    yield from _at_least(log, "effective_performance_sample_count", benchmark.samples)
    yield from _at_least(log, "effective_min_duration_ms", MIN_DURATION_MS)
    if scenario == "Offline" and place.division == "closed":
        yield from _at_least(log, "effective_samples_per_query", benchmark.samples)
    if scenario in ("Server", "SingleStream", "MultiStream") and not log.get("early_stopping_met"):
        yield "early stopping was not met"
    if not log.get("requested_use_token_latencies"):
        yield "use_token_latencies is off"
    if scenario == "Server":
        yield from _latencies(log, place, benchmark)
    for key in _FIGURES.get(str(scenario), ()):
        if not _is_number(log.get(key)):
            yield f"{key} is missing"


def _latencies(log: Mapping[str, Any], place: Place, benchmark: Benchmark) -> Iterator[str]:
    if place.scenario not in benchmark.limits_ms:
        yield f"{place.benchmark} has no {place.scenario} scenario"
        return
    ttft_ms, tpot_ms = benchmark.limits_ms[place.scenario]
    lax_ms = benchmark.limits_ms["Server"]
    names = (
        "result_first_token_99.00_percentile_latency_ns",
        "result_time_per_output_token_99.00_percentile_ns",
    )
    for key, limit_ms, checked_ms in zip(names, (ttft_ms, tpot_ms), lax_ms, strict=True):
        if not _is_number(log.get(key)):
            yield f"{key} is missing"
        elif log[key] >= limit_ms * 10**6:
            unseen = UNSEEN if log[key] < checked_ms * 10**6 else ""
            yield (
                f"{key} is {log[key] / 1e6:g} ms; {place.scenario} needs less than {limit_ms}"
                f" ms{unseen}"
            )
    most_s = benchmark.target_latency_s
    if most_s is not None and log.get("effective_target_latency_ns", 0) > most_s * 10**9:
        yield f"effective_target_latency_ns is above {most_s} s"


def _unseen(log: Mapping[str, Any], errors: list[str], place: Place) -> Iterator[str]:
    """What the checker does not look at in a performance log."""
    if log.get("effective_test_mode") != "PerformanceOnly":
        yield f"the mode is {log.get('effective_test_mode')}, not PerformanceOnly"
    if log.get("result_validity") != "VALID":
        verdict, reason = (
            log.get("result_validity", "without a verdict"),
            log.get("result_invalid_reason"),
        )
        yield f"the run is {verdict}" + (f": {reason}" if reason else "")
    for key in ("result_min_duration_met", "result_min_queries_met", "result_perf_constraints_met"):
        if log.get(key) is False:
            yield f"{key} is false"
    if errors:
        yield f"errors in the log: {len(errors)}, the first: {errors[0]}"
    if not log.get("effective_sample_concatenate_permutation"):
        yield "samples were not issued equally often (sample_concatenate_permutation)"
    for flag in ("unique", "same"):
        if log.get(f"effective_performance_issue_{flag}"):
            yield f"performance_issue_{flag} is on"
    if kind := next(
        (word for word in _PRETENDERS if word in str(log.get("sut_name", "")).split()), None
    ):
        yield f"the system under test was {kind}: no model ran"


def _accuracy(tree: Tree, place: Place, benchmark: Benchmark) -> Iterator[str]:
    folder = f"{place.results}/accuracy"
    log, errors, complaint = _log(tree, f"{folder}/{DETAIL}")
    if complaint:
        yield complaint
    else:
        yield from (
            f"{folder}/{DETAIL}: {sentence}" for sentence in _accuracy_log(log, errors, benchmark)
        )
    size_bytes = len(tree.get(f"{folder}/{ACCURACY}", "").encode())
    if f"{folder}/{ACCURACY}" not in tree:
        yield f"{folder}/{ACCURACY}: missing"
    elif size_bytes > MAX_ACCURACY_LOG_BYTES:
        yield f"{folder}/{ACCURACY}: {size_bytes} bytes; at most {MAX_ACCURACY_LOG_BYTES}"
    yield from (
        f"{folder}/accuracy.txt: {s}"
        for s in _scores(tree.get(f"{folder}/accuracy.txt"), place, benchmark)
    )


def _accuracy_log(log: Mapping[str, Any], errors: list[str], benchmark: Benchmark) -> Iterator[str]:
    wanted = benchmark.accuracy_samples or benchmark.samples
    count = log.get("effective_accuracy_sample_count", log.get("qsl_reported_total_count"))
    if count != wanted:
        yield f"{count} samples; the dataset has {wanted}"
    if errors:
        yield f"errors in the log: {len(errors)}, the first: {errors[0]}"
    if log.get("effective_test_mode") != "AccuracyOnly":
        yield f"the mode is {log.get('effective_test_mode')}, not AccuracyOnly{UNSEEN}"


def _scores(text: str | None, place: Place, benchmark: Benchmark) -> Iterator[str]:
    """The open division must report its accuracy (which the checker does not ask for); the others
    must reach it.
    """
    if text is None:
        yield "missing"
        return
    unseen = UNSEEN if place.division == "open" else ""
    if not _HASH.search(text):
        yield f"no line hash=<sha256 of the whole {ACCURACY}>{unseen}"
    found = scores_in(text)
    if missing := [
        name for name, (least, _) in benchmark.accuracy.items() if least and name not in found
    ]:
        yield f"no {', '.join(missing)}{unseen}"
    for name, (least, most) in benchmark.accuracy.items():
        if place.division != "open" and name in found and not least <= found[name] <= most:
            yield f"{name} is {found[name]:g}; it must be {least:.8g} to {most:.8g}"


def scores_in(text: str) -> dict[str, float]:
    """The metrics of an accuracy.txt: `'rouge1': 38.7792`, the number quoted or not."""
    return {
        name: float(number) for name, number in re.findall(r"'(\w+)':\s'?(\d+(?:\.\d*)?)", text)
    }


# ---- which scenarios belong together


def _scenario_sets(places: list[Place], version: str) -> Iterator[str]:
    """Closed and network: offline with server or interactive; on the edge single-stream with
    offline.
    """
    groups: dict[str, set[str]] = {}
    for place in places:
        if place.division != "open" and place.benchmark in ROUNDS[version].benchmarks:
            groups.setdefault(place.results.rsplit("/", 1)[0], set()).add(place.scenario)
    for path, scenarios in groups.items():
        edge = ROUNDS[version].benchmarks[path.rsplit("/", 1)[1]].edge
        needed = (
            ({"Offline"}, {"SingleStream"}) if edge else ({"Offline"}, {"Server", "Interactive"})
        )
        allowed = set.union(*needed)
        for choice in needed:
            if not scenarios & choice:
                yield f"{path}: without {' or '.join(sorted(choice))}"
        if strange := sorted(scenarios - allowed):
            yield f"{path}: {', '.join(strange)} is no scenario of this benchmark"


# ---- files


def _json(tree: Tree, path: str) -> tuple[dict[str, Any], str]:
    """(object, complaint)"""
    if path not in tree:
        return {}, f"{path}: missing"
    try:
        found = json.loads(tree[path])
    except ValueError as error:
        return {}, f"{path}: no JSON ({error})"
    return (found, "") if isinstance(found, dict) else ({}, f"{path}: not an object")


def _log(tree: Tree, path: str) -> tuple[dict[str, Any], list[str], str]:
    """(the first value of each key, error lines, complaint)"""
    if path not in tree:
        return {}, [], f"{path}: missing"
    values: dict[str, Any] = {}
    errors = []
    for number, line in enumerate(tree[path].splitlines(), 1):
        if not (mark := _MARK.match(line)):
            continue
        try:
            event = json.loads(line[mark.end() :])
            values.setdefault(event["key"], event["value"])
            if event["metadata"]["is_error"]:
                errors.append(str(event["value"]))
        except (ValueError, KeyError, TypeError):
            return {}, [], f"{path}, line {number}: no log event"
    return values, errors, "" if values else f"{path}: no log events"


def _at_least(log: Mapping[str, Any], key: str, least: int) -> Iterator[str]:
    if not _is_number(log.get(key)) or log[key] < least:
        yield f"{key} is {log.get(key)}; at least {least}"


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
