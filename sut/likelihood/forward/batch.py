"""What does one forward pass over several windows need, and whose is each row that it gives?

A row is a scored token. The rows of a batch lie one window after another, in the order of their
tokens.

Shapes: B windows, T tokens of the longest, N rows.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from typing import Any, NamedTuple, TypeVar

import torch

from sut.likelihood.forward.transfer import to_device
from sut.likelihood.windows import Window


class Job(NamedTuple):
    """A window of a text; `ids` are those of the whole text."""

    text: int
    ids: Sequence[int]
    window: Window

    @property
    def length(self) -> int:
        return self.window.end - 1 - self.window.start

    @property
    def rows(self) -> int:
        return self.window.end - self.window.scored


class Span(NamedTuple):
    """Scored tokens of one text: `number` of them, from token `first` of its ids on."""

    text: int
    first: int
    number: int


class Batch(NamedTuple):
    """`rows` and `columns` say where in `ids` a row's logits come from, `targets` which token came
    and `positions` which number it has in its text.
    """

    ids: torch.Tensor  # (B, T)
    rows: torch.Tensor  # (N,)
    columns: torch.Tensor  # (N,)
    targets: torch.Tensor  # (N,)
    positions: torch.Tensor  # (N,)


def batch_of(jobs: Sequence[Job], device: torch.device) -> Batch:
    """Return the tensors of a batch, the longest job first: two transfers to the device."""
    ids = torch.zeros((len(jobs), jobs[0].length), dtype=torch.long)
    targets: list[int] = []
    for i, job in enumerate(jobs):
        start, scored, end = job.window
        ids[i, : job.length] = torch.tensor(job.ids[start : end - 1])
        targets += job.ids[scored:end]
    counts = torch.tensor([job.rows for job in jobs])
    positions = torch.cat([torch.arange(job.window.scored, job.window.end) for job in jobs])
    rows = torch.repeat_interleave(counts)
    starts = torch.tensor([job.window.start for job in jobs])
    columns = positions - 1 - starts[rows]
    places = torch.stack((rows, columns, torch.tensor(targets), positions))
    return Batch(to_device(ids, device), *to_device(places, device).unbind())


class Owners:
    """Whose the rows of a batch are."""

    def __init__(self, jobs: Sequence[Job]) -> None:
        self._jobs, self.ends = jobs, list(accumulate(job.rows for job in jobs))

    def end_of(self, row: int) -> int:
        """Return where the rows of this row's window end."""
        return self.ends[bisect_right(self.ends, row)]

    def spans(self, first: int, last: int) -> list[Span]:
        """Return whose the rows from `first` to before `last` are, in order."""
        found = []
        while first < last:
            i = bisect_right(self.ends, first)
            end = min(last, self.ends[i])
            job = self._jobs[i]
            position = job.window.end - (self.ends[i] - first)
            found.append(Span(job.text, position, end - first))
            first = end
        return found


_Item = TypeVar("_Item", bound=Any)  # has a length


def leading(items: Sequence[_Item], batch_tokens: int) -> list[_Item]:
    """Return the first of the items, longest first, that make a batch within the budget, padding
    included. One beyond the budget goes alone.
    """
    rows = max(1, batch_tokens // max(1, items[0].length))
    return list(items[:rows])
