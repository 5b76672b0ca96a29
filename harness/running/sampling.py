"""The helper that samples the machine beside a run: whom does it watch, which GPUs, and when does
it end?
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.engine import gpus
from harness.engine.metering.before import before_the_run
from harness.engine.recorder import Recorder
from harness.engine.referee.processes import PART
from harness.engine.runlog import TELEMETRY_LINES, RunFacts
from harness.engine.server_view.devices import family_of, used_by
from harness.engine.telemetry import Telemetry
from harness.kernel.clock import RealClock, VirtualClock
from harness.kernel.entries import SutEntry
from harness.kernel.protocols import SUT, OfProcess, OfProcesses, OfServer
from harness.options.settings import RunConfig


def begin(
    clock: RealClock | VirtualClock,
    sut: SUT,
    folder: Path,
    facts: RunFacts,
    total: int | None,
    progress: bool,
    gpu_interval_s: float,
) -> Telemetry | None:
    """Start it; None in virtual time. `total` are the samples that progress counts towards. Raises
    SetupFailed, OSError.
    """
    if not isinstance(clock, RealClock):
        return None
    metered = facts.gpus.get("indices", [])
    server = sut.scrape() if isinstance(sut, OfServer) else None
    own = sorted(family_of(server)) if server else []
    lines = folder / TELEMETRY_LINES
    pids = processes(sut)
    return Telemetry(lines, pids, total, progress, metered, server, gpu_interval_s, own)


def end(helper: Telemetry, recorder: Recorder) -> None:
    """Tell it the last counts, then stop it."""
    helper.on_idle(recorder)
    helper.stop()


def processes(sut: SUT) -> dict[str, int]:
    """Return the processes whose memory and load are read, by their role."""
    return {"driver": os.getpid(), **of_sut(sut)}


def of_sut(sut: SUT) -> dict[str, int]:
    """Return the processes of the system under test alone."""
    if isinstance(sut, OfProcesses):
        return {f"sut{PART}{number}": pid for number, pid in enumerate(sut.pids, start=1)}
    return {"sut": sut.pid} if isinstance(sut, OfProcess) else {}


def gpus_before(
    config: RunConfig, entry: SutEntry, clock: RealClock | VirtualClock
) -> list[dict[str, Any]]:
    """Return what the GPUs do before the SUT starts, where it may use any."""
    may_use = entry.uses_gpu and config.device != "cpu"
    if not may_use or not isinstance(clock, RealClock):
        return []
    runs_already = entry.asks_server and not entry.starts_server
    return before_the_run(is_ours_to_fill=not runs_already)


def gpus_of(
    facts: Mapping[str, Any], sut: SUT, before: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """Return `gpus.Metered` of a SUT with these facts, and what its GPUs did before."""
    found = gpus.metered(dict(facts) | devices(sut), os.environ).to_json()
    return found | {"before": [row for row in before if row["gpu"] in found["indices"]]}


def devices(sut: SUT) -> dict[str, list[int]]:
    """Return which GPUs a server uses, as facts of its SUT: those of another machine are not
    metered here.
    """
    return {"gpus": used_by(sut.scrape())} if isinstance(sut, OfServer) else {}
