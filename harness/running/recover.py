"""What can be made of a run whose driver was killed? Its journal is played back into a recorder,
with a clock that says the moments of then.
"""

from __future__ import annotations

import os
from collections import defaultdict
from contextlib import suppress
from pathlib import Path
from struct import error
from typing import Any

import psutil

from harness.engine import journal, runlog
from harness.engine.dispatched.recorder import StampedRecorder, decoded
from harness.engine.pieces import Pieces
from harness.engine.recorder import Recorder
from harness.engine.runlog import RunFacts
from harness.kernel.clock import VirtualClock
from harness.kernel.errors import BadInput
from harness.kernel.foreign.own_files import check_folder
from harness.kernel.foreign.parsed import loads
from harness.kernel.log import RunLog
from harness.kernel.places import not_a_run
from harness.kernel.types import AfterInFlight, Query, QuerySample
from sut.border import wire

KILLED = "the driver was killed in the middle; this is what its journal has"
_DAMAGED = (ValueError, KeyError, TypeError, IndexError, AssertionError, OverflowError, error)
_RELEASED = AfterInFlight(1)  # how it was released does not matter any more


def this_process() -> dict[str, Any]:
    """Say which process keeps a journal, so that nobody takes it for a dead one's."""
    process = psutil.Process()
    return {"pid": process.pid, "started_s": process.create_time()}


def recover(folder: Path) -> bool:
    """Write the samples.parquet of a run that left only a journal; return whether it did.

    Raises BadInput while the run is still being made.
    """
    check_folder(folder)
    path = folder / journal.FILE
    if os.path.exists(folder / "samples.parquet") or not os.path.isfile(path):
        return False
    found = list(journal.records(path))
    if not any(record.kind == journal.START for record in found):
        return False
    try:
        head = loads(found[0].body)
        if _is_alive(head["process"]):
            what = f"process {head['process']['pid']} is still making it"
            fine = "expected a finished run"
            raise BadInput(f"reading {folder}", what, fine, "Wait for its end.")
        log, facts = replayed(found[1:]), RunFacts(**head["facts"])
    except _DAMAGED:
        raise not_a_run(folder, journal.FILE) from None
    pieces = Pieces(facts.missing)
    fault = BadInput("reading the outputs", "the driver was killed before it could")
    pieces.lost("texts", "texts", fault, later=False)
    pieces.lost("figure", "memory", fault, later=False)
    facts.missing = pieces.missing
    runlog.write_log(folder, log, facts)
    _add_telemetry(folder, found, pieces)
    path.unlink()
    return True


def replayed(records: list[journal.Record]) -> RunLog:
    """Return the run that the records tell: what was open is given up."""
    clock = VirtualClock()
    is_stamped = any(record.kind == journal.ANSWERED for record in records)
    recorder = StampedRecorder(clock) if is_stamped else Recorder(clock)
    readers: defaultdict[int, wire.FrameReader] = defaultdict(wire.FrameReader)  # by stream
    start_ns = 0
    for record in records:
        if record.kind == journal.START:
            start_ns = recorder.gate_ns = record.moment_ns
            continue
        clock.advance(record.moment_ns - clock.now_ns())
        if record.kind == journal.ISSUED:
            _issue(recorder, record)
        elif record.kind == journal.HEARD:
            for kind, body in readers[record.stream].feed(record.body):
                if kind == wire.EVENTS:
                    wire.replay(body, wire.epoch_of(body), recorder)
        elif record.kind == journal.ANSWERED and isinstance(recorder, StampedRecorder):
            recorder.answered(decoded(record.body))
    recorder.give_up("lost: the driver was killed")
    return recorder.log(start_ns, "interrupted", KILLED)


def _issue(recorder: Recorder, record: journal.Record) -> None:
    due_ns, query_id, indices = journal.issued(record)
    first = recorder.num_issued
    samples = [QuerySample(first + k, index) for k, index in enumerate(indices)]
    recorder.issue(Query(query_id, samples, _RELEASED), due_ns, record.moment_ns)


def _is_alive(process: dict[str, Any]) -> bool:
    with suppress(psutil.Error):
        known = psutil.Process(process["pid"])
        is_same = bool(abs(known.create_time() - process["started_s"]) < 1)
        return is_same and str(known.status()) != psutil.STATUS_ZOMBIE
    return False


def _add_telemetry(folder: Path, found: list[journal.Record], pieces: Pieces) -> None:
    starts = [record.moment_ns for record in found if record.kind == journal.START]
    lines = folder / "telemetry.jsonl"
    if starts and lines.is_file():
        pieces.make(
            "file", "telemetry.parquet",
            lambda: runlog.write_telemetry(folder, lines, starts[0]), None, later=False,
        )  # fmt: skip
