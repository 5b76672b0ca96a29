"""How is a question asked several times? Each attempt is a sample of its own, with its own seed.

The samples of question q are those from q * attempts on. Seeds depend on the sampling seed, the
question and the attempt alone, so two variants draw with the same ones, more attempts begin with
those of fewer, and a run can be repeated exactly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from harness.kernel.types import Draw, Sample


class Draws(NamedTuple):
    """What is asked for: how many answers to each question, and how they are drawn."""

    attempts: int = 1
    temperature: float = 0.0  # 0: greedy, nothing is drawn
    top_p: float = 1.0
    seed: int = 0

    def facts(self) -> dict[str, Any]:
        """Return them as result.json has them; nothing where nothing is drawn."""
        return {"draws": self._asdict()} if self.temperature else {}


def several(questions: Sequence[Sample], draws: Draws) -> list[Sample]:
    """Return the samples of a run: each question as often as it is asked."""
    if not draws.temperature:
        return list(questions)
    return [
        _attempt(question, attempt, draws)
        for question in questions
        for attempt in range(draws.attempts)
    ]


def _attempt(question: Sample, attempt: int, draws: Draws) -> Sample:
    seed = seed_of(draws.seed, question.index, attempt)
    draw = Draw(draws.temperature, draws.top_p, seed, attempt)
    return replace(question, index=question.index * draws.attempts + attempt, draw=draw)


def seed_of(seed: int, question: int, attempt: int) -> int:
    """Return the seed of one answer, below 2^31: every server takes such a number."""
    mixed = np.random.SeedSequence((seed, question, attempt)).generate_state(1)
    return int(mixed[0]) >> 1


def place_of(index: int, attempts: int) -> tuple[int, int]:
    """Return the question and the attempt of a sample."""
    return divmod(index, attempts)
