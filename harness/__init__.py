"""Touchstone from a Python program or a notebook: the commands by their names.

    from harness import Study, compare, gate, load, run

    found = run(scenario="server", sut="simulated", clock="virtual")
    found.status, found.exit_code, found.figures["ttft_p99_ms"], found.samples

What they are is in `harness.api`, which is imported when one of them is asked for: the command line
must not wait for it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.api import (
        Run,
        Study,
        compare,
        decide,
        evaluate,
        family,
        gate,
        judge,
        load,
        perplexity,
        report,
        resume,
        run,
        sweep,
    )
    from harness.kernel.errors import BadInput, HarnessError, RunBroke, SetupFailed

_ERRORS = ("BadInput", "HarnessError", "RunBroke", "SetupFailed")
_COMMANDS = (
    "Run",
    "Study",
    "compare",
    "decide",
    "family",
    "evaluate",
    "gate",
    "judge",
    "load",
    "perplexity",
    "report",
    "resume",
    "run",
    "sweep",
)
__all__ = [
    "BadInput",
    "HarnessError",
    "Run",
    "RunBroke",
    "SetupFailed",
    "Study",
    "compare",
    "decide",
    "evaluate",
    "family",
    "gate",
    "judge",
    "load",
    "perplexity",
    "report",
    "resume",
    "run",
    "sweep",
]


def __getattr__(name: str) -> Any:
    """Return a command, or the class of an error, when it is first asked for."""
    if name in _ERRORS:
        return getattr(import_module("harness.kernel.errors"), name)
    if name in _COMMANDS:
        return getattr(import_module("harness.api"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """Return the names that an editor or a notebook completes."""
    return sorted({*globals(), *__all__})
