"""The helper that samples the machine beside a run: whom does it watch, and when does it end?"""

from __future__ import annotations

import os
from pathlib import Path

from harness.engine.recorder import Recorder
from harness.engine.referee.processes import PART
from harness.engine.runlog import TELEMETRY_LINES, RunFacts
from harness.engine.server_view.devices import used_by
from harness.engine.telemetry import Telemetry
from harness.kernel.clock import RealClock, VirtualClock
from harness.kernel.protocols import SUT, OfProcess, OfProcesses, OfServer


def begin(
    clock: RealClock | VirtualClock,
    sut: SUT,
    folder: Path,
    facts: RunFacts,
    total: int | None,
    progress: bool,
) -> Telemetry | None:
    """Start it; None in virtual time. `total` are the samples that progress counts towards. Raises
    SetupFailed, OSError.
    """
    if not isinstance(clock, RealClock):
        return None
    metered = facts.gpus.get("indices", [])
    server = sut.scrape() if isinstance(sut, OfServer) else None
    lines = folder / TELEMETRY_LINES
    return Telemetry(lines, processes(sut), total, progress, metered, server)


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


def devices(sut: SUT) -> dict[str, list[int]]:
    """Return which GPUs a server uses, as facts of its SUT: those of another machine are not
    metered here.
    """
    return {"gpus": used_by(sut.scrape())} if isinstance(sut, OfServer) else {}
