"""How does what was measured get to the disk, whatever breaks?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from accuracy.outputs.texts import read_back
from harness.engine import runlog
from harness.engine.pieces import Pieces, reason
from harness.engine.runlog import RunFacts
from harness.kernel.errors import RunBroke
from harness.kernel.protocols import SUT
from harness.kernel.types import (
    MemoryUse,
    RunLog,
    RunSettings,
)


def keep(folder: Path, log: RunLog, facts: RunFacts, described: Mapping[str, Any]) -> Path:
    """Write samples.parquet; return the folder where it is: another one if this takes no more, with
    `described` (name -> JSON file) and a note. Raises RunBroke if no folder takes it.
    """
    try:
        runlog.write_log(folder, log, facts)
        return folder
    except Exception as fault:
        try:
            return runlog.rescue_log(folder, log, facts, described, reason(fault))
        except Exception as another:
            doing, todo = f"writing {folder / 'samples.parquet'}", "Make room, then run again."
            nor = f"nor could it be written elsewhere ({reason(another)})"
            raise RunBroke(doing, reason(fault), nor, todo) from fault


def refuse_elsewhere(folder: Path, place: Path) -> None:
    """Raise RunBroke if a part of a larger run is not in its own folder, where the whole is made
    of it.
    """
    if place != folder:
        found, fine = "its disk takes no more files", f"what was measured is in {place}"
        todo = f"harness report {place} shows it; make room, then run or resume."
        raise RunBroke(f"writing to {folder}", found, fine, todo)


def keep_again(folder: Path, log: RunLog, facts: RunFacts, what: str) -> list[dict[str, Any]]:
    """Write it with what has been found out since; if that fails, the file stays as it was."""
    pieces = Pieces()
    pieces.make("file", what, lambda: runlog.rewrite_log(folder, log, facts), None, later=False)
    return pieces.missing


def ask_back(sut: SUT, log: RunLog, facts: RunFacts, pieces: Pieces) -> None:
    """Ask for memory and texts: as much of each as a SUT that may have died can still give."""
    use = pieces.make("figure", "memory", sut.memory, MemoryUse(), later=False)
    facts.memory = asdict(use)
    read = pieces.make("texts", "texts", lambda: read_back(log, sut.decode), None, later=False)
    if read is not None:
        log.texts, differing, facts.sut["texts_from"] = read
        log.anomalies += differing


def expected_bytes(settings: RunSettings) -> int:
    """Guess the size generously: ids, stamps and text of every sample that may be issued, and a
    floor for the rest.
    """
    return 4 * 2**20 + expected_samples(settings) * (200 + 20 * settings.max_new_tokens)


def expected_samples(settings: RunSettings) -> int:
    """Guess generously how many samples may be issued."""
    by_time = int(2 * settings.target_qps * settings.min_duration_ns / 1e9)
    return max(settings.min_queries, by_time, settings.num_samples) * settings.samples_per_query
