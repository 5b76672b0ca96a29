"""What does a user's own function say of an answer? `--verifier module:function`, text in, number
out: the answer with the highest number counts as best.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

from harness.kernel.errors import BadInput, first_line
from harness.kernel.plugins import imported

Verifier = Callable[[str], float]
_FINE = "expected module:function, which takes the text of an answer and returns a number"


class Opinion(NamedTuple):
    """What it said of one answer: `value` None where it gave no finite number, and why."""

    value: float | None
    why: str = ""


def verifier_of(name: str) -> Verifier:
    """Import the function. Raises BadInput for what is none, SetupFailed if it cannot be
    imported.
    """
    doing = f"--verifier {name}"
    module, _, function = name.partition(":")
    if not module or not function:
        raise BadInput(doing, "it names no function", _FINE, "For example: --verifier judge:score.")
    found = imported(name, doing)
    if not callable(found):
        raise BadInput(doing, f"{function} is a {type(found).__name__}", _FINE)
    made: Verifier = found
    return made


def opinion(verifier: Verifier, text: str) -> Opinion:
    """Ask it; what it raises costs this answer its chance, not the run."""
    try:
        value = float(verifier(text))
    except Exception as fault:
        return Opinion(None, f"{type(fault).__name__}: {first_line(fault)}")
    if not math.isfinite(value):
        return Opinion(None, f"it returned {value}")
    return Opinion(value)
