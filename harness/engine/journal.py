"""What is left of a run whose driver is killed in the middle? A journal: what the SUT said, byte by
byte, with the moments, in a file that is mapped into memory.

Writing to it is a copy of memory, without a system call: what was copied is the system's own, and
stays when the process dies. The room on the disk is taken before the clock starts, so the copy
cannot fail. Once samples.parquet is written the journal is removed; where it is left,
`harness.running.recover` makes the run of it.

    record   length u32 (0: the end) | kind u8 | stream u16, 1 byte of nothing | moment i64 | body
    FACTS    the facts of the run, as JSON        START   none: the moment counts
    ISSUED   the moment is the issue: due i64, query id i32, index i32 per sample
    HEARD    the bytes as they came from the SUT's process; the stream tells replicas apart
    ANSWERED the answer as a worker of ours told it (`harness.engine.dispatched`), as msgpack
"""

from __future__ import annotations

import json
import mmap
import os
import struct
from array import array
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from harness.engine.recorder import Recorder
from harness.kernel.foreign.own_files import MOST_LOG_BYTES, read_bytes
from harness.kernel.protocols import Clock, Hear
from harness.kernel.types import Query, RunSettings

FILE = "journal.bin"
FACTS, START, ISSUED, HEARD, ANSWERED = range(1, 6)
_HEAD = struct.Struct("<IBHxq")
_ISSUE, _ISSUE_ONE = struct.Struct("<qi"), struct.Struct("<qii")
_MOST_BYTES = 2 << 30
_A_SAMPLE_BYTES = 600  # its query, its end, and the longest reason of a failure
_A_TOKEN_BYTES = 64  # in a message of its own, and once more at the end
_BLOCK = bytes(1 << 20)


class Record(NamedTuple):
    kind: int
    moment_ns: int
    body: bytes
    stream: int = 0


class Journal:
    """Take `capacity_bytes` on the disk. Raises OSError if there is no room."""

    def __init__(self, folder: Path, capacity_bytes: int) -> None:
        self._path = folder / FILE
        try:
            with self._path.open("x+b") as file:
                _take_room(file.fileno(), capacity_bytes)
                self._map = mmap.mmap(file.fileno(), capacity_bytes)
        except OSError:
            self._path.unlink(missing_ok=True)
            raise
        self._at = self._first = 0
        self._end = capacity_bytes - _HEAD.size  # the last head stays 0

    def put(self, kind: int, moment_ns: int, body: bytes, stream: int = 0) -> None:
        """Append a record; from the first on that does not fit, none."""
        start = self._at + _HEAD.size
        end = start + len(body)
        if end > self._end:
            self._end = 0
            return
        self._map[start:end] = body
        head = (len(body) + 1, kind, stream, moment_ns)
        _HEAD.pack_into(self._map, self._at, *head)  # it counts from now
        self._at = end

    def put_facts(self, facts: Mapping[str, Any]) -> None:
        self.put(FACTS, 0, json.dumps(facts, default=str).encode())
        self._first = self._at

    def remove(self) -> None:
        """Let go of the file and delete it: what it held is kept elsewhere."""
        self._map.close()
        self._path.unlink(missing_ok=True)

    def leave(self) -> None:
        """Let go of the file; it stays, unless nothing was ever issued."""
        if self._at > self._first:
            self._map.close()
        else:
            self.remove()


class JournalRecorder(Recorder):
    """A recorder whose queries, and what is heard of them, stand in a journal too."""

    def __init__(self, clock: Clock, journal: Journal) -> None:
        super().__init__(clock)
        self._put = journal.put

    def issue(self, query: Query, due_ns: int, issued_ns: int) -> None:
        if not self.num_issued:
            self._put(START, self.gate_ns, b"")
        samples = query.samples
        if len(samples) == 1:  # three times as fast
            body = _ISSUE_ONE.pack(due_ns, query.id, samples[0].index)
        else:
            indices = array("i", [sample.index for sample in samples])
            body = _ISSUE.pack(due_ns, query.id) + indices.tobytes()
        self._put(ISSUED, issued_ns, body)
        super().issue(query, due_ns, issued_ns)

    @property
    def hear(self) -> Hear:
        """What is to be called with the bytes of the SUT, as they come."""
        put, now_ns = self._put, self._now
        return lambda data, stream=0: put(HEARD, now_ns(), data, stream)


def capacity_bytes(settings: RunSettings, num_samples: int) -> int:
    """Return the room that a run of so many samples needs, in whole pages."""
    a_sample = _A_SAMPLE_BYTES + _A_TOKEN_BYTES * settings.max_new_tokens
    wanted = min((1 << 20) + num_samples * a_sample, _MOST_BYTES)
    return -(-wanted // mmap.PAGESIZE) * mmap.PAGESIZE


def records(path: Path) -> Iterator[Record]:
    """Yield the records of a journal. Raises OSError; a damaged end is left out."""
    data, at = read_bytes(path, MOST_LOG_BYTES), 0
    while at + _HEAD.size <= len(data):
        length, kind, stream, moment_ns = _HEAD.unpack_from(data, at)
        start = at + _HEAD.size
        at = start + length - 1
        if not length or at > len(data):
            return
        yield Record(kind, moment_ns, data[start:at], stream)


def issued(record: Record) -> tuple[int, int, list[int]]:
    """Return (due moment, query id, indices of its samples) of a record of an issue."""
    due_ns, query_id = _ISSUE.unpack_from(record.body)
    return due_ns, query_id, array("i", record.body[_ISSUE.size :]).tolist()


def _take_room(descriptor: int, num_bytes: int) -> None:
    """Take room on the disk, all zeros: a mapped file without it would end the process later."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(descriptor, 0, num_bytes)
        return
    for start in range(0, num_bytes, len(_BLOCK)):
        os.write(descriptor, _BLOCK[: num_bytes - start])
