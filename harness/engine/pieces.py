"""What could not be made of a run, and why? A step that breaks after the timed part costs its own
piece, never the run: what was measured is on disk before any of them begins.

    pieces = Pieces()
    scores = pieces.make("score", "bleu", lambda: bleu(log), {})      # {} if it broke
    pieces.missing    # [{"kind": "score", "name": "bleu", "reason": "ImportError: ...", ...}]

TOUCHSTONE_DEBUG=1 shows the traceback of each.
"""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

from harness.kernel.errors import HarnessError, of_the_machine
from harness.kernel.privacy.secrets import hidden
from harness.kernel.process.streams import tell
from harness.kernel.texts import shown

T = TypeVar("T")
_LONGEST = 300  # characters of a reason


class Pieces:
    """Rows of `kind`, `name`, `reason` and `later`: whether `harness report` can still make it."""

    def __init__(self, missing: Iterable[Mapping[str, Any]] = ()) -> None:
        self.missing = [dict(row) for row in missing]

    def make(
        self, kind: str, name: str, make: Callable[[], T], otherwise: T, later: bool = True
    ) -> T:
        """Return what `make` returns; if it raises, add a row and return `otherwise`."""
        try:
            return make()
        except Exception as fault:  # of a library, a plug-in or ourselves: the run is worth more
            self.lost(kind, name, fault, later)
            return otherwise

    def lost(self, kind: str, name: str, fault: BaseException, later: bool = True) -> None:
        show_where(fault)
        row = {"kind": kind, "name": name, "reason": reason(fault), "later": later}
        if row not in self.missing:
            self.missing.append(row)


@contextmanager
def noted(what: str) -> Iterator[None]:
    """Turn a fault in a page or a screen at the very end into a note; the rest stands."""
    try:
        yield
    except Exception as fault:
        show_where(fault)
        tell(f"note: no {what} ({reason(fault)})")


def show_where(fault: BaseException) -> None:
    """Print the traceback, for whoever asked for it."""
    if os.environ.get("TOUCHSTONE_DEBUG"):
        traceback.print_exception(fault)


def reason(fault: BaseException) -> str:
    """Return a fault in one line."""
    if isinstance(fault, OSError) and of_the_machine(fault) is not None:
        return (fault.strerror or str(fault)).lower()  # which file it was says whoever tried
    words = shown(" ".join(hidden(str(fault)).split())[:_LONGEST])
    if isinstance(fault, HarnessError):
        return words
    return f"{type(fault).__name__}: {words}".rstrip(": ")
