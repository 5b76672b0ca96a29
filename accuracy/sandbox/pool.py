"""Run many programs, one per core at a time, each behind walls of its own."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import suppress
from typing import Any

from accuracy.sandbox.programs import Broken, Limits, Mode, Program, Ran
from harness.kernel.errors import BadInput
from harness.kernel.machine import waits
from harness.kernel.process.children import Child

_MORE_S = 60.0  # for the processes around a program, on a busy machine
_TRIVIAL = Program("value = 1", "assert value == 1")
_TODO = "Run it on a machine, or in a virtual one, that nobody needs, with --run-code unprotected."


def check(mode: Mode, limits: Limits) -> Ran:
    """Run a program that does nothing; return what is known of its protections. Raises
    BadInput where this system cannot run it in that way.
    """
    if os.name != "posix":
        fine = "programs are run on Linux and macOS"
        raise BadInput("--run-code", "this system cannot limit a process", fine, "")
    try:
        ran = run(_TRIVIAL, mode, limits)
    except Broken as fault:
        is_walled = mode == "sandboxed"
        fine = "expected Linux with namespaces that users may make" if is_walled else ""
        todo = _TODO if is_walled else "Run it as another user than root."
        raise BadInput(f"--run-code {mode}", f"no sandbox: {fault}", fine, todo) from fault
    if ran.outcome != "right":
        found = f"a program that does nothing did not pass: {ran.outcome}, {ran.detail}"
        raise BadInput(f"--run-code {mode}", found, "", "")
    return ran


def run(program: Program, mode: Mode, limits: Limits) -> Ran:
    """Run one program to its end, or to its limit. Nothing of it is left then. Raises Broken."""
    job = {"program": program, "limits": limits, "mode": mode}
    with tempfile.TemporaryFile("w+", encoding="utf-8") as file:
        json.dump(job, file)
        file.seek(0)
        fd = file.fileno()
        how: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        most_s = limits.seconds + _MORE_S
        try:
            with Child("accuracy.sandbox.warden", f"{fd}", pass_fds=(fd,), **how) as child:
                said, error = waits.output(child, waits.Limit(most_s, most_s))
        except waits.Overdue:
            return Ran("timeout", "the sandbox did not end either")
    if child.returncode or not said:
        last = (error.strip().splitlines() or ["it said nothing"])[-1]
        raise Broken(f"its process {waits.ending(child.returncode)}: {last}")
    told = json.loads(said)
    if "broken" in told:
        raise Broken(told["broken"])
    outcome, detail, protections, _ = told["ran"]
    return Ran(outcome, detail, tuple(protections))


def run_all(
    programs: Sequence[Program],
    mode: Mode,
    limits: Limits,
    is_stopped: Callable[[], bool] = lambda: False,
) -> Iterator[tuple[int, Ran]]:
    """Yield (place, what became of it) of all programs as they end; no more of them start once
    `is_stopped`. A sandbox that breaks is tried
    once more; then its program counts as an error.
    """
    with ThreadPoolExecutor(os.cpu_count() or 1) as workers:
        waiting = {workers.submit(_ran, one, mode, limits): i for i, one in enumerate(programs)}
        try:
            while waiting and not is_stopped():
                done, _ = wait(waiting, timeout=0.2, return_when=FIRST_COMPLETED)
                for future in done:
                    yield waiting.pop(future), future.result()
        finally:
            workers.shutdown(wait=True, cancel_futures=True)


def _ran(program: Program, mode: Mode, limits: Limits) -> Ran:
    with suppress(Broken):
        return run(program, mode, limits)
    try:
        return run(program, mode, limits)
    except Broken as fault:
        return Ran("error", f"the sandbox: {fault}", is_ours=True)
