"""Which runs keep a journal, and until when? Those in real time whose SUT has a process of its own,
until samples.parquet is written.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from harness.engine.dispatched.arm import recorder as recorder_for
from harness.engine.dispatched.recorder import StampedJournalRecorder
from harness.engine.journal import Journal, JournalRecorder, capacity_bytes
from harness.engine.pieces import Pieces
from harness.engine.recorder import Recorder
from harness.engine.runlog import RunFacts
from harness.kernel.clock import RealClock, VirtualClock
from harness.kernel.protocols import SUT, Dispatcher, Tapped
from harness.kernel.types import RunSettings
from harness.running.keeping import expected_samples
from harness.running.recover import this_process


@contextmanager
def journaled(
    clock: RealClock | VirtualClock,
    sut: SUT,
    settings: RunSettings,
    folder: Path,
    facts: RunFacts,
    arm: Dispatcher | None = None,
) -> Iterator[Recorder]:
    """Yield a recorder whose events stand in a journal until the block has kept them elsewhere. If
    the block fails, the journal stays. Without room for one the run goes on, and says so.
    """
    kept = arm is not None or isinstance(sut, Tapped)
    if not isinstance(clock, RealClock) or not kept:
        yield recorder_for(clock, arm)
        return
    pieces = Pieces(facts.missing)
    make = partial(Journal, folder, capacity_bytes(settings, expected_samples(settings)))
    journal = pieces.make("file", "journal", make, None, later=False)
    facts.missing = pieces.missing
    if journal is None:
        yield recorder_for(clock, arm)
        return
    journal.put_facts({"facts": asdict(facts), "process": this_process()})
    try:
        if arm is not None:
            yield StampedJournalRecorder(clock, journal)
        else:
            yield from _tapped(sut, JournalRecorder(clock, journal))
    except BaseException:
        journal.leave()
        raise
    journal.remove()


def _tapped(sut: Any, recorder: JournalRecorder) -> Iterator[Recorder]:
    sut.tap(recorder.hear)
    try:
        yield recorder
    finally:
        sut.tap(None)
