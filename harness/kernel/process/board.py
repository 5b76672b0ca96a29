"""What does a study say of itself while its cells are measured? A note that every process of it can
read and draw.

The process that measures a study writes the note; the helper that draws the progress of a run, and
a child that makes a run in its place, read it. It is an environment variable, since those are what
a process hands to all that it starts: no file, no thread, nothing to wait for. That a command is to
be quiet is said in the same way.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

_NOTE, _QUIET = "TOUCHSTONE_STUDY", "TOUCHSTONE_QUIET"
_LONGEST_NAME = 60
_MOST_NAMES = 8


class Left(NamedTuple):
    """Seconds that are left: as expected, and between which they are in 9 of 10 studies."""

    expected_s: float
    low_s: float
    high_s: float


class Running(NamedTuple):
    """A cell that is being measured, and when it began on the monotonic clock."""

    name: str
    since_s: float


class Note(NamedTuple):
    """Where a study stands. `at_s` is when this was written, on the machine's monotonic clock."""

    kind: str
    total: int
    done: int
    failed: int
    running: Sequence[Running]
    left: Left | None
    at_s: float


Part = tuple[str, str]  # words and their style on a terminal


def put(note: Note) -> None:
    """Let every process that is started from now on, and this one, know where the study stands."""
    os.environ[_NOTE] = json.dumps(note)


def current() -> Note | None:
    """Return the note of the study that this process works for; None if there is none."""
    text = os.environ.get(_NOTE)
    if not text:
        return None
    try:
        note = Note(*json.loads(text))
        running = [Running(*one) for one in note.running]
        return note._replace(running=running, left=note.left and Left(*note.left))
    except (ValueError, TypeError):
        return None  # somebody else's variable


@contextmanager
def clean() -> Iterator[None]:
    """Take the note away at the end of the block."""
    try:
        yield
    finally:
        os.environ.pop(_NOTE, None)


@contextmanager
def quiet(is_wanted: bool) -> Iterator[None]:
    """Let nothing say inside the block how far things are; errors and results still come."""
    if not is_wanted:
        yield
        return
    os.environ[_QUIET] = "1"
    try:
        yield
    finally:
        os.environ.pop(_QUIET, None)


def is_quiet() -> bool:
    """Tell whether nobody wants to hear how far things are."""
    return bool(os.environ.get(_QUIET))


# ---- in words


def headline(note: Note, now_s: float) -> list[Part]:
    """Return where a study stands, as the parts of one line: done, failed, running, time left."""
    parts = [(note.kind, "bold"), (f"  {note.done} of {note.total} done", "")]
    if note.failed:
        parts.append((f", {note.failed} failed", "red"))
    if len(note.running) > 1:
        parts.append((f", {len(note.running)} running", ""))
    if note.left is not None:
        parts.append((f"  {time_left(note.left, now_s - note.at_s)}", "dim"))
    return parts


def below(note: Note, now_s: float) -> list[str]:
    """Return a line for each cell that is being measured, with how long it has been."""
    lines = [f"  {_short(one.name)}  {span(now_s - one.since_s)}" for one in note.running]
    more = len(lines) - _MOST_NAMES
    return lines if more <= 0 else [*lines[:_MOST_NAMES], f"  and {more} more"]


def time_left(left: Left, passed_s: float = 0.0) -> str:
    """Write the time that is left once some more has passed: "about 6 min left (4 to 9 min)"."""
    expected, low, high = (max(seconds - passed_s, 0.0) for seconds in left)
    if high < 1:
        return "nearly done"
    first, last = span(low), span(high)
    if first.rpartition(" ")[2] == last.rpartition(" ")[2]:
        first = first.rpartition(" ")[0]  # one unit is enough
    return f"about {span(expected)} left ({first} to {last})"


def span(seconds: float) -> str:
    """Write a span of time in the unit that a person would use: 41 s, 6 min, 2.5 h, 3 days."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min"
    if seconds < 48 * 3600:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 86400:.0f} days"


def now() -> tuple[Note, float] | None:
    """Return the note and the time to draw it at; None if there is no study."""
    note = current()
    from harness.kernel.clock import monotonic_s  # which `--help` has no use for

    return None if note is None else (note, monotonic_s())


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…"
