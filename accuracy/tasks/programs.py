"""Which program is made of an answer? What stands before it, the answer, and the test after it."""

from __future__ import annotations

from accuracy.sandbox.programs import Program
from harness.kernel.types import Sample

SCORER = "runs"  # the one that needs programs to be run


def has_test(sample: Sample) -> bool:
    """Is an answer to it a program?"""
    return any(name == "test" for name, _ in sample.facts)


def program_of(text: str, sample: Sample) -> Program | None:
    """Return the program of an answer that is cut at the task's stops; None if it is empty."""
    facts = dict(sample.facts)
    if not text.strip():
        return None
    return Program(facts["before"] + text, facts["test"])
