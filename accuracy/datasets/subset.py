"""Which rows make a smaller set? Those in which every kind keeps its share, or the first ones.

A kind is what the label columns say, the first column before the second: of 20 rows of `mixed`
each of the five categories gets 4, and the 4 texts in other languages are in four of them.

Row by row, the kind is taken that is furthest behind its share. So nothing is drawn by lot, a
smaller set is part of every larger one, and the counts are those of the largest remainder or one
beside them (no rule of rounding is both: Balinski and Young 1982, "Fair Representation"). The rows
stay in the order of the file.

The files of MLPerf keep their first rows, as in MLPerf's scripts, and so do files without labels.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple

Labels = Sequence[tuple[str, str]]  # of one row: (column, value)


class Drawn(NamedTuple):
    """How a set was made smaller: `by` are the label columns, none where it has the first rows.

    `of` is how many rows there are, None where the rest of the file was not read.
    """

    taken: int
    of: int | None = None
    by: tuple[str, ...] = ()

    def facts(self) -> dict[str, Any]:
        """Return them as the facts on a dataset's source have them, under "subset"."""
        return {"subset": {"taken": self.taken, "of": self.of, "by": list(self.by)}}

    def __str__(self) -> str:
        if not self.by:
            return f"the first {self.taken} rows of the dataset"
        return f"{self.taken:,} of {self.of:,} rows, by the shares of {' and '.join(self.by)}"


def subset_notes(source: Mapping[str, Any]) -> list[str]:
    """Say of the facts on a source how the set was made smaller, if it was."""
    found = source.get("subset")
    if not found:
        return []
    return [f"samples: {Drawn(found['taken'], found['of'], tuple(found['by']))}"]


def how_drawn(source: Mapping[str, Any]) -> str:
    """Return the rule by which a set was made, to tell two of the same file and size apart.

    A source that does not say it is of an older version, which took the first rows.
    """
    by = (source.get("subset") or {}).get("by")
    return f"shares of {', '.join(by)}" if by else "first rows"


def in_shares(labels: Sequence[Labels], count: int) -> tuple[list[int], Drawn]:
    """Return `count` row numbers in ascending order, every kind with its share, and how."""
    columns = tuple(dict.fromkeys(column for row in labels for column, _ in row))
    values = [dict(row) for row in labels]
    kinds = [tuple(row.get(column, "") for column in columns) for row in values]
    chosen = sorted(islice(_in_turn(kinds), count))
    return chosen, Drawn(len(chosen), len(kinds), columns)


def _in_turn(kinds: Sequence[tuple[str, ...]]) -> Iterator[int]:
    """Yield row after row, each of the kind that is furthest behind.

    `kinds` has one value per column. The first column decides; where it leaves a choice the next
    one does, and at last the order of the file.
    """
    total, columns = len(kinds), [Counter(column) for column in zip(*kinds, strict=True)]
    taken = [Counter[str]() for _ in columns]
    waiting: dict[tuple[str, ...], deque[int]] = {}
    for row, kind in enumerate(kinds):
        waiting.setdefault(kind, deque()).append(row)
    for place in range(1, total + 1):
        furthest = list(waiting)
        for column, (rows, had) in enumerate(zip(columns, taken, strict=True)):
            behind = [place * rows[kind[column]] - total * had[kind[column]] for kind in furthest]
            most = max(behind)
            furthest = [kind for kind, lag in zip(furthest, behind, strict=True) if lag == most]
        kind = furthest[0]
        yield waiting[kind].popleft()
        for had, value in zip(taken, kind, strict=True):
            had[value] += 1
        if not waiting[kind]:
            del waiting[kind]
