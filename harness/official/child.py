"""The official LoadGen's side of the border: `python -m harness.official.child JOB` runs one test
and leaves.

Two threads: LoadGen's own, which issues queries from inside `StartTest`, and one that reads what
the driver says of them. A process of its own, because the wheel may crash, may wait for ever and
keeps process-wide state. It imports next to nothing of ours and ends when the driver closes the
socket.

    to the driver   n u32 | dataset index u32 * n      a query: sample ids are the count of samples
                                                       so far, on both sides
                    0 u32                              flush: no more queries will come
                    OVER u32                           StartTest has returned, the logs are written
    to LoadGen      sample u32 | tokens i32 | bytes u32 | data      complete; or, if tokens is
                                                                    FIRST, its first token
"""

from __future__ import annotations

import json
import os
import socket
import struct
import sys
import traceback
from array import array
from collections.abc import Callable, Iterator
from itertools import groupby
from operator import itemgetter
from threading import Thread
from typing import Any, NamedTuple

from harness.kernel.process.children import bind

WORD = struct.Struct("<I")
EVENT = struct.Struct("<IiI")
FLUSH, OVER = 0, 0xFFFF_FFFF
FIRST = -(1 << 31)
RECEIVE_BYTES = 1 << 16


class Event(NamedTuple):
    is_first: bool
    sample: int
    tokens: int
    at: int  # where its data begins
    size: int


def run(connection: socket.socket, job: dict[str, Any]) -> None:
    """Let LoadGen run. `job`: settings (attributes of TestSettings; scenario and mode by name),
    total, performance, folder.
    """
    import mlperf_loadgen as loadgen

    theirs: list[int] = []  # LoadGen's id of each sample, by ours

    def issue(ids: list[int], indices: list[int]) -> None:
        theirs.extend(ids)
        _send(connection, array("I", (len(indices), *indices)).tobytes())

    sut = loadgen.ConstructFastSUT(issue, lambda: _send(connection, WORD.pack(FLUSH)))
    library = loadgen.ConstructQSL(job["total"], job["performance"], _nothing, _nothing)
    Thread(
        target=_hear, args=(connection, lambda data: _answer(loadgen, theirs, data)), daemon=True
    ).start()
    loadgen.StartTestWithLogSettings(
        sut, library, _settings(loadgen, job["settings"]), _logging(loadgen, job["folder"]), ""
    )
    _send(connection, WORD.pack(OVER))


def _settings(loadgen: Any, wanted: dict[str, Any]) -> Any:
    settings = loadgen.TestSettings()
    settings.scenario = getattr(loadgen.TestScenario, wanted.pop("scenario"))
    settings.mode = getattr(loadgen.TestMode, wanted.pop("mode"))
    for name, value in wanted.items():
        setattr(settings, name, value)
    return settings


def _logging(loadgen: Any, folder: str) -> Any:
    output = loadgen.LogOutputSettings()
    output.outdir, output.copy_summary_to_stdout = folder, False
    log = loadgen.LogSettings()
    log.enable_trace, log.log_output = False, output
    return log


def _hear(connection: socket.socket, answer: Callable[[bytearray], int]) -> None:
    buffer = bytearray()
    while data := connection.recv(RECEIVE_BYTES):
        buffer += data
        del buffer[: answer(buffer)]
    os._exit(1)  # the driver is gone


def _answer(loadgen: Any, theirs: list[int], buffer: bytearray) -> int:
    """Tell LoadGen the whole events in `buffer`, neighbours of a kind in one call. Returns the
    bytes used.
    """
    memory = array("B", buffer)  # stands still while LoadGen copies from it
    base, used = memory.buffer_info()[0], 0
    for is_first, group in groupby(_events(memory), itemgetter(0)):
        events = list(group)
        responses = [
            loadgen.QuerySampleResponse(
                theirs[e.sample], base + e.at, e.size, 0 if is_first else e.tokens
            )
            for e in events
        ]
        (loadgen.FirstTokenComplete if is_first else loadgen.QuerySamplesComplete)(responses)
        used = events[-1].at + events[-1].size
    return used


def _events(data: array[int]) -> Iterator[Event]:
    at, end = EVENT.size, len(data)
    while at <= end:
        sample, tokens, size = EVENT.unpack_from(data, at - EVENT.size)
        if at + size > end:
            return
        yield Event(tokens == FIRST, sample, tokens, at, size)
        at += size + EVENT.size


def _send(connection: socket.socket, data: bytes) -> None:
    try:
        connection.sendall(data)
    except OSError:
        os._exit(1)  # the driver is gone; an exception may not pass through LoadGen's C++


def _nothing(samples: list[int]) -> None:
    """Do nothing: the driver's SUT has loaded the whole library already."""


def main() -> None:
    bind()
    job = json.loads(sys.argv[1])
    try:
        run(socket.socket(fileno=job["fd"]), job)
    except Exception:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)  # at once: the wheel crashes if the interpreter leaves while its threads are alive


if __name__ == "__main__":
    main()
