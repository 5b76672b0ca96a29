"""What may a SUT do while nobody counts the time: while it loads, and while it is asked for its
texts and its memory? How long that takes is noted beside the run, so that work done there is seen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

from accuracy.outputs import vocabulary
from accuracy.outputs.rules import TEXT_DIFFERS
from accuracy.outputs.texts import read_back
from accuracy.outputs.vocabulary import Vocabulary
from harness.engine.pieces import Pieces, show_where
from harness.engine.runlog import RunFacts
from harness.kernel.clock import RealClock
from harness.kernel.log import Anomaly, RunLog
from harness.kernel.protocols import SUT, Reachable, SelfChecked, Sink
from harness.kernel.types import MemoryUse, Sample
from harness.running.sampling import of_sut


def load(sut: SUT, samples: Sequence[Sample], sink: Sink) -> float:
    """Load the samples as they are asked, and return how long it took, in seconds. A SUT in this
    process gets no reference answers either.
    """
    asked = [replace(sample, reference=None, labels=(), grader="") for sample in samples]
    start_ns = RealClock.now_ns()
    sut.load(asked, sink)
    return _since_s(start_ns)


def roundtrip_us(sut: SUT) -> float | None:
    return sut.ping_us() if isinstance(sut, Reachable) else None


def _since_s(start_ns: int) -> float:
    return round((RealClock.now_ns() - start_ns) / 1e9, 3)


def ask_back(
    sut: SUT,
    log: RunLog,
    facts: RunFacts,
    pieces: Pieces,
    before: Mapping[int, str],
    samples: Sequence[Sample],
) -> None:
    """Ask for memory, decode steps and texts: as much of each as a SUT that may have died can
    still give. `before` is what ids meant before the run.
    """
    use = pieces.make("figure", "memory", sut.memory, MemoryUse(), later=False)
    facts.memory = asdict(use)
    if (seen := _seen_peak_bytes(sut)) is not None:
        facts.memory["system_peak_bytes"] = seen
    if isinstance(sut, SelfChecked):
        checked = pieces.make("figure", "self-check", sut.self_check, None, later=False)
        facts.self_check = checked or {}
    start_ns = RealClock.now_ns()
    stops = {sample.index: sample.stop for sample in samples if sample.stop}
    read = pieces.make(
        "texts", "texts", lambda: read_back(log, sut.decode, stops), None, later=False
    )
    facts.driver["read_back_s"] = _since_s(start_ns)
    if read is None:
        return
    log.texts, differing, facts.sut["texts_from"] = read
    log.anomalies += differing
    if read.texts_from == "ids":
        make = partial(vocabulary.check, log, log.texts, sut.decode, before)
        found = pieces.make("texts", "vocabulary", make, None, later=False)
        _take(found, log, facts)


def _take(found: Vocabulary | None, log: RunLog, facts: RunFacts) -> None:
    """Note what was found out about the ids of the answers."""
    if found is not None:
        log.anomalies += [Anomaly(i, TEXT_DIFFERS, words) for i, words in found.faults]
        facts.driver |= {"silent_tokens": found.silent, "committed_ids": found.committed}


def commit(sut: SUT) -> dict[int, str]:
    """Ask what some ids mean, before the run. A SUT that cannot tell is heard of after it."""
    try:
        return vocabulary.commit(sut.decode)
    except Exception as fault:
        show_where(fault)
        return {}


def _seen_peak_bytes(sut: SUT) -> int | None:
    """Return the most memory that the system saw the SUT's processes use, their peaks added; None
    if it has none of its own, or the system does not tell.
    """
    peaks = [_peak_bytes(pid) for pid in of_sut(sut).values()]
    known = [peak for peak in peaks if peak is not None]
    return sum(known) if known and len(known) == len(peaks) else None


def _peak_bytes(pid: int) -> int | None:
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace")
        (line,) = (row for row in status.splitlines() if row.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    except (OSError, ValueError, IndexError):
        return None
