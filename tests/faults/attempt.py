"""What comes of one cell of the matrix? The real program, struck in the middle of a phase."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import psutil

from harness.engine import journal, runlog
from harness.kernel.errors import HarnessError
from harness.running.recover import recover
from tests import ROOT
from tests.faults.matrix import Cell, right_codes

HOOK = Path(__file__).parent / "hook"
HANGS_S = 150.0
LEAVES_S = 12.0  # for children, after the program has ended
_MARKER = "FAULT_MARK"
_TRACEBACK = re.compile(r"^Traceback \(most recent call last\)", re.MULTILINE)


class Outcome(NamedTuple):
    """`kept` counts the samples or texts on the disk afterwards; `wrong` has a sentence for each
    thing that must not be. `code` is None for a program that had to be killed.
    """

    code: int | None
    seconds: float
    kept: int
    wrong: tuple[str, ...]
    words: str  # of stderr


def attempt(cell: Cell, place: Path, names: dict[str, str]) -> Outcome:
    """Start the command in an empty folder, strike, wait, look."""
    place.mkdir(parents=True)
    out, mark, go = place / "out", place / "mark", place / "go"
    words = cell.command.words.format(out=out, **names).split()
    environment = _environment(cell, mark, go)
    began_s = time.monotonic()
    program = subprocess.Popen(
        [sys.executable, "-m", "harness", *words],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    reached = _wait_for(mark, program)
    if reached:
        time.sleep(cell.phase.after_s)
        _STRIKE[cell.fault.name](program, str(mark))
    go.touch()
    wrong = [] if reached else ["the phase was never reached"]
    spoken, code = _end(program, wrong)
    wrong += _left_running(str(mark))
    kept = _kept(out)
    wrong += _judged(cell, code, kept, spoken)
    return Outcome(code, time.monotonic() - began_s, kept, tuple(wrong), spoken)


def _environment(cell: Cell, mark: Path, go: Path) -> dict[str, str]:
    paths = os.pathsep.join(map(str, (HOOK, ROOT / "tests" / "busy", ROOT)))
    own = {
        "PYTHONPATH": paths,
        "FAULT_TARGET": cell.phase.target,
        "FAULT_NTH": str(cell.phase.nth),
        "FAULT_MARK": str(mark),
        "FAULT_GO": str(go),
        "OMP_NUM_THREADS": "1",
        "TOUCHSTONE_CACHE": str(mark.parent / "cache"),
        "TOUCHSTONE_STATE": str(mark.parent / "state"),
        "TMPDIR": str(mark.parent),
    }
    holds = {"FAULT_HOLD": "1"} if cell.phase.holds else {}
    return {**os.environ, **own, **holds}


def _wait_for(mark: Path, program: subprocess.Popen[bytes]) -> bool:
    until_s = time.monotonic() + HANGS_S
    while time.monotonic() < until_s and program.poll() is None:
        if mark.exists():
            return True
        time.sleep(0.02)
    return False


def _end(program: subprocess.Popen[bytes], wrong: list[str]) -> tuple[str, int | None]:
    """Return what it said on stderr, and its exit code; kill it if it does not end."""
    for pipe in (program.stdout, program.stderr):
        if pipe is not None and not pipe.closed:
            os.set_blocking(pipe.fileno(), False)
    spoken, until_s = bytearray(), time.monotonic() + HANGS_S
    while program.poll() is None and time.monotonic() < until_s:
        spoken += _read(program)
        time.sleep(0.02)
    if program.poll() is None:
        wrong.append(f"it hangs: nothing after {HANGS_S:g} s")
        program.kill()
        program.wait()
        return _text(spoken), None
    spoken += _read(program)
    for pipe in (program.stdout, program.stderr):
        if pipe is not None:
            pipe.close()
    return _text(spoken), program.returncode


def _read(program: subprocess.Popen[bytes]) -> bytes:
    said = b""
    for pipe in (program.stdout, program.stderr):
        if pipe is None or pipe.closed:
            continue
        data = pipe.read() or b""
        if pipe is program.stderr:
            said += data
    return said


def _text(spoken: bytearray) -> str:
    return spoken.decode(errors="replace")


# ---- the faults


def _signalled(number: int, times: int = 1) -> Callable[[subprocess.Popen[bytes], str], None]:
    def strike(program: subprocess.Popen[bytes], _: str) -> None:
        for _ in range(times):
            with suppress(ProcessLookupError):
                os.kill(program.pid, number)
            time.sleep(0.03)

    return strike


def _sut_signalled(number: int) -> Callable[[subprocess.Popen[bytes], str], None]:
    def strike(program: subprocess.Popen[bytes], mark: str) -> None:
        for process in _of(mark):
            words = " ".join(process.cmdline())
            if "sut.border.child" in words or "sut.likelihood.worker" in words:
                process.send_signal(number)

    return strike


def _closed(name: str) -> Callable[[subprocess.Popen[bytes], str], None]:
    def strike(program: subprocess.Popen[bytes], _: str) -> None:
        getattr(program, name).close()

    return strike


def _limited(what: int, to: Callable[[psutil.Process], int]) -> Callable[..., None]:
    def strike(program: subprocess.Popen[bytes], mark: str) -> None:
        for process in _of(mark):
            limit = to(process)
            process.rlimit(what, (limit, limit))

    return strike


_STRIKE: dict[str, Callable[[subprocess.Popen[bytes], str], None]] = {
    "Ctrl-C": _signalled(signal.SIGINT),
    "5 x Ctrl-C": _signalled(signal.SIGINT, 5),
    "SIGTERM": _signalled(signal.SIGTERM),
    "SIGHUP": _signalled(signal.SIGHUP),
    "SIGKILL": _signalled(signal.SIGKILL),
    "SUT killed": _sut_signalled(signal.SIGKILL),
    "SUT stopped": _sut_signalled(signal.SIGSTOP),
    "stderr closed": _closed("stderr"),
    "stdout closed": _closed("stdout"),
    "disk full": _limited(psutil.RLIMIT_FSIZE, lambda process: 0),
    "no descriptor left": _limited(psutil.RLIMIT_NOFILE, lambda process: 3),
}


def _of(mark: str) -> list[psutil.Process]:
    """Return the living processes of this attempt: all have its mark in their environment."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            is_alive = process.status() != psutil.STATUS_ZOMBIE
            if is_alive and process.environ().get(_MARKER) == mark:
                found.append(process)
    return found


# ---- what must not be


def _left_running(mark: str) -> list[str]:
    until_s = time.monotonic() + LEAVES_S
    while (left := _of(mark)) and time.monotonic() < until_s:
        time.sleep(0.1)
    wrong = []
    for process in left:
        with suppress(psutil.Error):
            wrong.append(f"left running: {' '.join(process.cmdline()[1:4])[:80]}")
            process.kill()
    return wrong


def _judged(cell: Cell, code: int | None, kept: int, spoken: str) -> Iterator[str]:
    if code is not None and code not in right_codes(cell):
        yield f"exit code {code}, expected {' or '.join(map(str, sorted(right_codes(cell))))}"
    if _TRACEBACK.search(spoken):
        yield "a traceback"
    if "This is a bug" in spoken:
        yield '"This is a bug"'
    if cell.phase.measured != "nothing" and not kept:
        yield "what was measured is lost"


def _kept(out: Path) -> int:
    """Count the completed samples that a reader finds, and the scored texts. What only a journal
    has is read as `harness report` does.
    """
    kept = 0
    for path in out.rglob(journal.FILE):
        recover(path.parent)
    for folder in {path.parent for path in out.rglob("samples.parquet")}:
        with suppress(HarnessError):
            kept += int(runlog.read_log(folder)[0].completed.sum())
    kept += sum(1 for path in out.rglob("parts/*") if path.is_file())
    for path in out.rglob("perplexity.json"):
        with suppress(ValueError):
            kept += bool(json.loads(path.read_text()))
    return kept
