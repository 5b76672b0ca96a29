"""What is run, within which limits, and what can become of it."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

Outcome = Literal["right", "wrong", "error", "timeout", "memory", "no answer"]
Mode = Literal["sandboxed", "unprotected"]

# What `sandboxed` adds: without all of them no program is run.
WALLS = ("no network", "own files only", "own processes only", "no privileges")
FILTERED = "no rare system calls"  # where the system can: see accuracy.sandbox.calls


class Program(NamedTuple):
    """An answer as a whole program, and the test that runs after it in the same process."""

    answer: str
    test: str


class Limits(NamedTuple):
    """How much a program may use. Memory counts for each of its processes."""

    seconds: float = 10.0  # on the wall; its processor time as well
    memory_bytes: int = 1 << 30
    disk_bytes: int = 64 << 20
    processes: int = 8  # threads count; older kernels (before 5.14) then allow one


class Ran(NamedTuple):
    """What became of a program, and why, for people. `protections` are those that were on."""

    outcome: Outcome
    detail: str = ""
    protections: tuple[str, ...] = ()
    is_ours: bool = False  # the sandbox itself broke, twice


class Broken(Exception):
    """The sandbox itself could not be set up: `str()` says what the system refused."""


def of_ending(status: int, cpu_s: float, limits: Limits) -> Ran:
    """Return what a program is counted as that ended, as wait(2) says, without a verdict."""
    import os
    import signal

    if not os.WIFSIGNALED(status):
        return Ran("error", f"it ended with exit code {os.WEXITSTATUS(status)} before its test did")
    number = os.WTERMSIG(status)
    if number == signal.SIGXCPU or cpu_s >= limits.seconds:
        return Ran("timeout", f"more than {limits.seconds:g} s of processor time")
    if number == signal.SIGKILL:
        return Ran("memory", "the system killed it, as it does where memory runs out")
    known = number in set(signal.Signals)
    name = signal.Signals(number).name if known else f"signal {number}"
    return Ran("error", f"it was killed by {name}")


def of_verdict(told: dict[str, Any]) -> Ran:
    """Return what the program's own side says of a failure."""
    outcomes = ("wrong", "error", "memory", "no answer")
    outcome = told.get("outcome")
    detail = f"{told.get('detail', '')}"[:300]
    return Ran(outcome if outcome in outcomes else "error", detail)
