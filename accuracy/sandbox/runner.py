"""The program's side of the sandbox: run the answer, then its test, say what became of them.

Python runs the text of this file (`python -c`) behind the walls, where there is nothing of ours to
import. Test and token come once the answer's own definitions have run, so an answer that leaves
early has seen neither, and only the token counts as a pass.
"""

from __future__ import annotations

import errno
import json
import os
import sys
import types
from collections.abc import Callable

_ASK, _REPORT = 0, 3  # file descriptors: lines of JSON in and out


def main() -> None:
    ask = os.fdopen(os.dup(_ASK), encoding="utf-8")
    os.dup2(1, _ASK)  # stdin is empty from here on
    program = types.ModuleType("program")
    sys.modules["program"] = program  # dataclasses and pickle look a class's module up
    report = _reporter()
    answer = json.loads(ask.readline())
    try:
        code = compile(answer["answer"], "answer.py", "exec")
    except (SyntaxError, ValueError) as fault:  # ValueError: a null byte
        report({"outcome": "no answer", "detail": _told(fault)})
        return
    except BaseException as fault:
        report(_verdict(fault))
        return
    try:
        exec(code, program.__dict__)
        report({"at": "defined"})
        test = json.loads(ask.readline())
        exec(compile(test["test"], "test.py", "exec"), program.__dict__)
    except BaseException as fault:
        report(_verdict(fault))
        return
    report({"outcome": "right", "token": test["token"]})


def _reporter() -> Callable[[dict[str, str]], None]:
    """Return a function that an answer's changes to os and json do not reach."""
    write, dumps, leave = os.write, json.dumps, os._exit

    def report(told: dict[str, str]) -> None:
        write(_REPORT, (dumps(told) + "\n").encode())
        if "outcome" in told:
            leave(0)  # no hook or thread of the answer speaks after the verdict

    return report


def _verdict(fault: BaseException) -> dict[str, str]:
    is_memory = isinstance(fault, MemoryError) or (
        isinstance(fault, OSError) and fault.errno == errno.ENOMEM
    )
    if is_memory:
        return {"outcome": "memory", "detail": _told(fault)}
    outcome = "wrong" if isinstance(fault, AssertionError) else "error"
    return {"outcome": outcome, "detail": _told(fault)}


def _told(fault: BaseException) -> str:
    try:
        return f"{type(fault).__name__}: {fault}"[:300].rstrip(": ")
    except BaseException:  # its __str__ is the answer's
        return "an exception that cannot be shown"


main()
