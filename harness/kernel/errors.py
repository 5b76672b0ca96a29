"""What can go wrong, and how we say it.

    HarnessError            exit code
      BadInput              2   the user asked for something that cannot be
      SetupFailed           3   model, server or extra is missing or broken
      RunBroke              4   the system under test died in the run

Every error is four short facts: what we were doing, what we found, what would be fine, what to do.
They may hold names and words of strangers; the sentence made of them can be shown as it is, and
secrets in them are hidden.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable
from difflib import get_close_matches
from typing import ClassVar

from harness.kernel.privacy.secrets import hidden
from harness.kernel.texts import shown

EXIT = {"VALID": 0, "INVALID": 1, "INTERRUPTED": 130, "ERROR": 4}  # by the verdict of a run
_LONGEST_FACT = 8_000  # characters: a column's name may be a whole book


class HarnessError(Exception):
    """`doing: found; fine. todo.` on one line; what comes on further lines is indented, so that no
    name in it can pass for an error of its own.
    """

    exit_code: ClassVar[int] = 4

    def __init__(self, doing: str, found: str, fine: str = "", todo: str = "") -> None:
        doing, found, fine, todo = map(hidden, (doing, found, fine, todo))
        self.facts = (doing, found, fine, todo)
        doing, found, fine, todo = (_indented(shown(fact, _LONGEST_FACT)) for fact in self.facts)
        sentence = f"{doing}: {found}" + (f"; {fine}" if fine else "")
        super().__init__(
            sentence.rstrip(".?")
            + ("?" if sentence.endswith("?") else ".")
            + (f" {todo}" if todo else "")
        )


class BadInput(HarnessError):
    exit_code = 2


class SetupFailed(HarnessError):
    exit_code = 3


class RunBroke(HarnessError):
    exit_code = 4


_SHORT_OF = {  # what the system refuses through no fault of ours -> what to do
    errno.ENOSPC: "Make room on that disk",
    errno.EDQUOT: "Make room, or ask for a larger quota",
    errno.EFBIG: "Raise the limit of file sizes (ulimit -f)",
    errno.EROFS: "Make the file system writable, or choose another --output-dir",
    errno.EIO: "Check the disk",
    errno.EMFILE: "Raise the number of open files (ulimit -n)",
    errno.ENFILE: "Let other programs close files",
    errno.ENOMEM: "Free memory",
    errno.EAGAIN: "Let other programs end, or raise the number of processes (ulimit -u)",
}
BY_NAME: dict[str, type[HarnessError]] = {c.__name__: c for c in (BadInput, SetupFailed, RunBroke)}


def unknown(kind: str, name: str, known: Iterable[str], todo: str = "") -> BadInput:
    """Refuse an unknown name: list the known ones and guess which was meant."""
    names = sorted(known)
    near = get_close_matches(name, names, n=1, cutoff=0.5)
    guess = f"Did you mean {near[0]!r}?" if near else ""
    return BadInput(
        kind,
        f"{name!r} is not known",
        "known: " + ", ".join(names),
        " ".join(filter(None, (guess, todo))),
    )


def of_the_machine(fault: BaseException) -> SetupFailed | None:
    """Say what the machine has no more of, if that is what a fault is; None for any other."""
    if not isinstance(fault, OSError) or fault.errno not in _SHORT_OF:
        return None
    doing = f"writing {fault.filename}" if fault.filename else "going on"
    todo = f"{_SHORT_OF[fault.errno]}, then go on: what was measured before is kept."
    return SetupFailed(doing, (fault.strerror or str(fault)).lower(), "", todo)


def _indented(text: str) -> str:
    return "\n  ".join(line.removeprefix("  ") for line in text.split("\n"))


def first_line(error: BaseException) -> str:
    """Return what an exception says, shortened to one line; its name if it says nothing."""
    text = hidden(str(error).strip())
    return shown(text.splitlines()[0][:300]).rstrip(":") if text else type(error).__name__
