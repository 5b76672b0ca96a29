"""What is judged on the same questions: a reference and its candidates; and what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from accuracy.gate.outputs import Outputs
from accuracy.gate.readings import Reference, Row
from accuracy.gate.solving import Solving
from harness.kernel.errors import BadInput
from harness.options.settings import RunConfig


class Part(NamedTuple):
    """Finished runs, or settings of runs to be made, of one task."""

    name: str  # of the task; empty without one
    reference: Outputs | RunConfig
    candidates: Sequence[Outputs | RunConfig]
    scorer: str = ""  # of right and wrong answers; empty where texts are compared
    control: Outputs | None = None  # a finished run of the reference, once more
    notes: Sequence[str] = ()

    def cell(self, name: str) -> str:
        """Return the name of one of its cells in the study."""
        return f"{self.name}: {name}" if self.name else name


class Judged(NamedTuple):
    """A task (or a dataset, without a name), and what was judged on it: None where a candidate was
    not run.
    """

    name: str
    beside: Reference | Solving
    control: Row | None
    rows: Sequence[Row | None]

    @property
    def known(self) -> list[Row]:
        return [row for row in self.rows if row is not None]


def check_reference(reference: Outputs) -> None:
    """Refuse a reference in TF32, which rounds its products as a candidate would. Raises
    BadInput.
    """
    if reference.is_tf32:
        raise BadInput(
            f"gate --reference {reference.label or reference.run}",
            "its float32 products were computed in TF32 (10 bits of mantissa)",
            "expected a reference in float32 throughout",
            "Run it again without --tf32, and without NVIDIA_TF32_OVERRIDE=1.",
        )
