"""Is a formula equal to the reference's by algebra? math-verify says so (the extra `math`).

It works in a process of its own, which is ended when an answer takes too long: 9^{9^{9^9}} would
keep the run, and its memory, for ever.
"""

from __future__ import annotations

import atexit
import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from threading import Lock, Timer
from typing import Any

from accuracy.tasks.scoring.mark import Given, Mark, marked
from harness.kernel.types import Sample

_START_S = 120  # sympy is imported
_LONGEST_S = 20
_SCRIPT = Path(__file__).parent / "algebra.py"


def is_installed() -> bool:
    """Tell whether math-verify is there."""
    return find_spec("math_verify") is not None


def math_verify(given: Given, sample: Sample) -> Mark:
    """Compare the answer with the reference by algebra: 1+x is x+1 (lm-eval's math_verify)."""
    is_right, answer = _VERIFIER.compare(sample.reference or "", given.text)
    return marked(is_right, answer)


def over() -> None:
    """End the process, if there is one: nothing more is compared for now."""
    _VERIFIER.end()


class _Verifier:
    """A process that compares pairs of texts, one at a time; a new one after each that it lost."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._process: subprocess.Popen[str] | None = None

    def compare(self, reference: str, text: str) -> tuple[bool, str]:
        """Return whether the two are equal and what was read of the text; an answer that ended the
        process or its time is not read.
        """
        with self._lock:
            reply = self._ask({"reference": reference, "text": text}, _LONGEST_S)
        return (reply["is_right"], reply["answer"]) if reply else (False, "")

    def end(self) -> None:
        """End the process once nobody waits for it: runs are scored side by side."""
        with self._lock:
            self._close()

    def _close(self) -> None:
        """End the process, if there is one. It ends by itself where we do: its input is over."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def _ask(self, question: dict[str, str], limit_s: float) -> Any:
        """Return the reply; None if none came in time."""
        process = self._started()
        timer = Timer(limit_s, process.kill)
        timer.start()
        try:
            print(json.dumps(question), file=process.stdin, flush=True)
            reply = json.loads(_line(process))
        except (OSError, ValueError):
            self._close()
            return None
        finally:
            timer.cancel()
        return reply

    def _started(self) -> subprocess.Popen[str]:
        if self._process is None:
            words = [sys.executable, "-P", str(_SCRIPT)]
            pipe = subprocess.PIPE
            self._process = subprocess.Popen(
                words, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True
            )
            timer = Timer(_START_S, self._process.kill)
            timer.start()
            _line(self._process)  # it is ready
            timer.cancel()
        return self._process


def _line(process: subprocess.Popen[str]) -> str:
    return process.stdout.readline() if process.stdout else ""


_VERIFIER = _Verifier()
atexit.register(_VERIFIER.end)
