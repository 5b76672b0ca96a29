"""What does a run need of the machine that makes it?"""

from __future__ import annotations

from pathlib import Path

import sut
from harness.kernel.places import expanded
from harness.options.settings import RunConfig
from harness.study.cluster.nodes import Needs


def needs_of(config: RunConfig) -> Needs:
    """Return the GPUs that the settings name, and the memory that the model's files tell of where
    they are here. A run on `--device auto` takes what its node has.
    """
    entry = sut.TABLE.get(config.sut)
    if entry is None or not (entry.runs_model or entry.starts_server):
        return Needs()
    gpus = _gpus(config)
    return Needs(gpus, 0 if gpus else _weights_bytes(config) * config.replicas)


def _gpus(config: RunConfig) -> int:
    kind, _, index = config.device.partition(":")
    if kind != "cuda":
        return 0
    return int(index) + 1 if index.isdigit() else config.replicas


def _weights_bytes(config: RunConfig) -> int:
    """Return the least that the weights take; 0 where the files are not here."""
    from sut.model.room import needed_bytes

    path = expanded(Path(config.model))
    return needed_bytes(str(path), config.variant) if path.exists() else 0
