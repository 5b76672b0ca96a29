"""What did one run solve? Its questions, its answers and their marks, side by side.

The gate holds a candidate's `Solved` against the reference's; so does the analysis of errors.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from harness.kernel.types import Sample


class Solved(NamedTuple):
    """The answers of a run on a task, the first answer to each question.

    `texts` are as they were generated, not yet cut at the task's stops. `rows` are those of
    scores.parquet (`accuracy.tasks.marks`), one for each question and scorer.
    """

    label: str  # of the deployment, as the gate shows it
    task: str  # its name, in accuracy.tasks.TABLE
    scorer: str  # the one that decides, in accuracy.tasks.scorers.TABLE
    samples: Mapping[int, Sample]  # by the index of the question
    texts: Mapping[int, str]  # by the index of the question
    rows: Sequence[Mapping[str, Any]]

    @property
    def deciding(self) -> list[Mapping[str, Any]]:
        """The rows of the scorer that decides, in the order of the questions."""
        own = (row for row in self.rows if row["scorer"] == self.scorer)
        return sorted(own, key=lambda row: row["index"])
