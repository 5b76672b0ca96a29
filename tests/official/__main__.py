"""Print the tables: `MLPERF_INFERENCE=CHECKOUT python -m tests.official [trees|runs]`."""

from __future__ import annotations

import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tests.official import compare, programs, runs, spoiled


class Line(NamedTuple):
    """One comparison. `words` tell both sides' reasons."""

    about: str
    name: str
    expected: str
    seen: str
    why: str
    words: str


def trees() -> Iterator[Line]:
    """The submission checker and `check`."""
    for row in spoiled.ROWS:
        with tempfile.TemporaryDirectory() as scratch:
            ours, theirs = compare.both(row, Path(scratch))
        seen = compare.refused_by(not ours, theirs.accepts)
        words = "\n".join([*ours, theirs.words])
        yield Line(row.base, row.name, row.refused_by, seen, row.why, words)


def audits() -> Iterator[Line]:
    """The scripts of the compliance tests and `audit`."""
    for row in runs.ROWS:
        with tempfile.TemporaryDirectory() as scratch:
            ours, theirs = row.verdicts(Path(scratch))
        seen = compare.refused_by(ours, theirs.accepts)
        yield Line(row.test, row.name, row.refused_by, seen, row.why, theirs.words)


def table(title: str, lines: Iterator[Line]) -> int:
    """Print each line and the sums; return how many are not as expected."""
    print(f"{title}\n")
    counted: Counter[str] = Counter()
    misses = 0
    for line in lines:
        counted[line.seen] += 1
        is_miss = line.seen != line.expected
        misses += is_miss
        mark = "!" if is_miss else " "
        print(f"{mark} {line.about:15} {line.name:45} {line.seen:8} {line.why}", flush=True)
        if is_miss:
            print(f"  expected: {line.expected}\n{line.words}")
    sums = ", ".join(f"{count} refused by {who}" for who, count in sorted(counted.items()))
    print(f"\n{sum(counted.values())} in all: {sums}; {misses} not as the table says\n")
    return misses


def main(wanted: list[str]) -> int:
    if programs.checkout() is None:
        print(programs.WHY_SKIPPED)
        return 2
    misses = 0
    if "trees" in wanted or not wanted:
        misses += table("The submission checker and `harness check`", trees())
    if "runs" in wanted or not wanted:
        misses += table("The scripts of the compliance tests and `harness audit`", audits())
    return 1 if misses else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
