"""What did the GPUs do before the run? Their idle power over a second, and who was on them."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from threading import Event
from typing import Any

from harness.engine.metering import figures
from harness.engine.metering.figures import Gpu
from harness.engine.metering.neighbours import BYTES, PROCESSES, WHO, Neighbours
from harness.kernel.machine.nvml import Nvml

SECONDS, STEPS = 1.0, 10
Wait = Callable[[float], object]
_wait = Event().wait


def before_the_run(is_ours_to_fill: bool, wait: Wait = _wait) -> list[dict[str, Any]]:
    """Return a row for each GPU of the machine: {gpu, idle_watts, foreign_processes, foreign_bytes,
    foreign}. It takes a second where there are GPUs. A server that runs already fills them itself:
    then (not `is_ours_to_fill`) nobody is looked for.
    """
    nvml = Nvml()
    gpus = [Gpu(index, handle) for index, handle in enumerate(nvml.gpus())]
    if not gpus:
        return []
    watchers = [Neighbours(nvml, [gpu], {os.getpid()}, expected=0) for gpu in gpus]
    for watcher in watchers:
        watcher.read()  # what is gone a second later does not count
    idle = _idle_watts(nvml, gpus, wait)
    others = [_others(watcher) if is_ours_to_fill else {} for watcher in watchers]
    nvml.close()
    return [
        {"gpu": gpu.number, "idle_watts": watts, **seen}
        for gpu, watts, seen in zip(gpus, idle, others, strict=True)
    ]


def _idle_watts(nvml: Nvml, gpus: Sequence[Gpu], wait: Wait) -> list[float | None]:
    """Return the mean power of each over a second; None where it is not told all along."""
    seen = [list[float | None]() for _ in gpus]
    for _ in range(STEPS):
        wait(SECONDS / STEPS)
        for gpu, values in zip(gpus, seen, strict=True):
            told = gpu.handle if gpu.handle.refusal else figures.watts(nvml, gpu.handle.value)
            values.append(None if told.refusal else told.value)
    return [_mean(values) for values in seen]


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if len(known) == len(values) else None


def _others(watcher: Neighbours) -> dict[str, Any]:
    row, _ = watcher.read()
    return {
        "foreign_processes": row[PROCESSES],
        "foreign_bytes": row[BYTES],
        "foreign": row.get(WHO, []),
    }
