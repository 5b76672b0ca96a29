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

What the run folders do not tell (cooling, networks, ...) stays empty and is named: nothing is
invented. The tree is made of values (`tree`); only `read` and `package` touch the disk, and nothing
that is there already is overwritten.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import BadInput, unknown
from harness.places import not_a_run
from reports.mlperf_logs import ACCURACY, DETAIL, SUMMARY, run_id_of
from reports.package_check import Place, problems, read_tree
from reports.package_rules import DIVISIONS, MEASUREMENTS, ROUNDS
from reports.package_texts import (
    SCENARIOS,
    Run,
    accuracy_txt,
    config_toml,
    measurements,
    result_readme,
    src_readme,
    system_fields,
    truncated,
    user_conf,
    writer,
)

_BENCHMARKS = {"llama2-70b": "llama2-70b-99.9"}  # where the profile has another name
_OTHER_DATA_FOR_ACCURACY = ("gpt-oss-120b",)
_SCHEMA = "touchstone.result/1"
_NAME = re.compile(r"\w[\w.+()@-]*")


@dataclass(frozen=True, slots=True)
class Package:
    """Where the result was put, and what is still wrong with it: empty fields, and all that a
    checker or a reader minds.
    """

    root: Path
    place: Path
    problems: list[str]
    notes: list[str]


def package(
    run: Path,
    output: Path,
    submitter: str,
    system: str,
    *,
    accuracy_run: Path | None = None,
    system_json: Path | None = None,
    division: str = "open",
    benchmark: str | None = None,
    version: str = "v6.1",
    allow_invalid: bool = False,
) -> Package:
    """Write the tree under `output`, beside what other runs put there. Raises BadInput, and then
    writes nothing.
    """
    timed = read(run)
    nested = run / "accuracy"
    if accuracy_run is None and not nested.is_dir():
        raise BadInput(
            f"packaging {run}",
            "no accuracy run",
            "RUN/accuracy, or --accuracy-run RUN2",
            _HOW_TO_SCORE,
        )
    scored = read(accuracy_run or nested)
    place = place_of(timed.result, division, submitter, system, benchmark, version)
    check(timed, scored, place.benchmark, allow_invalid)
    given = _given(system_json)
    files = tree(timed, scored, place, given)
    kept = _kept_system(output / place.system_file, given)
    if kept is not None:
        files[place.system_file] = kept
    if any(path.is_file() for path in (output / place.results).rglob("*")):
        raise _occupied(output / place.results)
    _write(
        output,
        {path: text for path, text in files.items() if kept is None or path != place.system_file},
    )
    return Package(output, output / place.results, problems(files, version), notes(timed))


def notes(timed: Run) -> list[str]:
    """What the submitter should know before sending it."""
    if not writer(timed).startswith("touchstone"):
        return []
    return [
        "MLPerf takes only results whose queries LoadGen itself issued: this tree is for rehearsal"
        " and for comparison"
    ]


def check_folder(folder: Path, version: str = "v6.1") -> list[str]:
    """The problems of a whole submission on disk."""
    return problems(read_tree(folder), version)


def tree(timed: Run, scored: Run, place: Place, given: Mapping[str, Any]) -> dict[str, str]:
    """Path -> text of everything that is submitted. `given`: what the user knows of the system and
    the weights.
    """
    about_weights = {key: value for key, value in given.items() if key in MEASUREMENTS}
    about_system = {key: value for key, value in given.items() if key not in MEASUREMENTS}
    return {
        place.system_file: _pretty(system_fields(timed.result, place) | about_system),
        f"{place.src}/README.md": src_readme(timed, scored),
        f"{place.src}/performance.toml": config_toml(timed.result),
        f"{place.src}/accuracy.toml": config_toml(scored.result),
        f"{place.results}/README.md": result_readme(timed, scored, place),
        f"{place.results}/measurements.json": _pretty(measurements(timed.result) | about_weights),
        f"{place.results}/user.conf": user_conf(timed.result),
        f"{place.results}/performance/run_1/{DETAIL}": timed.detail,
        f"{place.results}/performance/run_1/{SUMMARY}": timed.summary,
        f"{place.results}/accuracy/{DETAIL}": scored.detail,
        f"{place.results}/accuracy/{SUMMARY}": scored.summary,
        f"{place.results}/accuracy/accuracy.txt": accuracy_txt(
            scored.result["accuracy"], scored.accuracy_log
        ),
        f"{place.results}/accuracy/{ACCURACY}": truncated(scored.accuracy_log),
    }


# ---- which runs, and where they go


def read(folder: Path) -> Run:
    """Raises BadInput if the folder holds no finished run, or logs of another one."""
    try:
        result = json.loads((folder / "result.json").read_text(encoding="utf-8"))
        detail, summary = ((folder / name).read_bytes().decode() for name in (DETAIL, SUMMARY))
        log = (folder / ACCURACY).read_bytes()
    except OSError as error:
        raise not_a_run(folder, Path(error.filename or "").name) from None
    except ValueError:
        raise not_a_run(folder, "result.json") from None
    if not isinstance(result, dict) or result.get("schema") != _SCHEMA:
        raise BadInput(
            f"reading {folder}",
            "result.json is of another kind",
            f"schema {_SCHEMA}",
            "Try harness report RUN.",
        )
    owner = run_id_of(folder / DETAIL)
    if owner is not None and owner != result.get("run_id"):
        raise BadInput(
            f"reading {folder}", f"{DETAIL} is of run {owner}", f"of {result.get('run_id')}"
        )
    return Run(folder, result, detail, summary, log)


def place_of(
    result: Mapping[str, Any],
    division: str,
    submitter: str,
    system: str,
    benchmark: str | None,
    version: str,
) -> Place:
    """Raises BadInput for names that cannot be, and for a run whose profile is no benchmark while
    none is named.
    """
    if version not in ROUNDS:
        raise unknown("round", version, ROUNDS)
    if division not in DIVISIONS:
        raise unknown("--division", division, DIVISIONS)
    for flag, name in {"--submitter": submitter, "--system": system}.items():
        if not _NAME.fullmatch(name):
            raise BadInput(
                flag,
                repr(name),
                "the name of a folder: letters, digits and . _ - + ( ) @, no blanks",
            )
    profile = str(result["profile"])
    model = profile.removesuffix("-interactive")
    official = any(name.startswith(model) for known in ROUNDS.values() for name in known.benchmarks)
    if benchmark is None and not official:
        what = f"profile {profile} is no benchmark of MLPerf"
        raise BadInput(
            f"packaging {result['run_id']}",
            what,
            "--benchmark NAME: " + ", ".join(ROUNDS[version].benchmarks),
        )
    name = benchmark or _BENCHMARKS.get(model, model)
    if name not in ROUNDS[version].benchmarks:
        raise unknown(f"benchmark of {version}", name, ROUNDS[version].benchmarks)
    if official and name != model and name.removesuffix("-99").removesuffix("-99.9") != model:
        raise BadInput(
            f"--benchmark {name}",
            f"the run is of profile {profile}",
            f"a run with --profile {name}",
        )
    interactive = profile != model and result["scenario"] == "server"
    return Place(
        division,
        submitter,
        system,
        name,
        "Interactive" if interactive else SCENARIOS[result["scenario"]],
    )


def check(timed: Run, scored: Run, benchmark: str, allow_invalid: bool = False) -> None:
    """Is it one performance run and one accuracy run of the same thing, both valid? Raises
    BadInput.
    """
    for run, mode in ((timed, "performance"), (scored, "accuracy")):
        found = run.result["settings"]["run"]["mode"]  # of this part: a submission has one of each
        if found != mode:
            raise BadInput(
                f"packaging {run.folder}", f"a run in {found} mode", f"one in {mode} mode"
            )
        if run.result["status"] != "VALID" and not allow_invalid:
            found = f"the run is {run.result['status']} ({run.result['status_reason']})"
            raise BadInput(
                f"packaging {run.folder}",
                found,
                "a VALID run",
                "See harness report RUN for what to change.",
            )
    ours, theirs = _identity(timed.result), _identity(scored.result)
    if benchmark in _OTHER_DATA_FOR_ACCURACY:
        ours |= {key: theirs[key] for key in ("dataset", "dataset's hash")}
    differ = [
        f"{key} {ours[key]!r} and {theirs[key]!r}" for key in ours if ours[key] != theirs[key]
    ]
    if differ:
        doing = f"packaging {timed.folder} with the accuracy run {scored.folder}"
        raise BadInput(
            doing,
            "they differ in " + "; ".join(differ),
            "two runs of the same thing",
            _HOW_TO_SCORE,
        )


_HOW_TO_SCORE = "Run it with --mode submission, or once more with --mode accuracy."


def _identity(result: Mapping[str, Any]) -> dict[str, Any]:
    """What the two runs must share."""
    return {
        **{key: result[key] for key in ("sut", "model", "variant", "scenario", "dataset")},
        "dataset's hash": result["settings"]["dataset"].get("sha256", ""),
        **{f"{name} seed": value for name, value in result["settings"]["run"]["seeds"].items()},
    }


# ---- files


def _given(path: Path | None) -> dict[str, Any]:
    """The user's own fields: of systems/<system>.json, and of measurements.json by their names."""
    if path is None:
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadInput(
            f"--system-json {path}", str(error), "a JSON object: field -> value"
        ) from None
    if not isinstance(found, dict):
        raise BadInput(
            f"--system-json {path}", f"a {type(found).__name__}", "a JSON object: field -> value"
        )
    return {
        key: str(value) if isinstance(value, (int, float)) else value
        for key, value in found.items()
    }


def _kept_system(path: Path, given: Mapping[str, Any]) -> str | None:
    """The description of this system that stands already: it may have been completed by hand, so it
    stays.
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
        raise BadInput(
            f"writing {path}",
            what,
            "one description per system",
            "Edit it there, or use another --system.",
        )
    return text


def _write(root: Path, files: Mapping[str, str]) -> None:
    """All of them or none; never over a file that is there. Raises BadInput."""
    written: list[Path] = []
    try:
        for path, text in files.items():
            target = root / path
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("x", encoding="utf-8", newline="") as file:
                written.append(target)
                file.write(text)
    except OSError as error:
        for target in written:
            target.unlink(missing_ok=True)
        if isinstance(error, FileExistsError):
            raise _occupied(Path(error.filename)) from None
        raise BadInput(
            f"writing {root}", error.strerror or str(error), "a folder that can be written"
        ) from None


def _occupied(path: Path) -> BadInput:
    return BadInput(
        f"writing {path}",
        "it is there already",
        "a new place",
        "Delete it first, or use another --output.",
    )


def _pretty(fields: Mapping[str, Any]) -> str:
    return json.dumps(fields, indent=2) + "\n"
