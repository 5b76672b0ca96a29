"""What does NVIDIA's driver say of the GPUs? Each question by itself, since any may be refused.

A GPU that shares the machine's memory (GB10, Jetson) has no figure of its own, a container may lack
the permission, a GPU may be lost in the middle of a run, and the library may be missing or of
another version than the driver. So an answer is a value or the words of a refusal: never an
exception, and never a number where the driver says that there is none.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from harness.kernel.errors import first_line

_NOT_KNOWN = (2**32 - 1, 2**64 - 1)  # NVML_VALUE_NOT_AVAILABLE, as unsigned numbers
_NO_PACKAGE = "the package nvidia-ml-py is missing"
_NO_FUNCTION = "the installed nvidia-ml-py does not know this query"
_NO_VALUE = "the driver gives no value"


class Answer(NamedTuple):
    """A value, or why there is none."""

    value: Any = None
    refusal: str = ""


class Nvml:
    """The driver's library, opened. `problem` says why it could not be."""

    def __init__(self) -> None:
        self.problem = ""
        try:
            import pynvml
        except Exception as error:
            missing = isinstance(error, ModuleNotFoundError)
            self.problem = _NO_PACKAGE if missing else _words(error)
            return
        self._library: Any = pynvml
        self.problem = self.ask("nvmlInit").refusal

    def close(self) -> None:
        """Let go of the library; another one in this process stays open."""
        self.ask("nvmlShutdown")

    def ask(self, function: str, *arguments: Any) -> Answer:
        """Return what a function of the library returns, or why it does not."""
        if self.problem:
            return Answer(refusal=self.problem)
        asked = getattr(self._library, function, None)
        if asked is None:
            return Answer(refusal=_NO_FUNCTION)
        try:
            return Answer(asked(*arguments))
        except Exception as error:
            return Answer(refusal=_words(error))

    def constant(self, name: str, default: int) -> int:
        return int(getattr(self._library, name, default))

    def read(self, read: Callable[[Any], Any], function: str, *arguments: Any) -> Answer:
        """Return a part of what a function returns. A part that is not there is a refusal too."""
        value, refusal = self.ask(function, *arguments)
        if refusal:
            return Answer(refusal=refusal)
        try:
            return Answer(read(value))
        except Exception:
            return Answer(refusal=_NO_VALUE)

    def gpus(self) -> list[Answer]:
        """Return the handle of each GPU, or why it cannot be had, in the order of nvidia-smi."""
        count = self.read(whole, "nvmlDeviceGetCount").value or 0
        return [self.ask("nvmlDeviceGetHandleByIndex", index) for index in range(count)]


def text(value: Any) -> str:
    """Return a name; older versions of the library give bytes."""
    known = value.decode(errors="replace") if isinstance(value, bytes) else str(value)
    if known.strip() in ("", "N/A", "None"):
        raise ValueError
    return known.strip()


def whole(value: Any) -> int:
    """Return a number of at least 0. Raises ValueError for what means "not known"."""
    number = int(value)
    if number < 0 or number in _NOT_KNOWN:
        raise ValueError
    return number


def positive(value: Any) -> int:
    """Return a number above 0: no GPU has no memory, and none runs on 0 W."""
    number = whole(value)
    if not number:
        raise ValueError
    return number


def _words(error: BaseException) -> str:
    try:
        return first_line(error)
    except Exception:  # it asks the library for its words
        return type(error).__name__
