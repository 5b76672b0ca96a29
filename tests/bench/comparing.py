"""How often does a comparison of two equal systems see a difference, and how often does it find a
real one? By simulation, with systems whose truth is known (`loads`).

    python -m tests.bench compare           writes the tables of docs/calibration.md, too
    python -m tests.bench compare --quick   a tenth of the pairs, and writes nothing
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.random import Generator

from harness.kernel.log import RunLog
from harness.study.effects.figures import USUAL
from harness.study.effects.judged import Side, compared
from harness.study.effects.limits import judge, parse
from harness.study.effects.readings import Reading, readings
from tests.bench.loads import LOADS
from tests.bench.rows import Row

PAIRS, QUICK_PAIRS, SIZES = 500, 50, (1_000, 4_000)
MOST_ALARMS, LEAST_FOUND = 0.06, 0.80
SLOWER, LIMIT, PILOT, LONGEST = 1.05, "2.5%", 1_000, 200_000
RUN_EFFECT = 0.02  # by which runs of one system differ, as a standard deviation
SEED = 20_261_127
DOC = Path(__file__).parents[2] / "docs" / "calibration.md"
FOUND = {
    "alone": ("latency_mean>+", "latency_p99>+", "tokens_per_s<-"),
    "queue": ("latency_mean>+", "tpot_p50>+"),
    "drifting": ("latency_mean>+", "tokens_per_s<-"),
    "offline": ("tokens_per_s<-", "tpot_p90>+"),
}


class Alarms(NamedTuple):
    """Of pairs that are equal: in how many anything is said to differ, and in how many the 95 %
    interval of a figure misses the truth, on average and of the worst figure.
    """

    any: float
    mean: float
    worst: float


class Power(NamedTuple):
    """Of pairs at the size asked for: median size, and how often each word was said."""

    size: int
    found: float  # FAIL of those slower by 5 %
    passed: float  # PASS of equal ones
    wrongly: float  # FAIL of equal ones


def side(logs: Sequence[RunLog], name: str = "") -> Side:
    return Side(name, [readings(log, USUAL) for log in logs])


def alarms(load: str, size: int, pairs: int) -> Alarms:
    """Compare equal systems, each run with random numbers of its own."""
    any_differs, missed, told = 0, dict.fromkeys(names(), 0), dict.fromkeys(names(), 0)
    for draw in _generators(load, pairs):
        found = compared(*(side([LOADS[load](draw, size)]) for _ in range(2)))
        tested = [row for row in found["figures"] if row["p"] is not None]
        any_differs += any(row["verdict"] in ("better", "worse") for row in tested)
        for row in tested:
            told[row["name"]] += 1
            missed[row["name"]] += row["p"] < 0.05
    shares = [missed[name] / told[name] for name in told if told[name] >= pairs / 2]
    return Alarms(any_differs / pairs, float(np.mean(shares)), max(shares))


def names() -> list[str]:
    return [figure.name for figure in USUAL]


def power(load: str, limit: str, pairs: int) -> Power:
    """Ask the tool for a size, as a user does whose first pair was too short, and do as it says."""
    words, said, sizes = parse(f"{limit}{LIMIT}"), [], []
    for draw in _generators(load + limit, pairs):
        size = asked_size(draw, load, limit)
        sizes.append(size)
        said.append(
            [
                judge(words, *([one] for one in _pair(draw, load, size, slower, limit)))[0].status
                for slower in (SLOWER, 1.0)
            ]
        )
    slow, equal = zip(*said, strict=True)
    shares = slow.count("FAIL"), equal.count("PASS"), equal.count("FAIL")
    return Power(int(np.median(sizes)), *(share / pairs for share in shares))


def asked_size(draw: Generator, load: str, limit: str) -> int:
    """Return the size that the tool asks for; longer pairs are made until it knows one."""
    size, words = PILOT, parse(f"{limit}{LIMIT}")
    for _ in range(8):
        first, second = _pair(draw, load, size, 1.0, limit)
        found = judge(words, [first], [second])[0].found
        assert found is not None
        if (needed := found.needed(words[0].on_scale)) is not None:
            return min(max(needed, PILOT), LONGEST)
        size = min(max(2 * size, found.fewest), LONGEST)
    return size


def _pair(
    draw: Generator, load: str, size: int, slower: float, limit: str
) -> list[dict[str, Reading]]:
    figures = [one.figure for one in parse(f"{limit}{LIMIT}")]
    logs = (LOADS[load](draw, size), LOADS[load](draw, size, slower))
    return [readings(log, figures) for log in logs]


def repeated(runs: int, pairs: int) -> float:
    """Return how often equal systems differ whose runs differ by themselves."""
    differs = 0
    for draw in _generators(f"repeats {runs}", pairs):
        sides = []
        for _ in range(2):
            speeds = np.exp(draw.normal(0, RUN_EFFECT, runs))
            sides.append(side([LOADS["alone"](draw, 500, speed) for speed in speeds]))
        figures = compared(*sides)["figures"]
        differs += any(row["verdict"] in ("better", "worse") for row in figures)
    return differs / pairs


def _generators(name: str, count: int) -> Iterator[Generator]:
    root = np.random.SeedSequence([SEED, *name.encode()])
    yield from map(np.random.default_rng, root.spawn(count))


# ---- a million samples


def million_s() -> float:
    """Return how long the test of two runs of a million samples takes, without reading them."""
    sides = []
    for seed in range(2):
        draw = np.random.default_rng(seed)
        sides.append(LOADS["alone"](draw, 1_000_000))
    start = time.perf_counter()
    compared(*(side([log]) for log in sides))
    return time.perf_counter() - start


# ---- the table


def rows(pairs: int = PAIRS) -> Iterator[Row | str]:
    false, real, doc = _false_rows(pairs), _real_rows(pairs), []
    for part in (false, real):
        for row, line in part:
            yield row
            doc.append(line)
    seconds = million_s()
    yield Row(
        "test of two runs of a million samples, s", f"{seconds:.1f}", "", "", "10", seconds < 10
    )
    if pairs == PAIRS:
        write(doc, pairs)
        yield f"{DOC.name} is written"


Line = tuple[str, list[str]]  # of which table


def _false_rows(pairs: int) -> Iterator[tuple[Row, Line]]:
    for load in LOADS:
        for size in SIZES:
            found = alarms(load, size, pairs)
            is_met = found.any <= _most(MOST_ALARMS, pairs)
            what = f"equal, {load}, {size:,} samples: any figure differs"
            cells = [load, f"{size:,}", *(f"{100 * share:.1f}" for share in found)]
            yield _row(what, found.any, f"{100 * MOST_ALARMS:.0f} %", is_met), ("false", cells)
    for runs in (1, 3, 5):
        share = repeated(runs, pairs)
        what = f"equal, runs differ by {100 * RUN_EFFECT:.0f} %, {runs} a side: any differs"
        is_met = runs == 1 or share <= _most(MOST_ALARMS, pairs)
        target = "" if runs == 1 else f"{100 * MOST_ALARMS:.0f} %"
        yield _row(what, share, target, is_met), ("repeats", [str(runs), f"{100 * share:.1f}"])


def _real_rows(pairs: int) -> Iterator[tuple[Row, Line]]:
    for load, limits in FOUND.items():
        for limit in limits:
            found = power(load, limit, pairs)
            is_met = found.found >= LEAST_FOUND - (pairs < PAIRS) * 0.15
            what = f"5 % slower, {load}, {limit}{LIMIT}, {found.size:,} samples: found"
            shares = (found.found, found.passed, found.wrongly)
            cells = [load, f"`{limit}{LIMIT}`", f"{found.size:,}"]
            cells += [f"{100 * share:.1f}" for share in shares]
            yield _row(what, found.found, "80 %", is_met), ("power", cells)


def _row(what: str, share: float, target: str, is_met: bool) -> Row:
    return Row(what, f"{100 * share:.1f} %", "", "", target, is_met)


def _most(share: float, pairs: int) -> float:
    """Return what so few pairs may show: the whole number is held to the share itself."""
    if pairs >= PAIRS:
        return share
    return share + 2 * math.sqrt(share * (1 - share) / pairs)


HEADS: dict[str, list[str]] = {
    "false": [
        "load", "samples", "anything differs, %", "95 % interval misses, mean %", "worst figure, %",
    ],
    "repeats": ["runs a side", "anything differs, %"],
    "power": [
        "load", "limit", "samples, median", "5 % slower: FAIL, %", "equal: PASS, %",
        "equal: FAIL, %",
    ],
}  # fmt: skip


def write(lines: Sequence[Line], pairs: int) -> None:
    """Write the tables into their places on the page."""
    text = DOC.read_text(encoding="utf-8")
    for name, heads in HEADS.items():
        own = [cells for table, cells in lines if table == name]
        table = [heads, ["--"] * len(heads), *own]
        made = "\n".join(f"| {' | '.join(cells)} |" for cells in table)
        made = f"{pairs} pairs a row.\n\n{made}\n"
        begin, end = f"<!-- begin: {name} -->", f"<!-- end: {name} -->"
        before, after = text.partition(begin)[0], text.partition(end)[2]
        text = f"{before}{begin}\n{made}\n{end}{after}"
    DOC.write_text(text, encoding="utf-8")


def quick() -> Iterator[Any]:
    return rows(QUICK_PAIRS)
