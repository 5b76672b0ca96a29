"""Which of the given choices does the model expect most? As it stands, for its characters, or for
its bytes: lm-eval's acc, acc_norm and acc_bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from string import ascii_uppercase

import numpy as np

from accuracy.tasks.scoring.mark import Given, Mark, marked
from harness.kernel.types import Sample


def likelihood(given: Given, sample: Sample) -> Mark:
    """Take the choice that the model expects most."""
    return _likeliest(given, sample, lambda choice: 1)


def likelihood_per_char(given: Given, sample: Sample) -> Mark:
    """Take the choice that the model expects most for its length in characters."""
    return _likeliest(given, sample, len)


def likelihood_per_byte(given: Given, sample: Sample) -> Mark:
    """Take the choice that the model expects most for its length in bytes."""
    return _likeliest(given, sample, lambda choice: len(choice.encode()))


def _likeliest(given: Given, sample: Sample, length: Callable[[str], int]) -> Mark:
    """Compare per length, without the space before a choice. The answer is the choice's letter."""
    if len(given.nll_nats) != len(sample.choices) or not np.isfinite(given.nll_nats).all():
        return marked(False, "")
    lengths = [length(choice.removeprefix(" ")) for choice in sample.choices]
    best = int(np.argmin(np.array(given.nll_nats) / np.maximum(lengths, 1)))
    return marked(best == place(sample.reference or ""), ascii_uppercase[best])


def place(reference: str) -> int:
    """Return the place of the right choice, from 0, that a letter or a number names; else -1."""
    if reference.isdecimal():
        return int(reference)
    return ascii_uppercase.find(reference) if len(reference) == 1 else -1
