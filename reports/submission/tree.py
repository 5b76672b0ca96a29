"""A finished run as a submission to MLPerf Inference: the tree of files that MLCommons' submission
checker reads (v6.x).

    <division>/<submitter>/systems/<system>.json
                           src/<system>/<benchmark>/<Scenario>/     README.md performance.toml
                                                                    accuracy.toml
                           results/<system>/<benchmark>/<Scenario>/ README.md measurements.json
                                                                    user.conf
                               performance/run_1/                   detail and summary log
                               accuracy/                            both logs, accuracy.txt, the
                                                                    accuracy log cut to 10 KiB
                               TEST06/ TEST07/ TEST09/              of compliance runs

What the runs do not tell (cooling, topologies, ...) stays empty and is named: nothing is invented.
The tree is made of values (`tree`); only `package` and `check_folder` touch the disk, and nothing
that is there already is overwritten.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from harness.kernel.entries import ScenarioEntry
from harness.kernel.errors import BadInput, unknown
from harness.kernel.files import write_new
from harness.kernel.texts import other_kind
from reports.mlperf.files import ACCURACY, DETAIL, SUMMARY
from reports.submission.check import problems
from reports.submission.compliance import Finding, files, truncated
from reports.submission.places import Place, Problem, read_tree
from reports.submission.rules import DIVISIONS, MEASUREMENTS, ROUNDS
from reports.submission.system import WITHOUT_MODEL, measurements, system_fields
from reports.submission.texts import (
    Run,
    accuracy_txt,
    config_toml,
    result_readme,
    scenario_name,
    src_readme,
    user_conf,
    writer,
)

_PROFILES = {"llama2-70b": "llama2-70b-99.9"}  # whose benchmark has another name
_OTHER_DATA_FOR_ACCURACY = ("gpt-oss-120b",)
_NAME = re.compile(r"\w[\w.+()@-]*")


@dataclass(frozen=True, slots=True)
class Package:
    """Where the result was put, and what is still wrong with it: empty fields, and all that a
    checker or a reader minds.
    """

    root: Path
    place: Path
    problems: list[Problem]
    notes: list[str]


class Compliance(NamedTuple):
    """A compliance run and what it showed."""

    run: Run
    finding: Finding
    doubts: tuple[str, ...] = ()  # what the page of the test has no line for


def package(
    timed: Run,
    scored: Run,
    place: Place,
    output: Path,
    *,
    version: str = "v6.1",
    system_json: Path | None = None,
    compliance: Sequence[Compliance] = (),
) -> Package:
    """Write the tree under `output`, beside what other runs put there. Raises BadInput, and then
    writes nothing.
    """
    given = _given(system_json)
    made = tree(timed, scored, place, given, compliance)
    kept = _kept_system(output / place.system_file, given)
    if kept is not None:
        made[place.system_file] = kept
    if any(path.is_file() for path in (output / place.results).rglob("*")):
        raise _occupied(output / place.results)
    new = {path: text for path, text in made.items() if kept is None or path != place.system_file}
    _write(output, new)
    found = [*problems(made, version), *_of_the_runs(timed, scored, place, compliance)]
    return Package(output, output / place.results, found, notes(timed))


def notes(timed: Run) -> list[str]:
    """Say what the submitter should know before sending it."""
    if not writer(timed).startswith("touchstone"):
        return []
    return [
        "MLPerf takes only results whose queries LoadGen itself issued: this tree is for rehearsal"
        " and for comparison"
    ]


def check_folder(folder: Path, version: str = "v6.1") -> list[Problem]:
    """Say what is wrong with a whole submission on disk."""
    return problems(read_tree(folder), version)


def tree(
    timed: Run,
    scored: Run,
    place: Place,
    given: Mapping[str, Any],
    compliance: Sequence[Compliance] = (),
) -> dict[str, str]:
    """Return path -> text of everything that is submitted. `given`: what the user knows of the
    system and the weights.
    """
    about_weights = {key: value for key, value in given.items() if key in MEASUREMENTS}
    about_system = {key: value for key, value in given.items() if key not in MEASUREMENTS}
    scores = accuracy_txt(scored.result["accuracy"], scored.accuracy_log, place.benchmark)
    made = {
        place.system_file: _pretty(system_fields(timed.result, place) | about_system),
        f"{place.src}/README.md": src_readme(timed, scored),
        f"{place.src}/performance.toml": config_toml(timed.result),
        f"{place.src}/accuracy.toml": config_toml(scored.result),
        f"{place.results}/README.md": result_readme(timed, scored, place),
        f"{place.results}/measurements.json": _pretty(measurements(timed.result) | about_weights),
        f"{place.results}/user.conf": user_conf(timed.result, timed.pattern),
        f"{place.results}/performance/run_1/{DETAIL}": timed.detail,
        f"{place.results}/performance/run_1/{SUMMARY}": timed.summary,
        f"{place.results}/accuracy/{DETAIL}": scored.detail,
        f"{place.results}/accuracy/{SUMMARY}": scored.summary,
        f"{place.results}/accuracy/accuracy.txt": scores,
        f"{place.results}/accuracy/{ACCURACY}": truncated(scored.accuracy_log),
    }
    for test in compliance:
        folder = f"{place.results}/{test.finding.name}"
        for name, text in files(test.finding, test.run.logs()).items():
            made[f"{folder}/{name}"] = text
    return made


# ---- what only the runs tell: the files of a tree do not show it


def _of_the_runs(
    timed: Run, scored: Run, place: Place, compliance: Sequence[Compliance]
) -> list[Problem]:
    found = []
    told = writer(timed).startswith("touchstone")  # its log has the system's own name
    if timed.result["sut"] in WITHOUT_MODEL and not told:
        what = f"no model ran: the system under test was {timed.result['sut']}"
        found.append(Problem(place.results, what, seen=False))
    if place.division != "open" and (rows := _differences(timed, scored)):
        what = f"the runs are of the open division: {'; '.join(rows)}"
        found.append(Problem(place.results, what, seen=False))
    for test in compliance:
        path = f"{place.results}/{test.finding.name}"
        found += [Problem(path, doubt, seen=False) for doubt in test.doubts]
    return found


def _differences(*runs: Run) -> list[str]:
    """Name, each once, the settings of the runs that the closed division would not allow. Seeds are
    left to the checker.
    """
    rows: dict[str, str] = {}
    for run in runs:
        for row in run.result["division"]["differs"]:
            if row["name"] == "seeds":
                continue
            unit = f" {row['unit']}" if row["unit"] else ""
            told = f"{row['name']} {row['value']}{unit} (closed: {row['asked']}{unit})"
            rows.setdefault(row["name"], told)
    return list(rows.values())


# ---- which runs, and where they go


def round_of(result: Mapping[str, Any], asked: str | None) -> str:
    """Return the round that was asked for, or else the one whose seeds the run had. Raises
    BadInput.
    """
    if asked is not None and asked not in ROUNDS:
        raise unknown("--round", asked, ROUNDS)
    seeds = result["settings"]["run"]["seeds"]
    own = tuple(seeds[name] for name in ("qsl", "sample_index", "schedule"))
    known = next((name for name, round_ in ROUNDS.items() if round_.seeds == own), None)
    return asked or known or max(ROUNDS)


def place_of(
    result: Mapping[str, Any],
    pattern: ScenarioEntry,
    division: str,
    submitter: str,
    system: str,
    benchmark: str | None,
    version: str,
) -> Place:
    """Return where a run stands in a submission. Raises BadInput for names that cannot be, and for
    a run whose profile is no benchmark while none is named.
    """
    _check_names(division, submitter, system)
    profile = str(result["profile"])
    model = profile.removesuffix("-interactive")
    name = _benchmark(result["run_id"], profile, benchmark, version)
    is_interactive = profile != model and pattern.has_limits
    scenario = "Interactive" if is_interactive else scenario_name(pattern)
    return Place(division, submitter, system, name, scenario)


def _check_names(division: str, submitter: str, system: str) -> None:
    if division not in DIVISIONS:
        raise unknown("--division", division, DIVISIONS)
    if division == "network":
        found = "it is for systems that LoadGen reaches through a network, and none is offered here"
        raise BadInput("--division network", found, "open or closed")
    for flag, name in {"--submitter": submitter, "--system": system}.items():
        if not _NAME.fullmatch(name):
            fine = "the name of a folder: letters, digits and . _ - + ( ) @, no blanks"
            raise BadInput(flag, repr(name), fine)


def _benchmark(run_id: str, profile: str, asked: str | None, version: str) -> str:
    """Return MLPerf's name of what ran. A profile of MLPerf decides; others need --benchmark."""
    model = profile.removesuffix("-interactive")
    of_profile = [name for name in _all_benchmarks() if _model(name) == model]
    name = asked or _PROFILES.get(model, model)
    if asked is None and not of_profile:
        what = f"profile {profile} is no benchmark of MLPerf"
        fine = "--benchmark NAME: " + ", ".join(ROUNDS[version].benchmarks)
        raise BadInput(f"packaging {run_id}", what, fine)
    if name not in ROUNDS[version].benchmarks:
        elsewhere = [other for other, round_ in ROUNDS.items() if name in round_.benchmarks]
        if not elsewhere:
            raise unknown(f"benchmark of {version}", name, ROUNDS[version].benchmarks)
        found = f"{version} has dropped it"
        todo = (
            f"Make the runs with --seeds {elsewhere[-1]}, and package with --round {elsewhere[-1]}."
        )
        raise BadInput(f"benchmark {name}", found, f"round {elsewhere[-1]}", todo)
    if of_profile and name not in of_profile:
        what = f"the run is of profile {profile}"
        raise BadInput(f"--benchmark {name}", what, f"a run with --profile {_model(name)}")
    return name


def _all_benchmarks() -> list[str]:
    return list(dict.fromkeys(name for round_ in ROUNDS.values() for name in round_.benchmarks))


def _model(benchmark: str) -> str:
    """Return the profile's name, without the share of the reference's accuracy to reach."""
    return benchmark.removesuffix("-99.9").removesuffix("-99")


def check(timed: Run, scored: Run, benchmark: str, allow_invalid: bool = False) -> None:
    """Is it one performance run and one accuracy run of the same thing, both valid? Raises
    BadInput.
    """
    for run, mode in ((timed, "performance"), (scored, "accuracy")):
        found = run.result["settings"]["run"]["mode"]  # of this part: a submission has one of each
        if found != mode:
            what, fine = f"a run in {found} mode", f"one in {mode} mode"
            raise BadInput(f"packaging {run.folder}", what, fine)
        if run.result["status"] != "VALID" and not allow_invalid:
            found = f"the run is {run.result['status']} ({run.result['status_reason']})"
            todo = "See harness report RUN for what to change."
            raise BadInput(f"packaging {run.folder}", found, "a VALID run", todo)
    other_data = benchmark in _OTHER_DATA_FOR_ACCURACY
    doing = f"packaging {timed.folder} with the accuracy run {scored.folder}"
    check_same(doing, timed.result, scored.result, _HOW_TO_SCORE, other_data=other_data)


_HOW_TO_SCORE = "Run it with --mode submission, or once more with --mode accuracy."


def check_same(
    doing: str,
    ours: Mapping[str, Any],
    theirs: Mapping[str, Any],
    todo: str = "",
    *,
    other_data: bool = False,
) -> None:
    """Refuse two runs that are not of the same thing. Raises BadInput."""
    own, other = _identity(ours), _identity(theirs)
    if other_data:
        own |= {key: other[key] for key in ("dataset", "dataset's hash", "max_new_tokens")}
    differ = [f"{key} {own[key]!r} and {other[key]!r}" for key in own if own[key] != other[key]]
    if differ:
        found = "they differ in " + "; ".join(differ)
        raise BadInput(doing, found, "two runs of the same thing", todo)


def _identity(result: Mapping[str, Any]) -> dict[str, Any]:
    """Return what two runs of one result must share."""
    run = result["settings"]["run"]
    return {
        **{key: result[key] for key in ("sut", "model", "variant", "scenario", "dataset")},
        "dataset's hash": result["settings"]["dataset"].get("sha256", ""),
        "max_new_tokens": run["max_new_tokens"],
        **{f"{name} seed": value for name, value in run["seeds"].items()},
    }


# ---- files


_FIELDS = "a JSON object: field -> value"


def _given(path: Path | None) -> dict[str, Any]:
    """Read the user's own fields: of systems/<system>.json, and of measurements.json by their
    names.
    """
    if path is None:
        return {}
    try:
        read = path.read_bytes()
        found = json.loads(read.decode("utf-8-sig"))
    except OSError as error:
        raise BadInput(f"--system-json {path}", str(error), _FIELDS) from None
    except ValueError as error:
        raise BadInput(f"--system-json {path}", other_kind(read) or str(error), _FIELDS) from None
    if not isinstance(found, dict):
        raise BadInput(f"--system-json {path}", f"a {type(found).__name__}", _FIELDS)
    return {
        key: str(value) if isinstance(value, (int, float)) else value
        for key, value in found.items()
    }


def _kept_system(path: Path, given: Mapping[str, Any]) -> str | None:
    """Return the description of this system that is there already: it may have been completed by
    hand, so it stays.
    """
    try:
        text = path.read_text(encoding="utf-8")
        found = json.loads(text)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise BadInput(f"reading {path}", str(error), "a JSON object") from None
    differ = [
        key for key, value in given.items() if key not in MEASUREMENTS and found.get(key) != value
    ]
    if differ:
        what = f"it is there already, with another {', '.join(differ)}"
        todo = "Edit it there, or use another --system."
        raise BadInput(f"writing {path}", what, "one description per system", todo)
    return text


def _write(root: Path, made: Mapping[str, str]) -> None:
    """Write all of them or none; never over a file that is there. Raises BadInput."""
    written: list[Path] = []
    try:
        for path, text in made.items():
            target = root / path
            target.parent.mkdir(parents=True, exist_ok=True)
            write_new(target, text)
            written.append(target)
    except OSError as error:
        for target in written:
            target.unlink(missing_ok=True)
        if isinstance(error, FileExistsError):
            raise _occupied(Path(error.filename)) from None
        fine = "a folder that can be written"
        raise BadInput(f"writing {root}", error.strerror or str(error), fine) from None


def _occupied(path: Path) -> BadInput:
    todo = "Delete it first, or use another --output."
    return BadInput(f"writing {path}", "it is there already", "a new place", todo)


def _pretty(fields: Mapping[str, Any]) -> str:
    return json.dumps(fields, indent=2) + "\n"
