"""`python -m tests.fuzz`: many inputs on all cores, and a table of what became of them."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import traceback
from collections import defaultdict
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from random import Random

from tests.fuzz import lane
from tests.fuzz.kinds import KINDS
from tests.fuzz.lane import OUTCOMES, Failure, Tally

_CHUNK = 500  # inputs of one kind that a process takes at once
_MEMORY_BYTES = 8 * 2**30  # of addresses: what asks for more gets a MemoryError
_SHOWN = 40  # failures


def main() -> int:
    asked = _arguments()
    if asked.only is not None:
        return _again(asked.kind[0], asked.only, asked.seed)
    kinds = {name: KINDS[name] for name in asked.kind or KINDS}
    print(f"seed {asked.seed}, {asked.count:,} inputs, {asked.jobs} processes", flush=True)
    tallies = _all(lane.shares(kinds, asked.count), asked.seed, asked.jobs)
    print(table(tallies))
    failures = [failure for tally in tallies.values() for failure in tally.failures]
    for failure in _different(failures)[:_SHOWN]:
        again = f"--kind {failure.kind} --seed {asked.seed} --only {failure.number}"
        print(f"\n{failure.outcome}: {failure.words}\n  python -m tests.fuzz {again}")
    return 1 if failures else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--count", type=int, default=200_000, help="inputs of all kinds together")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kind", action="append", choices=list(KINDS), help="may be repeated")
    parser.add_argument("--only", type=int, help="run one input of --kind again, by its number")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes")
    asked = parser.parse_args()
    if asked.only is not None and len(asked.kind or ()) != 1:
        parser.error("--only needs one --kind")
    return asked


def _all(counts: dict[str, int], seed: int, jobs: int) -> dict[str, Tally]:
    """Return a tally per kind; a process that dies costs its chunk and is named."""
    tallies = {name: Tally() for name in counts}
    waiting = [
        (name, range(start, min(start + _CHUNK, count)))
        for name, count in counts.items()
        for start in range(0, count, _CHUNK)
    ]
    while waiting:
        with ProcessPoolExecutor(jobs, initializer=_limited) as pool:
            sent = {pool.submit(_chunk, *chunk, seed): chunk for chunk in waiting}
            for future in as_completed(sent):
                try:
                    tallies[sent[future][0]].add(future.result())
                    waiting.remove(sent[future])
                except BrokenProcessPool:
                    break
            else:
                return tallies
        waiting = _without_killer(waiting, tallies, seed)
    return tallies


def _without_killer(
    waiting: list[tuple[str, range]], tallies: dict[str, Tally], seed: int
) -> list[tuple[str, range]]:
    """Run the first chunk that is left input by input, each in a process of its own."""
    name, numbers = waiting[0]
    for number in numbers:
        with ProcessPoolExecutor(1, initializer=_limited) as pool:
            try:
                tallies[name].add(
                    pool.submit(_chunk, name, range(number, number + 1), seed).result()
                )
            except BrokenProcessPool:
                words = "the process died"
                tallies[name].counts[lane.TRACEBACK] += 1
                tallies[name].failures.append(Failure(name, number, lane.TRACEBACK, words))
    return waiting[1:]


def _limited() -> None:
    """Let no input take all memory of the machine, and no library speak."""
    import logging
    import resource
    import warnings

    os.environ.update(HF_HUB_OFFLINE="1", HF_HUB_DISABLE_PROGRESS_BARS="1", PIP_NO_INDEX="1")
    os.environ.update(TOUCHSTONE_CACHE=tempfile.mkdtemp(prefix="fuzz-cache-"), OMP_NUM_THREADS="1")
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 1)  # what libraries print is no finding
    os.dup2(quiet, 2)
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _chunk(name: str, numbers: range, seed: int) -> Tally:
    return lane.run(name, KINDS[name], numbers, seed)


def _again(name: str, number: int, seed: int) -> int:
    """Run one input and show its traceback; its files stay."""
    place = Path("/tmp" if os.name == "posix" else ".") / f"fuzz-{name}-{seed}-{number}"
    place.mkdir(exist_ok=True)
    print(f"files: {place}")
    try:
        KINDS[name].make(place)(Random(f"{seed}/{name}/{number}"))
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def _different(failures: list[Failure]) -> list[Failure]:
    """Return one failure of each sort: those of one place are one."""
    seen = defaultdict(list)
    for failure in failures:
        seen[failure.kind, failure.outcome, failure.words.rpartition(" at ")[2]].append(failure)
    return [found[0]._replace(words=f"({len(found)}x) {found[0].words}") for found in seen.values()]


def table(tallies: dict[str, Tally]) -> str:
    """Return the outcomes by kind, with their sums."""
    heads = ("kind", "inputs", *OUTCOMES, "seconds")
    rows = [[name, sum(tally.counts.values()), *(tally.counts[o] for o in OUTCOMES),
             round(tally.seconds)] for name, tally in tallies.items()]  # fmt: skip
    rows.append(["all", *(sum(column) for column in zip(*(row[1:] for row in rows), strict=True))])
    lines = [" ".join(f"{head:>13}" for head in heads)]
    lines += [
        " ".join(f"{cell:>13,}" if i else f"{cell:>13}" for i, cell in enumerate(row))
        for row in rows
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
