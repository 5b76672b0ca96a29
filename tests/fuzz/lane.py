"""What became of each input: a sentence, a result, a traceback, "This is a bug", or nothing at all?

A command is judged as a user has it: by its exit code and by what stands on stdout and stderr. A
function that a command calls may only raise what the command turns into a sentence: a HarnessError.
"""

from __future__ import annotations

import re
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, NamedTuple
from unittest.mock import patch

from typer.testing import CliRunner

from harness.cli import app
from harness.kernel.errors import HarnessError

REFUSED, ACCEPTED, TRACEBACK, BUG, HUNG, LEAK = (
    "refused", "accepted", "traceback", "This is a bug", "hung", "leak",
)  # fmt: skip
OUTCOMES = (REFUSED, ACCEPTED, TRACEBACK, BUG, HUNG, LEAK)
FINE = (REFUSED, ACCEPTED)
PATIENCE_S, ASLEEP_S = 20.0, 300.0  # of processor time; of the clock, on a busy machine
_HIDDEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u202e\ud800-\udfff]")


class Kind(NamedTuple):
    """`make` prepares a folder once and returns what sends one input through its door. `share` is
    its part of all inputs.
    """

    share: float
    make: Callable[[Path], Callable[[Random], None]]


class Wrong(Exception):
    """Says in `outcome` what a command did that it must not do."""

    def __init__(self, outcome: str, words: str) -> None:
        super().__init__(words)
        self.outcome = outcome


class Hung(BaseException):
    """Took longer than anybody waits; no handler of an Exception may swallow it."""


class Failure(NamedTuple):
    """An input that did not end as it must."""

    kind: str
    number: int
    outcome: str
    words: str


@dataclass
class Tally:
    """What came out of the inputs of one kind."""

    counts: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    failures: list[Failure] = field(default_factory=list)

    def add(self, other: Tally) -> None:
        self.counts += other.counts
        self.seconds += other.seconds
        self.failures += other.failures


def command(words: Sequence[str]) -> None:
    """Run a command in this process. Raises Wrong, or what a sentence would say (HarnessError)."""
    with patch.object(sys, "argv", ["harness", *words]):  # where names that are no text are found
        done = CliRunner().invoke(app, list(words))
    said = done.stdout + done.stderr
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        if isinstance(done.exception, Hung):
            raise done.exception
        raise Wrong(TRACEBACK, f"{words}: {done.exception!r}") from done.exception
    if "This is a bug" in said:
        raise Wrong(BUG, f"{words}: {done.stderr[-300:]}")
    if _HIDDEN.search(said):
        raise Wrong(LEAK, f"{words}: {said[-300:]!a}")
    if done.exit_code not in (0, 1):
        if not said.strip():
            raise Wrong(TRACEBACK, f"{words}: exit code {done.exit_code} without a word")
        raise HarnessError("a command", said[:200])


def run(name: str, kind: Kind, numbers: Iterable[int], seed: int) -> Tally:
    """Send the inputs of these numbers through their door."""
    tally, start_s = Tally(), time.monotonic()
    with tempfile.TemporaryDirectory(prefix="fuzz-") as place:
        send = kind.make(Path(place))
        for number in numbers:
            outcome, words = _sent(send, Random(f"{seed}/{name}/{number}"))
            tally.counts[outcome] += 1
            if outcome not in FINE:
                tally.failures.append(Failure(name, number, outcome, words))
    tally.seconds = time.monotonic() - start_s
    return tally


def _sent(send: Callable[[Random], None], rng: Random) -> tuple[str, str]:
    """Return what became of one input, and the place and words of a failure."""
    try:
        with _patience():
            send(rng)
    except HarnessError as error:
        leaks = _HIDDEN.search(str(error))
        return (LEAK, ascii(str(error))) if leaks else (REFUSED, "")
    except Wrong as wrong:
        return wrong.outcome, str(wrong)
    except Hung as hung:
        return HUNG, _place(hung)
    except KeyboardInterrupt:
        raise
    except BaseException as fault:  # a panic of a library in Rust is no Exception
        return BUG, f"{type(fault).__name__}: {str(fault)[:200]!a} at {_place(fault)}"
    return ACCEPTED, ""


def _place(fault: BaseException) -> str:
    """Return the last line of ours, and the last of all."""
    frames = traceback.extract_tb(fault.__traceback__)
    ours = [f for f in frames if "site-packages" not in f.filename and "/lib/" not in f.filename]
    last = [f"{Path(f.filename).name}:{f.lineno} {f.name}" for f in (*ours[-1:], *frames[-1:])]
    return ", ".join(dict.fromkeys(last))


@contextmanager
def _patience() -> Iterator[None]:
    def ring(*_: Any) -> None:
        raise Hung

    timers = (
        (signal.SIGPROF, signal.ITIMER_PROF, PATIENCE_S),
        (signal.SIGALRM, signal.ITIMER_REAL, ASLEEP_S),
    )
    before = [signal.signal(name, ring) for name, _, _ in timers]
    for _, timer, seconds in timers:
        signal.setitimer(timer, seconds)
    try:
        yield
    finally:
        for (name, timer, _), handler in zip(timers, before, strict=True):
            signal.setitimer(timer, 0)
            signal.signal(name, handler)


def shares(kinds: dict[str, Kind], count: int) -> dict[str, int]:
    """Return how many inputs each kind gets of `count`; at least one."""
    whole = sum(kind.share for kind in kinds.values())
    return {name: max(1, round(count * kind.share / whole)) for name, kind in kinds.items()}
