"""Which decode steps are captured? One for each bucket: a number of rows and a reach in positions.

A captured step has fixed shapes, so a batch of n rows that reaches to position L takes the smallest
bucket that holds both, and the rows that fill it up are computed for nothing. Weights are read once
a step whatever its rows, so rows go up in wide steps: by doubling up to 16, then by thirds and
halves in turn (16, 24, 32, 48 ...). Attention reads what the bucket reaches, so lengths double.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from typing import NamedTuple

_SHORTEST = 256  # positions: below it attention costs less than its launch
_FINE_FROM = 16  # rows from which there is a bucket between two powers of two
COLUMN_STEP = 64  # rows of the cache are as long as a multiple of this: kernels want aligned masks


class Bucket(NamedTuple):
    """A step of `rows` rows whose attention reaches over `length` positions."""

    rows: int
    length: int


class Buckets:
    """All buckets of a cache of `max_rows` rows of `max_len` positions."""

    def __init__(self, max_rows: int, max_len: int, one_length: bool = False) -> None:
        """`one_length` is for attention that ends by itself where each row does."""
        self.rows = row_steps(max_rows)
        self.lengths = [max_len] if one_length else length_steps(max_len)

    def holding(self, count: int, length: int) -> Bucket:
        """Return the smallest that holds `count` rows that reach to `length`."""
        return Bucket(_at_least(self.rows, count), _at_least(self.lengths, length))

    def largest_first(self) -> Iterator[Bucket]:
        """Yield all; the memory that the largest takes serves the others too."""
        for length in reversed(self.lengths):
            for rows in reversed(self.rows):
                yield Bucket(rows, length)


def row_steps(most: int) -> list[int]:
    """Return 1, 2, 4, 8, 16, 24, 32, 48 ... up to `most`, which is always one."""
    steps, power = {most}, 1
    while power < most:
        steps.add(power)
        between = power + power // 2
        if power >= _FINE_FROM and between < most:
            steps.add(between)
        power *= 2
    return sorted(steps)


def length_steps(most: int) -> list[int]:
    """Return 256, 512, 1024 ... up to `most`, which is always one."""
    steps, length = [], _SHORTEST
    while length < most:
        steps.append(length)
        length *= 2
    return [*steps, most]


def whole_columns(length: int) -> int:
    """Return the next multiple of COLUMN_STEP."""
    return -(-length // COLUMN_STEP) * COLUMN_STEP


def _at_least(steps: Sequence[int], wanted: int) -> int:
    return steps[bisect_left(steps, wanted)]
