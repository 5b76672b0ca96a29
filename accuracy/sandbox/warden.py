"""Run one program behind walls, and say as a line of JSON what became of it.

    python -m accuracy.sandbox.warden FD    the job is read from that file descriptor

    this process      holds the leash: it dies with who started it, and its group with it
      overseer        moves apart, waits, and kills what is behind the walls when time is up
        watcher       the first process in there; as it ends, the system kills all others
          program     Python, with accuracy/sandbox/runner.py

Where there are no walls (`unprotected`), the watcher itself ends what the program left behind. No
program ever runs as root: it could kill every process of the machine.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import select
import shutil
import signal
import sys
import tempfile
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

from accuracy.sandbox import calls, walls
from accuracy.sandbox.programs import (
    FILTERED,
    WALLS,
    Broken,
    Limits,
    Program,
    Ran,
    of_ending,
    of_verdict,
)
from harness.kernel.clock import monotonic_s
from harness.kernel.process import children

_RUNNER = Path(__file__).with_name("runner.py")
_MOST_TOLD = 1 << 16  # bytes of a program's report that are read
_GRACE_S = 5.0  # for the watcher, past the program's own limit
_LOOK_S = 0.05
_ON_LINUX = sys.platform == "linux"


def main() -> None:
    children.bind()
    with os.fdopen(int(sys.argv[1]), encoding="utf-8") as file:
        job = json.load(file)
    program, limits = Program(*job["program"]), Limits(*job["limits"])
    is_walled = job["mode"] == "sandboxed"
    folder = "" if is_walled else tempfile.mkdtemp(prefix="touchstone-code-")
    try:
        warnings.simplefilter("ignore")  # Python 3.12 on a fork beside the leash's thread
        told = _from_fork(lambda: _overseer(program, limits, is_walled, folder), None)
    finally:
        if folder:
            shutil.rmtree(folder, ignore_errors=True)
    print(json.dumps(told))


def _from_fork(act: Callable[[], dict[str, Any]], limit_s: float | None) -> dict[str, Any]:
    """Return what `act` returns in a process of its own, which is gone when this ends. It is killed
    after so many seconds, and told of as a timeout.
    """
    theirs, ours = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(theirs)
        _tell_and_end(ours, act)
    os.close(ours)
    end_s = None if limit_s is None else monotonic_s() + limit_s
    said = b""
    try:
        while end_s is None or select.select([theirs], [], [], max(0.0, end_s - monotonic_s()))[0]:
            more = os.read(theirs, _MOST_TOLD)
            said += more
            if not more:
                break
        else:
            return {"ran": Ran("timeout", "it did not end by itself")}
    finally:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(theirs)
    return dict(json.loads(said or b'{"broken": "a process of the sandbox was killed"}'))


def _tell_and_end(ours: int, act: Callable[[], dict[str, Any]]) -> NoReturn:
    try:
        if _ON_LINUX:
            walls.die_with_parent()
        told = act()
    except Broken as fault:
        told = {"broken": str(fault)}
    except BaseException as fault:  # it must not go on as a second copy of its parent
        told = {"broken": f"{type(fault).__name__}: {fault}"}
    os.write(ours, json.dumps(told).encode())
    os._exit(0)


def _overseer(program: Program, limits: Limits, is_walled: bool, folder: str) -> dict[str, Any]:
    if is_walled:
        walls.apart()
    if _ON_LINUX:
        with suppress(OSError):
            walls.be_killed_first()
    number, runner = os.getpid(), _RUNNER.read_text(encoding="utf-8")

    def watcher() -> dict[str, Any]:
        is_filtered = False
        if is_walled:
            walls.enclose(limits)
            is_filtered = calls.refuse()
        elif _ON_LINUX:
            walls.adopt_orphans()
        watched = _Watched(runner, limits, number, folder)
        ran = watched.verdict(program)
        if not is_walled:
            watched.end_all()
        return {"ran": ran._replace(protections=_protections(is_walled, is_filtered))}

    return _from_fork(watcher, limits.seconds + _GRACE_S)


def _protections(is_walled: bool, is_filtered: bool) -> tuple[str, ...]:
    walled = (*WALLS, *((FILTERED,) if is_filtered else ())) if is_walled else ()
    own = (*walled, *(("number of processes",) if _ON_LINUX else ()))
    limited = ("memory",) if _ON_LINUX else ()
    return (*own, "time", *limited, "size of files", "no environment")


class _Watched:
    """A program that runs, seen by the process that started it."""

    def __init__(self, runner: str, limits: Limits, number: int, folder: str) -> None:
        self._limits, self._end_s = limits, monotonic_s() + limits.seconds
        self._is_open = True  # its side of the report
        self._ended: tuple[int, float] | None = None  # status, processor seconds
        asked, self._ask = os.pipe()
        self._report, report = os.pipe()
        self._refusal, refusal = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            _become(runner, limits, number, folder, (asked, report), refusal)
        for fd in (asked, report, refusal):
            os.close(fd)
        refused = os.read(self._refusal, 1000)  # to its end: Python has started
        if refused:
            os.waitpid(self.pid, 0)
            raise Broken(refused.decode())
        os.set_blocking(self._ask, False)

    def verdict(self, program: Program) -> Ran:
        """Return what became of it: by its own word and the token, or by how it ended."""
        token, heard = secrets.token_hex(16), 0
        questions = [_line(answer=program.answer), _line(test=program.test, token=token)]
        to_send, line = questions.pop(0), b""
        while (left_s := self._end_s - monotonic_s()) > 0:
            to_send, ended = self._send(to_send), self._ending()
            more = self._heard(0.0 if ended else min(left_s, _LOOK_S))
            heard += len(more)
            if heard > _MOST_TOLD:
                return Ran("error", "it wrote into the report of its verdict")
            *whole, line = (line + more).split(b"\n")
            for told in filter(None, map(_read, whole)):
                if told.get("at") == "defined" and questions:
                    to_send += questions.pop(0)
                elif told.get("outcome") == "right" and told.get("token") == token:
                    return Ran("right")
                elif "outcome" in told and told["outcome"] != "right":
                    return of_verdict(told)
            if ended is not None and not more:
                return of_ending(*ended, self._limits)
        return Ran("timeout", f"more than {self._limits.seconds:g} s")

    def _heard(self, wait_s: float) -> bytes:
        """Return what the program reports; nothing after a while, or once it closed the pipe."""
        pipes = [self._report] if self._is_open else []
        if not select.select(pipes, [], [], wait_s)[0]:
            return b""
        more = os.read(self._report, _MOST_TOLD)
        self._is_open = bool(more)
        return more

    def _send(self, text: bytes) -> bytes:
        """Send what the pipe takes now; return the rest."""
        while text:
            try:
                text = text[os.write(self._ask, text) :]
            except BlockingIOError:
                return text
            except BrokenPipeError:
                return b""
        return text

    def _ending(self) -> tuple[int, float] | None:
        """Return (status, processor seconds) if the program itself has ended."""
        if self._ended is None:
            with suppress(ChildProcessError):
                pid, status, used = os.wait4(self.pid, os.WNOHANG)
                if pid:
                    self._ended = status, used.ru_utime + used.ru_stime
        return self._ended

    def end_all(self) -> None:
        """Kill the program and what it has started, as far as it can be found without walls."""
        end_s = monotonic_s() + _GRACE_S
        while monotonic_s() < end_s:
            with suppress(OSError):
                os.killpg(self.pid, signal.SIGKILL)
            for pid in _children():
                with suppress(OSError):
                    os.kill(pid, signal.SIGKILL)
            try:
                os.wait()
            except ChildProcessError:
                return


def _children() -> list[int]:
    """Return the children of this process, those that it adopted as well (Linux)."""
    with suppress(OSError):
        return [*map(int, Path("/proc/thread-self/children").read_text().split())]
    return []


def _line(**told: str) -> bytes:
    return (json.dumps(told) + "\n").encode()


def _read(line: bytes) -> dict[str, Any] | None:
    """Return a line of a report; None for what is none, as a program may write there too."""
    try:
        told = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return told if isinstance(told, dict) else None


def _become(
    runner: str,
    limits: Limits,
    number: int,
    folder: str,
    pipes: tuple[int, int],
    refusal: int,
) -> NoReturn:
    """Turn this process into the program; say what was refused."""
    try:
        os.setsid()
        nothing = os.open(os.devnull, os.O_RDWR)
        high = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 10) for fd in (*pipes, nothing, refusal)]
        asked, report, nothing, refusal = high
        for source, target in ((asked, 0), (nothing, 1), (nothing, 2), (report, 3)):
            os.dup2(source, target)
        folder = folder or walls.FOLDER
        walls.be_nobody(number, folder)
        os.chdir(folder)
        walls.confine(limits)
        python = walls.python()
        os.execve(python, [python, "-s", "-S", "-B", "-c", runner], _environment(folder))
    except BaseException as fault:
        os.write(refusal, f"{fault}".encode()[:1000])
    os._exit(1)


def _environment(folder: str) -> dict[str, str]:
    """Return all the variables that the program sees. Sets of texts have one order."""
    own = {"HOME": folder, "TMPDIR": folder, "LANG": "C.UTF-8", "PYTHONHASHSEED": "0"}
    return own | {"PYTHONSAFEPATH": "1", "MALLOC_ARENA_MAX": "1"}


if __name__ == "__main__":
    main()
