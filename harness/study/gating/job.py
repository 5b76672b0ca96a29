"""What does a gate judge, by which target, and where do the answers come from? The user's words in;
finished runs, or the checked settings of runs that a study makes, out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from accuracy.gate.outputs import Outputs
from accuracy.gate.readings import Criteria
from accuracy.tasks import of_name
from accuracy.tasks.load import Asked, load_task
from accuracy.tasks.programs import SCORER as PROGRAMS
from harness import registry
from harness.kernel.errors import BadInput
from harness.kernel.protocols import Say
from harness.kernel.types import short_name
from harness.live.tally import Tally
from harness.options.settings import RunConfig, load_config
from harness.study.cells import deployment, deployment_flags, numbered
from harness.study.gating.asked import checked, scorer_of
from harness.study.gating.finished import is_run_folder, parts_of
from harness.study.gating.outputs import read
from harness.study.gating.part import Part
from harness.study.study import Cell, Ended, Study

DEFAULTS = {"scenario": "offline", "mode": "accuracy", "warmup": 0}


class Job(NamedTuple):
    """A part for each task, all with the same deployments; the folder is named for `what`."""

    parts: Sequence[Part]
    control: bool
    asked: Criteria
    output_dir: Path
    what: str
    executor: str = "here"


def job(
    reference: str,
    candidates: str,
    flags: Mapping[str, Any],
    asked: Criteria,
    control: bool = True,
    runs: Sequence[Path] = (),
) -> Job:
    """Everything is checked before the first run begins. `runs` are folders of finished runs, the
    reference's among them. Raises BadInput.
    """
    given = {name: value for name, value in flags.items() if value is not None}
    asked = checked(asked)
    names, own = (_names(text) for text in (candidates, reference))
    _check_named(names, own, runs)
    if runs or any(map(is_run_folder, (*own, *names))):
        _check_folders(own, names, given)
        parts = parts_of(own, [*runs, *map(Path, names)], asked, bool(runs))
        return Job(named_apart(parts), False, asked, Path(given.get("output_dir", "runs")), "")
    parts = [_part(own[0], names, flags_of, asked) for flags_of in _each_task(given)]
    parts = named_apart(parts)
    for part in parts:
        _check_questions(part)
    first = configs_of(parts)[0]
    return Job(parts, control, asked, first.output_dir, _what(first, parts))


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _check_named(names: Sequence[str], own: Sequence[str], runs: Sequence[Path]) -> None:
    """Refuse what is named nowhere, or twice. Raises BadInput."""
    if not names and not runs:
        raise BadInput(
            "--candidates",
            "nothing to judge is named",
            "expected variants such as bf16,int8, servers or run folders",
            "See python -m harness list variants.",
        )
    if names and runs:
        found = f"--candidates is given together with {runs[0]}"
        raise BadInput("gate", found, "expected one or the other", "Leave one out.")
    if not own or (len(own) > 1 and not any(map(is_run_folder, own))):
        found = f"it names {len(own)} deployments"
        raise BadInput("--reference", found, "expected one, or its runs on several tasks", "")


def _check_folders(own: Sequence[str], names: Sequence[str], given: Mapping[str, Any]) -> None:
    """Refuse runs beside what is still to be run. Raises BadInput."""
    folders = [name for name in (*own, *names) if is_run_folder(name)]
    others = [name for name in names if not is_run_folder(name)]
    if any(map(is_run_folder, own)):
        others += [name for name in own if not is_run_folder(name)]
    if folders and others:
        fine = "expected either run folders or variants of one model"
        found = f"{folders[0]} is a run folder, {others[0]} is none"
        raise BadInput("gate", found, fine, "Name all of one kind.")
    if settings := [f"--{name.replace('_', '-')}" for name in given if name != "output_dir"]:
        raise BadInput(
            "gate",
            f"finished runs are given together with {', '.join(settings)}",
            "expected one or the other",
            "Leave the flags or runs out.",
        )


# ---- the parts of runs to be made


def _each_task(given: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the flags for each of the tasks. Raises BadInput."""
    names = [name.strip() for name in str(given.get("task", "")).split(",") if name.strip()]
    if not names:
        return [given]
    if twice := [name for name in names if names.count(name) > 1]:
        raise BadInput("--task", f"{twice[0]} is named twice", "expected each task once", "")
    if len(names) > 1 and "shots_file" in given:
        found, fine = "one --shots-file stands beside several tasks", "each has examples of its own"
        raise BadInput("--shots-file", found, fine, "Judge the tasks one by one, or leave it out.")
    return [{**_of_task(name, given, names), "task": name} for name in names]


def _of_task(name: str, given: Mapping[str, Any], names: Sequence[str]) -> Mapping[str, Any]:
    """Return the flags for a task: of several, --run-code is for those that ask for programs."""
    if _has_programs(name) or not any(map(_has_programs, names)):
        return given
    return {key: value for key, value in given.items() if key != "run_code"}


def _has_programs(name: str) -> bool:
    return PROGRAMS in of_name(name).scorers


def _part(reference: str, names: Sequence[str], given: Mapping[str, Any], asked: Criteria) -> Part:
    own = _config(reference, given).model_copy(update={"tf32": False})
    others = [_config(name, given, own.model) for name in names]
    return part_of([own, *others], asked)


def _check_questions(part: Part) -> None:
    """Read the questions of a task: the file of a later one may be damaged, and the runs before it
    would have been for nothing. Raises BadInput.
    """
    config = part.reference
    if isinstance(config, Outputs) or config.task is None:
        return
    if part.scorer == PROGRAMS and config.run_code == "off":
        found, fine = "its answers are programs, which are not run", "expected --run-code"
        todo = "Pass --run-code sandboxed: it runs what the model writes, walled in."
        raise BadInput(f"gate --task {config.task}", found, fine, todo)
    asked = Asked(
        config.task, config.shots, config.shots_file, config.num_samples, config.max_new_tokens,
        config.chat,
    )  # fmt: skip
    if len(load_task(asked).samples) < 2:
        found, fine = "it has one question", "at least 2 are needed"
        raise BadInput(f"gate --task {config.task}", found, fine, "Use a file with more.")


def part_of(configs: Sequence[RunConfig], asked: Criteria) -> Part:
    """Return the part of a reference and its candidates. Raises BadInput for a metric that its task
    is not scored with.
    """
    own = configs[0]
    task = own.task.partition(":")[0] if own.task else None
    scorer = scorer_of(asked, task)
    return Part(task or (short_name(own.dataset) if scorer else ""), own, configs[1:], scorer)


def named_apart(parts: Sequence[Part]) -> list[Part]:
    """Number those parts whose tasks have the same name."""
    names = numbered([part.name for part in parts])
    return [part._replace(name=name) for part, name in zip(parts, names, strict=True)]


def configs_of(parts: Sequence[Part]) -> list[RunConfig]:
    """Return the settings of all runs that are to be made."""
    every = (made for part in parts for made in (part.reference, *part.candidates))
    return [made for made in every if isinstance(made, RunConfig)]


def _what(own: RunConfig, parts: Sequence[Part]) -> str:
    """Return what its folder is named for: the model, and the tasks where these are few."""
    tasks = list(dict.fromkeys(part.name.partition(" ")[0] for part in parts if own.task))
    return "_".join(
        [short_name(own.model), *(tasks if len(tasks) < 4 else [f"{len(tasks)}_tasks"])]
    )


def _config(name: str, given: Mapping[str, Any], model: str = "") -> RunConfig:
    """Return the settings of a deployment; `model` is the reference's. Raises BadInput."""
    flags = {key: value for key, value in given.items() if key != "config"}
    chosen = deployment_flags(name, flags, model)
    config = load_config(chosen, given.get("config"), DEFAULTS)
    if config.mode != "accuracy" or not registry.sut_entry(config.sut).uses_dataset:
        found = f"mode {config.mode}, sut {config.sut}"
        raise BadInput(
            "gate",
            found,
            "expected accuracy runs of a local model",
            "Leave mode and sut out of the settings.",
        )
    if 1 in (config.num_samples, config.accuracy_samples):
        raise BadInput(
            "gate", "one sample is asked for", "at least 2 are needed", "Raise --num-samples."
        )
    return config


# ---- where the answers come from


class Source(NamedTuple):
    """Where runs come from: a study that makes them, or none, where all are finished."""

    place: Path
    study: Study | None
    tally: Tally | None = None  # of the study

    @property
    def is_spread(self) -> bool:
        """Say whether several runs may be made at a time."""
        return self.study is not None and self.study.is_spread

    def outputs(
        self, name: str, what: Outputs | RunConfig, metric: str | None, say: Say
    ) -> tuple[Outputs, bool]:
        """(outputs, whether the user wants no more). Raises HarnessError where a run cannot be
        made.
        """
        if isinstance(what, Outputs) or self.study is None:
            assert isinstance(what, Outputs)
            return what, False
        ended, interrupted = self.study.ended.get(name), False
        if ended is None:
            self.began(name)
            ended, interrupted = self.study.run(Cell(name, what), say, no_figures)
            self.ended(name)
        return replace(self.read(ended, metric), label=deployment(what)), interrupted

    def read(self, ended: Ended, metric: str | None) -> Outputs:
        """Return the outputs of a run that was made. Raises BadInput."""
        return read(self.place / ended.run, metric)

    def began(self, name: str) -> None:
        """Count a run that is being made."""
        if self.tally is not None:
            self.tally.began(name)

    def ended(self, name: str, is_failed: bool = False) -> None:
        """Count a run that was made, or could not be."""
        if self.tally is not None:
            self.tally.ended(name, is_failed)

    def forget(self, fault: BaseException) -> None:
        """Leave no empty folder behind; what a run left may tell why it broke."""
        if self.study is not None:
            return self.study.forget(fault)
        with suppress(OSError):
            self.place.rmdir()


def no_figures(result: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Keep nothing of a run but its folder: the answers are read from there."""
    return {}
