"""The helper that samples the machine beside a run: whom does it watch, and when does it end?"""

from __future__ import annotations

import os
from pathlib import Path

from harness.engine.recorder import Recorder
from harness.engine.runlog import TELEMETRY_LINES, RunFacts
from harness.engine.telemetry import Telemetry
from harness.kernel.clock import RealClock, VirtualClock
from harness.kernel.protocols import SUT, OfProcess


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
    pids = {"driver": os.getpid()}
    if isinstance(sut, OfProcess):
        pids["sut"] = sut.pid
    metered = facts.gpus.get("indices", [])
    return Telemetry(folder / TELEMETRY_LINES, pids, total, progress, metered)


def end(helper: Telemetry, recorder: Recorder) -> None:
    """Tell it the last counts, then stop it."""
    helper.on_idle(recorder)
    helper.stop()
