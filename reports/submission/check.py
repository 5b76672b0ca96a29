"""Would MLCommons' submission checker refuse this tree, and what is wrong with it that the checker
does not see?

`problems` reads a tree (path -> text); an empty list is a clean tree. What the checker of that
round refuses, or stumbles over, comes with `seen`. What it lets pass (INVALID runs, errors in the
performance log, interactive limits, a missing summary, a run of the wrong mode) comes without.
Power results, endpoints logs and benchmarks other than language models are not looked at.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from harness.kernel.errors import unknown
from reports.submission.accuracy import accuracy
from reports.submission.compliance import compliance
from reports.submission.performance import performance
from reports.submission.places import (
    Place,
    Problem,
    Tree,
    benchmark_of,
    json_object,
    places,
    submitters,
    systems,
)
from reports.submission.rules import (
    COUNTS,
    MEASUREMENTS,
    ROUNDS,
    STATUSES,
    SYSTEM_FILLED,
    SYSTEM_MAY_BE_EMPTY,
    SYSTEM_NETWORK,
    SYSTEM_TYPES,
    Benchmark,
)

_NOTHING = "no result: <division>/<submitter>/results/<system>/<benchmark>/<Scenario>/"


def problems(tree: Tree, version: str = "v6.1") -> list[Problem]:
    """Say what is wrong with a whole submission. Raises BadInput for a round not known here."""
    if version not in ROUNDS:
        raise unknown("round", version, ROUNDS)
    found = places(tree)
    if not found:
        return [Problem("the tree", _NOTHING, seen=False)]
    return [
        *_without_results(tree),
        *(problem for root, name in systems(tree) for problem in _system(tree, root, name)),
        *(problem for place in found for problem in _result(tree, place, version)),
        *_scenario_sets(tree, found, version),
    ]


def _without_results(tree: Tree) -> Iterator[Problem]:
    with_results = {root for root, _ in systems(tree)}
    for root in submitters(tree):
        if root not in with_results:
            yield Problem(f"{root}/results", "missing")


# ---- the system


def _system(tree: Tree, root: str, name: str) -> Iterator[Problem]:
    path = f"{root}/systems/{name}.json"
    found, complaint = json_object(tree, path)
    if complaint:
        yield Problem(path, complaint)
        return
    for what in (*_fields(found), *_values(found), *_identity(found, root)):
        yield Problem(path, what)
    for key in ("hw_notes", "sw_notes"):
        if not isinstance(found.get(key, ""), str):  # the checker joins the two
            seen = bool(found.get("sw_notes"))
            yield Problem(path, f"{key} is {found[key]!r}, not a string", seen)


def _fields(found: dict[str, Any]) -> Iterator[str]:
    """Yield the fields that must be there, and those that must say something (a 0 says nothing)."""
    needed = [*SYSTEM_FILLED, *SYSTEM_MAY_BE_EMPTY]
    needed += SYSTEM_NETWORK if found.get("is_network") else ()
    if missing := [key for key in needed if key not in found]:
        yield f"without {', '.join(missing)}"
    if empty := [key for key in SYSTEM_FILLED if key in found and not found[key]]:
        yield f"fill in {', '.join(empty)}"


def _values(found: dict[str, Any]) -> Iterator[str]:
    status, system_type = found.get("status"), found.get("system_type")
    if status and (not isinstance(status, str) or status.lower() not in STATUSES):
        yield f"status is {status!r}, not one of {' | '.join(STATUSES)}"
    if system_type and system_type not in SYSTEM_TYPES:
        yield f"system_type is {system_type!r}, not one of {' | '.join(SYSTEM_TYPES)}"
    for key in COUNTS:
        if found.get(key) and not _is_whole(found[key]):
            yield f"{key} is {found[key]!r}, not a whole number"


def _is_whole(value: Any) -> bool:
    """Does Python's `int` take it? The checker multiplies nodes by accelerators."""
    try:
        int(value)
    except (ValueError, TypeError):
        return False
    return True


def _identity(found: dict[str, Any], root: str) -> Iterator[str]:
    division, submitter = root.split("/")
    for key, folder in {"division": division, "submitter": submitter}.items():
        if found.get(key) and str(found[key]).lower() != folder.lower():
            yield f"{key} is {found[key]!r}, but its folder is {folder!r}"
    told = found.get("is_network", "")
    if not isinstance(told, str):
        yield f"is_network is {told!r}; it must be a string, 'true' or 'false'"
        return
    is_network = told.lower() == "true"
    if division != "open" and is_network != (division == "network"):
        yield f"is_network is {is_network} in the {division} division"


# ---- one result


def _result(tree: Tree, place: Place, version: str) -> Iterator[Problem]:
    round_, name = ROUNDS[version], benchmark_of(tree, place)
    yield from _measurements(tree, place)
    if name not in round_.benchmarks:
        known = ", ".join(round_.benchmarks)
        yield Problem(place.results, f"{name} is not a language model of {version}: {known}")
        return
    benchmark = round_.benchmarks[name]
    yield from performance(tree, place, name, benchmark, round_.seeds)
    yield from accuracy(tree, place, benchmark)
    if place.division != "open":
        yield from compliance(tree, place, benchmark)


def _measurements(tree: Tree, place: Place) -> Iterator[Problem]:
    if not any(path.startswith(f"{place.root}/src/") for path in tree):
        yield Problem(f"{place.root}/src", "missing")
    for name in ("user.conf", "README.md"):
        if not tree.get(f"{place.results}/{name}"):
            yield Problem(f"{place.results}/{name}", "missing or empty")
    path = f"{place.results}/measurements.json"
    found, complaint = json_object(tree, path)
    if complaint:
        yield Problem(path, complaint)
    elif empty := [key for key in MEASUREMENTS if not found.get(key)]:
        yield Problem(path, f"fill in {', '.join(empty)}")


# ---- which scenarios belong together


def _scenario_sets(tree: Tree, found: list[Place], version: str) -> Iterator[Problem]:
    """Closed and network: offline with server or interactive; on the edge single-stream with
    offline. The system's type decides which benchmarks it may have at all.
    """
    groups: dict[str, list[Place]] = {}
    for place in found:
        name = benchmark_of(tree, place)
        if place.division != "open" and name in ROUNDS[version].benchmarks:
            groups.setdefault(place.results.rsplit("/", 1)[0], []).append(place)
    for path, group in groups.items():
        benchmark = ROUNDS[version].benchmarks[benchmark_of(tree, group[0])]
        system, _ = json_object(tree, group[0].system_file)
        yield from (Problem(path, what) for what in _set(benchmark, group))
        system_type = str(system.get("system_type", ""))
        if system_type in SYSTEM_TYPES and benchmark.suite not in system_type:
            yield Problem(
                path,
                f"a benchmark of the {benchmark.suite} suite; the system is of type {system_type}",
            )


def _set(benchmark: Benchmark, group: list[Place]) -> Iterator[str]:
    scenarios = {place.kind for place in group}
    for choice in benchmark.scenarios:
        if not scenarios & set(choice):
            yield f"without {' or '.join(choice)}"
    allowed = {name for choice in benchmark.scenarios for name in choice}
    if strange := sorted(scenarios - allowed):
        yield f"{', '.join(strange)} is not a scenario of this benchmark"
