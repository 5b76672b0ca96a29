"""Which runs and studies are in the folder that is shown? Found by their files, read when they are
needed, and looked at again when they change.

A folder is looked into once; later only the times of the folders are asked for, which change when
something is added. A summary is read once and again when its files change: the newest first, on a
thread of its own, so that the first page of thousands of runs comes at once. `version` grows with
every change; whoever follows asks for that alone.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from threading import Event, Lock, Thread
from typing import NamedTuple

from harness.kernel.clock import monotonic_s, wall_ns
from harness.view import summary
from harness.view.summary import RUNNING, UNFINISHED, Summary

MOST_FOLDERS = 200_000
_DEEPEST = 6  # folders below the one that is shown
_SLOW_S = 2.0  # between two looks
_ASLEEP_S = 30.0  # without a request nobody looks
_JUST_NS = 3_000_000_000  # file systems may give two changes in one tick one time
_OPEN = (RUNNING, UNFINISHED)  # what files may change without their folder changing
# How a folder is told, the first that fits; None: by its study.json.
_MARKS = (
    ("texts.parquet", "perplexity"),
    ("settings.json", "run"),
    ("result.json", "run"),
    ("study.json", None),
    ("compare.json", "compare"),
    ("gate.json", "gate"),
    ("sweep.json", "sweep"),
    ("decide.json", "decide"),
    ("evaluate.json", "evaluate"),
    ("family.json", "family"),
)
_SUMMED = ("result.json", "rows.jsonl", "study.json", summary.LINES)


class Entry(NamedTuple):
    """A run or a study. `path` is relative to the folder that is shown, with slashes; `parent` is
    that of the study that it belongs to, if any.
    """

    path: str
    kind: str  # run, study, or the kind of an object without one
    parent: str
    started: str  # 2026-11-27 18:00:19, UTC

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]


class _Seen(NamedTuple):
    """A folder as it was looked into."""

    mtime_ns: int
    kind: str
    folders: list[str]


class Index:
    """The entries of a folder, and their summaries as far as they have been read."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.version = 0
        self.unnamed = self._unnamed = 0  # folders whose names are not text, which have no address
        self._entries: dict[str, Entry] = {}
        self._seen: dict[str, _Seen] = {}  # every folder, by its path
        self._asked_s = monotonic_s()
        self._summaries: dict[str, tuple[tuple[int, ...], Summary]] = {}
        self._stale: set[str] = set()
        self._lock, self._over = Lock(), Event()
        self._thread = Thread(target=self._follow, daemon=True, name="index")

    # ---- what is there

    @property
    def entries(self) -> list[Entry]:
        """All entries that are known now."""
        with self._lock:
            return list(self._entries.values())

    @property
    def read(self) -> int:
        """How many of the entries have a summary."""
        with self._lock:
            return sum(path in self._summaries for path in self._entries)

    def entry(self, path: str) -> Entry | None:
        """Return the entry of a path; None if there is none."""
        with self._lock:
            return self._entries.get(path)

    def holder(self, path: str) -> Entry | None:
        """Return the run or study in whose folder a path is."""
        while path:
            if (found := self.entry(path)) is not None:
                return found
            path = path.rpartition("/")[0]
        return None

    def quick(self, entry: Entry) -> Summary:
        """Return a summary as it was read last, however old; read now if it never was."""
        with self._lock:
            found = self._summaries.get(entry.path)
        return found[1] if found else self.summary(entry)

    def summary(self, entry: Entry) -> Summary:
        """Return what the list says of an entry, read now if its files are others than before."""
        folder = self.root / entry.path
        stamp = _stamp(folder)
        with self._lock:
            found = self._summaries.get(entry.path)
        if found is not None and found[0] == stamp and found[1].status != RUNNING:
            return found[1]
        made = _summary(folder, entry.kind)
        with self._lock:
            before = self._summaries.get(entry.path)
            self._summaries[entry.path] = stamp, made
            if before is None or before[1] != made:
                self.version += 1
        return made

    # ---- following

    def start(self) -> None:
        """Look once, then go on looking on a thread."""
        self.look()
        self._thread.start()

    def stop(self) -> None:
        self._over.set()
        if self._thread.is_alive():
            self._thread.join()

    def asked(self) -> None:
        """Hear that somebody looks at the list."""
        self._asked_s = monotonic_s()

    def look(self) -> None:
        """Find what is new and what is gone. Files of entries are not read."""
        seen: dict[str, _Seen] = {}
        entries: dict[str, Entry] = {}
        for path, parent, found in self._walked():
            seen[path] = found
            if found.kind:
                name = path.rpartition("/")[2]
                began = summary.started(name, found.mtime_ns)
                entries[path] = Entry(path, found.kind, parent, began)
        with self._lock:
            self.unnamed = self._unnamed
            self.version += entries.keys() != self._entries.keys()
            self._entries = entries
            changed = [path for path in entries if seen[path] != self._seen.get(path)]
            self._seen = seen
            self._stale.update(changed)

    def _follow(self) -> None:
        while not self._over.is_set():
            self._read_stale()
            self._over.wait(_SLOW_S)
            if monotonic_s() - self._asked_s < _ASLEEP_S:
                with suppress(OSError):
                    self.look()

    def _read_stale(self) -> None:
        """Read the summaries of what has changed, or may have; the newest first."""
        with self._lock:
            is_open = {path for path, (_, one) in self._summaries.items() if one.status in _OPEN}
            paths = (self._stale | is_open) & self._entries.keys()
            entries = [self._entries[path] for path in paths]
            self._stale.clear()
        for entry in sorted(entries, key=lambda entry: entry.started, reverse=True):
            if self._over.is_set():
                return
            self.summary(entry)

    def _walked(self) -> Iterator[tuple[str, str, _Seen]]:
        """Yield (path, study that it is in, what was found there) of each folder."""
        left = [("", "", 0)]
        count, now_ns = 0, wall_ns()
        self._unnamed = 0
        while left and count < MOST_FOLDERS:
            path, parent, depth = left.pop()
            try:
                found = self._looked_into(path, now_ns)
            except OSError:
                continue  # it is gone, or not ours to read
            count += 1
            yield path, parent, found
            inner = path if found.kind else parent
            names = [name for name in found.folders if _is_text(name)]
            self._unnamed += len(found.folders) - len(names)
            if depth < _DEEPEST:
                left += [(f"{path}/{name}" if path else name, inner, depth + 1) for name in names]

    def _looked_into(self, path: str, now_ns: int) -> _Seen:
        """Return what is in a folder: as before, if it has not changed. Raises OSError."""
        here = self.root / path
        mtime_ns = os.stat(here, follow_symlinks=not path).st_mtime_ns
        before = self._seen.get(path)
        is_old = now_ns - mtime_ns > _JUST_NS
        if before is not None and before.mtime_ns == mtime_ns and is_old:
            return before
        names, folders = _listed(here)
        return _Seen(mtime_ns, _kind(names) if path else "", folders)


def _listed(folder: Path) -> tuple[set[str], list[str]]:
    """Return the names of the files in a folder, and those of the folders there that are shown."""
    names, folders = set[str](), list[str]()
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                if not entry.name.startswith("."):
                    folders.append(entry.name)
            else:
                names.add(entry.name)
    return names, folders


def _is_text(name: str) -> bool:
    """Tell whether a name is UTF-8, as an address needs it."""
    return not any("\ud800" <= letter <= "\udfff" for letter in name)


def _kind(names: set[str]) -> str:
    for mark, kind in _MARKS:
        if mark in names:
            return kind or "study"
    return ""


def _stamp(folder: Path) -> tuple[int, ...]:
    """Return what changes when a summary does: times and sizes of the files that it is made of."""
    found = []
    for name in _SUMMED:
        with suppress(OSError):
            status = os.stat(folder / name, follow_symlinks=False)
            found += [status.st_mtime_ns, status.st_size]
    return tuple(found)


def _summary(folder: Path, kind: str) -> Summary:
    if kind == "run":
        return summary.of_run(folder, wall_ns())
    if kind == "study":
        return summary.of_study(folder)
    return summary.of_whole(folder, kind)
