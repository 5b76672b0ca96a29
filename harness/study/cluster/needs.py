"""What does a run need of the machine that makes it, and how are its settings said so that they
mean the same there?
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import sut
from harness.kernel.places import expanded
from harness.options.settings import RunConfig
from harness.study.cluster.nodes import Needs

_PATHS = ("model", "tokenizer", "ca_file", "server_python")  # the others are absolute already


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


def portable(config: RunConfig) -> RunConfig:
    """Return the settings with paths that mean the same from any folder."""
    changed: dict[str, Any] = {}
    for name in _PATHS:
        value = getattr(config, name)
        path = None if value is None else expanded(Path(value))
        if path is not None and path.exists():
            changed[name] = type(value)(path.absolute())
    if "model" in changed and config.model in _aliases():
        del changed["model"]
    return config.model_copy(update=changed)


def _aliases() -> set[str]:
    from sut.model.find import TABLE

    return set(TABLE)
