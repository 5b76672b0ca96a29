"""What does a run need of the machine that makes it?"""

from __future__ import annotations

from pathlib import Path

import sut
from harness.kernel.places import expanded
from harness.kernel.types import is_address
from harness.likelihood.settings import subjects
from harness.options.settings import RunConfig
from harness.study.cluster.nodes import Needs
from harness.study.executors.work import Scoring, Work


def needs_of(work: Work) -> Needs:
    """Return the GPUs that the settings name, and the memory that the model's files tell of where
    they are here. Work on `--device auto` takes what its node has.
    """
    return _of_scoring(work) if isinstance(work, Scoring) else _of_run(work)


def _of_scoring(work: Scoring) -> Needs:
    """A measurement knows its own: its models are loaded one after the other, or both at once."""
    made = work.measurement
    gpus = _gpus(made.device, 1)
    each = [
        _weights_bytes(subject.model, subject.variant)
        for subject in subjects(made)
        if subject.folder in (work.subject, work.against) and not is_address(subject.model)
    ]
    needed = sum(each) if made.exact else max(each, default=0)
    return Needs(gpus, 0 if gpus else needed)


def _of_run(config: RunConfig) -> Needs:
    entry = sut.TABLE.get(config.sut)
    if entry is None or not (entry.runs_model or entry.starts_server):
        return Needs()
    gpus = _gpus(config.device, config.replicas)
    return Needs(
        gpus, 0 if gpus else _weights_bytes(config.model, config.variant) * config.replicas
    )


def _gpus(device: str, replicas: int) -> int:
    kind, _, index = device.partition(":")
    if kind != "cuda":
        return 0
    return int(index) + 1 if index.isdigit() else replicas


def _weights_bytes(model: str, variant: str) -> int:
    """Return the least that the weights take; 0 where the files are not here."""
    from sut.model.room import needed_bytes

    path = expanded(Path(model))
    return needed_bytes(str(path), variant) if path.exists() else 0
