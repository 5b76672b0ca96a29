"""How does what was measured get to the disk, whatever breaks?"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from harness.engine import runlog
from harness.engine.pieces import Pieces, reason
from harness.engine.runlog import RunFacts
from harness.kernel.entries import SutEntry
from harness.kernel.errors import RunBroke
from harness.kernel.log import RunLog
from harness.kernel.process.streams import tell
from harness.kernel.types import RunSettings
from harness.options.settings import RunConfig
from harness.result.integrity import seal


class Written(dict[Path, dict[str, bytes]]):
    """The raw files of a run and its parts as they were written, by folder and name: what the run
    is judged by. Nobody who edits the folders reaches them.
    """

    def of(self, folder: Path) -> dict[str, bytes]:
        """Return the files of a folder; what another process wrote of them is read."""
        files = self.setdefault(folder, {})
        if runlog.SAMPLES not in files:
            files |= runlog.read_raw(folder) | files
        return files

    def forget_all_but(self, *folders: Path) -> None:
        """Free the memory of steps that no figure will come from."""
        for other in self.keys() - {*folders}:
            del self[other]


def note_seal(files: Mapping[str, bytes]) -> None:
    """Note the seal of a run or part that is complete, before anybody judges it."""
    run_id = runlog.run_id_of(files[runlog.SAMPLES])
    if why := seal.note(run_id, seal.hashes(files)):
        tell(f"note: the seal of the run is not kept ({why})")


def keep(
    folder: Path, log: RunLog, facts: RunFacts, described: Mapping[str, bytes]
) -> tuple[Path, bytes]:
    """Write samples.parquet; return the folder where it is, and the file: another folder if this
    takes no more, with `described` (its JSON files by name) and a note. Raises RunBroke if no
    folder takes it.
    """
    try:
        return folder, runlog.write_log(folder, log, facts)
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


def keep_again(
    folder: Path, log: RunLog, facts: RunFacts, what: str, before: bytes
) -> tuple[bytes, list[dict[str, Any]]]:
    """Write it with what has been found out since; return (the file, what is missing). If that
    fails, the file stays as it was `before`.
    """
    pieces = Pieces()
    rewrite = partial(runlog.rewrite_log, folder, log, facts)
    return pieces.make("file", what, rewrite, before, later=False), pieces.missing


def expected_bytes(settings: RunSettings) -> int:
    """Guess the size generously: ids, stamps and text of every sample that may be issued, and a
    floor for the rest.
    """
    return 4 * 2**20 + expected_samples(settings) * (200 + 20 * settings.max_new_tokens)


def expected_samples(settings: RunSettings) -> int:
    """Guess generously how many samples may be issued."""
    by_time = int(2 * settings.target_qps * settings.min_duration_ns / 1e9)
    return max(settings.min_queries, by_time, settings.num_samples) * settings.samples_per_query


def what_of(config: RunConfig, entry: SutEntry) -> str:
    """Say in a folder's name what is measured."""
    if not entry.runs_model:
        return config.sut.replace(":", ".")
    return f"{config.model.rstrip('/').split('/')[-1]}_{config.variant}"
