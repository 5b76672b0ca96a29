"""How is work on many parts spread over the processors of this machine? Children take a part each,
and this process works beside them; what comes out does not depend on who did it.

    for number, done in each(scored, parts): ...     # in the order in which they are done

Nothing waits for a child: when all parts are given out, this process does again what has not come
back. So a child that is killed, stopped or out of memory costs time and no result, and an error in
`work` is raised here, as if there were no children. Ctrl-C ends all of them at once.
"""

from __future__ import annotations

import os
import socket
import struct
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, TypeVar

from harness.kernel.process import children

MOST = 16  # processes: each takes some 100 MB
_AHEAD = 2  # parts that a child has, so that it is never without one
_PATIENCE_S = 5  # with a child that does not take what it is sent
_PASSES_SOCKETS = os.name == "posix"  # to a child
_CPU_MAX = Path("/sys/fs/cgroup/cpu.max")  # "QUOTA PERIOD" in microseconds, or "max PERIOD"
Part = TypeVar("Part")
Done = TypeVar("Done")


def each(
    work: Callable[[Part], Done], parts: Iterable[Part], processes: int | None = None
) -> Iterator[tuple[int, Done]]:
    """Yield (number of a part, what `work` makes of it), each once, as they are done.

    `work` is a function of a module, and it and the parts can be pickled; what cannot is done here.
    `processes` counts this one; as many as there are processors (`processors`) unless given.
    """
    waiting = deque(enumerate(parts))
    known = dict(waiting)  # what is not done yet
    wanted = min(processors() if processes is None else processes, len(waiting))
    with _crew(wanted - 1) as crew:
        while known:
            for worker in crew:
                for number, done in worker.answers():
                    if number in known:
                        del known[number]
                        yield number, done
                while worker.has_time and waiting:
                    worker.give(work, *waiting.popleft())
            if known:
                number, part = waiting.popleft() if waiting else next(reversed(known.items()))
                done = work(part)
                del known[number]
                yield number, done


def processors(quota: Path = _CPU_MAX) -> int:
    """Return on how many processors this process may run at once, at most MOST."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    with suppress(OSError, ValueError):  # no control groups; no quota
        part_us, of_us = map(int, quota.read_text().split())
        allowed = min(allowed or 1, part_us // of_us)
    return max(1, min(allowed or 1, MOST))


@contextmanager
def _crew(wanted: int) -> Iterator[list[_Worker]]:
    """Start so many children, or as many as the system lets us start."""
    with ExitStack() as stack:
        crew = []
        with suppress(OSError):
            for _ in range(wanted if _PASSES_SOCKETS else 0):
                crew.append(stack.enter_context(_Worker()))
        yield crew


class _Worker:
    """A child that does parts. Once it or what it is sent fails, it is given no more."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        patience = struct.pack("ll", _PATIENCE_S, 0)
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, patience)
        with theirs:
            self._child = children.Child(
                "harness.kernel.process.spread",
                str(theirs.fileno()),
                env={"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
                pass_fds=(theirs.fileno(),),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        self._line = Connection(ours.detach())
        self._is_there = True
        self._has = 0

    def __enter__(self) -> _Worker:
        return self

    @property
    def has_time(self) -> bool:
        return self._is_there and self._has < _AHEAD

    def give(self, work: Callable[[Any], Any], number: int, part: Any) -> None:
        try:
            self._line.send((number, work, part))
            self._has += 1
        except Exception:  # it is gone or takes nothing, or the part cannot be pickled
            self._is_there = False

    def answers(self) -> Iterator[tuple[int, Any]]:
        """Yield what it has done since; nothing for a part that failed."""
        try:
            while self._is_there and self._line.poll():
                number, is_done, done = self._line.recv()
                self._has -= 1
                if is_done:
                    yield number, done
        except (OSError, EOFError):
            self._is_there = False

    def __exit__(self, *how: object) -> None:
        self._line.close()
        self._child.__exit__(*how)


def main() -> None:
    """Do parts until the parent lets go."""
    children.bind()
    with Connection(int(sys.argv[1])) as line:
        while True:
            try:
                number, work, part = line.recv()
            except EOFError:
                return
            line.send((number, *_done(work, part)))


def _done(work: Callable[[Any], Any], part: Any) -> tuple[bool, Any]:
    try:
        return True, work(part)
    except Exception:  # it is done again where somebody hears of it
        return False, None


if __name__ == "__main__":
    main()
