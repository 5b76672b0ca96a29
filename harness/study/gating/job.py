"""What does a gate judge, by which target, and where do the answers come from? The user's words in;
finished runs, or the checked settings of runs that a study makes, out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from accuracy.gate.metrics import METRICS
from accuracy.gate.outputs import Outputs
from accuracy.gate.ratios import PUBLISHED
from accuracy.gate.readings import READINGS, Criteria
from harness import registry
from harness.kernel.errors import BadInput, unknown
from harness.kernel.protocols import Say
from harness.kernel.types import is_address, short_name
from harness.live.tally import Tally
from harness.options.settings import RunConfig, load_config
from harness.study.cells import deployment, deployment_flags
from harness.study.comparison import compare
from harness.study.gating.outputs import check_same, read
from harness.study.study import Cell, Ended, Study

DEFAULTS = {"scenario": "offline", "mode": "accuracy", "warmup": 0}
_MAX_RESAMPLES = 1_000_000


class Job(NamedTuple):
    """Finished runs, or settings of runs to be made; the folder is named for `what`."""

    reference: Outputs | RunConfig
    candidates: Sequence[Outputs | RunConfig]
    control: bool
    asked: Criteria
    output_dir: Path
    what: str
    executor: str = "here"


def job(
    reference: str, candidates: str, flags: Mapping[str, Any], asked: Criteria, control: bool = True
) -> Job:
    """Everything is checked before the first run begins. Raises BadInput."""
    given = {name: value for name, value in flags.items() if value is not None}
    asked = _checked(asked)
    names = [name.strip() for name in candidates.split(",") if name.strip()]
    if not names:
        raise BadInput(
            "--candidates",
            "nothing to judge is named",
            "expected variants such as bf16,int8, servers or run folders",
            "See python -m harness list variants.",
        )
    folders = [name for name in (reference, *names) if _is_folder(name)]
    if not folders:
        asked_of = _config(reference, given).model_copy(update={"tf32": False})
        configs = [asked_of, *(_config(name, given, asked_of.model) for name in names)]
        what = short_name(configs[0].model)
        return Job(configs[0], configs[1:], control, asked, configs[0].output_dir, what)
    if len(folders) <= len(names):
        found = (
            f"{folders[0]} is a run folder,"
            f" {next(n for n in (reference, *names) if n not in folders)} is none"
        )
        raise BadInput(
            "gate",
            found,
            "expected either run folders or variants of one model",
            "Name all of one kind.",
        )
    if others := [f"--{name.replace('_', '-')}" for name in given if name != "output_dir"]:
        raise BadInput(
            "gate",
            f"finished runs are given together with {', '.join(others)}",
            "expected one or the other",
            "Leave the flags or runs out.",
        )
    first, *rest = [read(Path(name)) for name in folders]
    check_reference(first)
    for other in rest:
        check_same(first, other)
    labels = compare.labels([(run.model, run.variant) for run in (first, *rest)])
    first, *rest = [
        replace(run, label=label) for run, label in zip((first, *rest), labels, strict=True)
    ]
    return Job(first, rest, False, asked, Path(given.get("output_dir", "runs")), "")


def check_reference(reference: Outputs) -> None:
    """Refuse a reference in TF32, which rounds its products as a candidate would. Raises
    BadInput.
    """
    if reference.is_tf32:
        raise BadInput(
            f"gate --reference {reference.label or reference.run}",
            "its float32 products were computed in TF32 (10 bits of mantissa)",
            "expected a reference in float32 throughout",
            "Run it again without --tf32, and without NVIDIA_TF32_OVERRIDE=1.",
        )


def _is_folder(name: str) -> bool:
    """A folder that is named like a variant is meant with ./ before it."""
    from sut.precision.table import TABLE

    return name not in TABLE and not is_address(name) and ("/" in name or Path(name).is_dir())


def _checked(asked: Criteria) -> Criteria:
    target = asked.target.strip().rstrip("%").strip()
    if asked.against not in (None, *READINGS):
        raise unknown("--against", str(asked.against), READINGS)
    if asked.metric not in METRICS:
        raise unknown("--metric", asked.metric, METRICS)
    if target in PUBLISHED:
        others = {"--against": asked.against == "reference", "--metric": asked.metric != "rouge"}
        if other := [name for name, is_given in others.items() if is_given]:
            value = asked.against if other[0] == "--against" else asked.metric
            raise BadInput(
                "gate",
                f"--target {target} and {other[0]} {value}",
                "MLPerf's figures are of ROUGE against the dataset's answers",
                "Leave one out.",
            )
    elif not _is_share(target):
        raise unknown(
            "--target",
            asked.target,
            PUBLISHED,
            "Or a share of the reference in percent, such as 99.9.",
        )
    if not 100 <= asked.resamples <= _MAX_RESAMPLES:
        raise BadInput(
            "--resamples",
            f"it is {asked.resamples}",
            f"expected 100 to {_MAX_RESAMPLES:,}",
            "10000 is usual.",
        )
    if not 50 <= asked.confidence < 100:
        raise BadInput(
            "--confidence",
            f"it is {asked.confidence:g}",
            "expected 50 to 99.99 percent",
            "95 is usual.",
        )
    return asked._replace(target=target)


def _is_share(text: str) -> bool:
    try:
        return 0 < float(text) <= 100
    except ValueError:
        return False


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

    def outputs(self, name: str, what: Outputs | RunConfig, say: Say) -> tuple[Outputs, bool]:
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
        return replace(self.read(ended), label=deployment(what)), interrupted

    def read(self, ended: Ended) -> Outputs:
        """Return the outputs of a run that was made. Raises BadInput."""
        return read(self.place / ended.run)

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
