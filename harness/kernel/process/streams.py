"""How do words reach people, and tables and objects programs? Through stderr and stdout, whatever
becomes of these: full, closed, without a reader, without a letter.

Words are best effort. A stream that takes no more raises nothing: neither where we speak, nor in a
library that prints, nor when the interpreter ends and flushes (Python would make exit code 120 of
it). What went wrong is kept, so that `put` can tell a program's object that did not arrive.
"""

from __future__ import annotations

import codecs
import errno
import io
import os
import select
import sys
from contextlib import suppress
from typing import Any

from harness.kernel.texts import shown

_PATIENCE_MS = 60_000  # with a reader who has made the stream non-blocking and reads nothing
_LEFT = (errno.EPIPE, errno.ECONNRESET, errno.ESHUTDOWN)  # what a stream says whose reader is gone
_INSTEAD = {
    "·": "-", "–": "-", "−": "-", "→": "->", "…": "...", "≤": "<=", "≥": ">=", "×": "x", "µ": "u",
    "“": '"', "”": '"', "‘": "'", "’": "'", "│": "|", "─": "-", "Δ": "d", "⟨": "<", "⟩": ">",
}  # fmt: skip
_NAME = "touchstone.plain"
_LONGEST = 40_000  # characters of one thing that is told: four facts of an error


def tell(words: str) -> None:
    """Say a line to people, on stderr, if anybody can be told."""
    with suppress(OSError, ValueError, AttributeError):  # not ours: somebody's who calls us
        print(shown(words, _LONGEST), file=sys.stderr, flush=True)


def put(text: str) -> str:
    """Write what a program waits for to stdout. Return why it did not arrive; nothing if it did, or
    if the reader has left, as `| head -1` does.
    """
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except (OSError, ValueError) as error:  # not ours: somebody's who calls us
        return _why(error)
    return lost()


def lost() -> str:
    """Say why some of what went to stdout was lost; nothing if all arrived that was wanted."""
    with suppress(OSError, ValueError):
        sys.stdout.flush()
    fault = sys.stdout.beneath.fault if isinstance(sys.stdout, _Stream) else None
    return "" if fault is None else _why(fault)


def _why(fault: Exception) -> str:
    if isinstance(fault, OSError):
        return "" if fault.errno in _LEFT else str(fault.strerror or fault)
    return str(fault)


# ---- streams that take everything


def protect() -> None:
    """Make stdin, stdout and stderr of this process such that nothing of ours breaks on them."""
    _open_closed()
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is getattr(sys, f"__{name}__") and isinstance(stream, io.TextIOWrapper):
            setattr(sys, name, _Stream(stream))
    tolerate()


def tolerate() -> None:
    """Let stdout and stderr take every letter from now on, whatever their encoding."""
    codecs.register_error(_NAME, _replace)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            with suppress(ValueError):  # closed already
                stream.reconfigure(errors=_NAME)


def instead(text: str) -> str:
    """Return the text in ASCII, as near as it can be."""
    return "".join(c if c.isascii() else _INSTEAD.get(c, "?") for c in text)


def _replace(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return instead(error.object[error.start : error.end]), error.end


def _open_closed() -> None:
    """Point what is closed of stdin, stdout and stderr (`>&-`, some daemons) to nothing, before a
    file or socket of ours gets its number.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number, which is this one
            mode = "w" if number else "r"
            stream = open(number, mode, encoding="utf-8", closefd=False)  # noqa: SIM115
            setattr(sys, name, stream)
            setattr(sys, f"__{name}__", stream)


class _Tolerant(io.RawIOBase):
    """A raw stream that takes everything: after the first fault it drops what comes."""

    def __init__(self, raw: Any) -> None:
        self._raw = raw
        self.fault: Exception | None = None

    def write(self, data: Any, /) -> int:
        while self.fault is None:
            try:
                written = self._raw.write(data)
            except (OSError, ValueError) as fault:
                self.fault = fault
                break
            if written is not None:
                return int(written)
            self.fault = _unwilling(self.fileno())
        return memoryview(data).nbytes

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return int(self._raw.fileno())

    def isatty(self) -> bool:
        return bool(self._raw.isatty())


def _unwilling(number: int) -> OSError | None:
    """Wait until a non-blocking stream takes something; return the fault of one that does not."""
    look = select.poll()
    look.register(number, select.POLLOUT)
    if look.poll(_PATIENCE_MS):
        return None
    return BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))


class _Stream(io.TextIOWrapper):
    """stdout or stderr over a raw stream that takes everything."""

    def __init__(self, stream: io.TextIOWrapper) -> None:
        with suppress(OSError, ValueError):
            stream.flush()
        self._before = stream  # it would close the descriptor when nobody has it any more
        raw = getattr(stream.buffer, "raw", None)
        self.beneath = _Tolerant(raw or stream.buffer)  # -u leaves the buffer out
        beneath: Any = io.BufferedWriter(self.beneath) if raw else self.beneath
        super().__init__(
            beneath,
            encoding=stream.encoding,
            errors=stream.errors,
            newline=None if os.name == "nt" else "\n",
            line_buffering=stream.line_buffering,
            write_through=stream.write_through,
        )
