"""What does a sweep cost beside its runs, and how heavy is its page?

The simulated SUT on the virtual clock: every run is as short as one can be. The time inside the
executor is the runs'; all else (planning, hashes, rows on the disk, sweep.json, the page) is the
sweep's. The same runs are also made alone, before and after, to see whether a sweep makes them
slower or grows slower itself.
"""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.bench.rows import Row, compared

CELLS, ALONE, PAGE_CELLS = 1_000, 50, 200
QUICK = 40
_MOST_MS, _MOST_MB, _MOST_S = 50.0, 5.0, 5.0
_FIXED = {"scenario": "server", "sut": "simulated", "clock": "virtual", "min_queries": 50}


def rows(cells: int = CELLS) -> Iterable[Row]:
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch)
        before = _alone(place)
        wall_s, runs_s, found = _swept(cells, place)
        alone_ms = 1e3 * statistics.median((*before, *_alone(place)))
        inside_ms, own_ms = 1e3 * statistics.median(runs_s), 1e3 * (wall_s - sum(runs_s)) / cells
        yield Row(
            f"a sweep of {cells:,} cells, its own ms a cell", f"{own_ms:.1f}", "",
            f"{own_ms / inside_ms:.2f}x", f"at most {_MOST_MS:g} ms", own_ms <= _MOST_MS,
        )  # fmt: skip
        tenth = max(1, cells // 10)
        first, last = statistics.median(runs_s[:tenth]), statistics.median(runs_s[-tenth:])
        yield compared(
            "  a run inside it against the same alone, ms", inside_ms, alone_ms,
            inside_ms / alone_ms, "", True, "{:.1f}",
        )  # fmt: skip
        yield compared(
            "  the last tenth of its runs against the first, ms", 1e3 * last, 1e3 * first,
            last / first, "", True, "{:.1f}",
        )  # fmt: skip
        yield from _page(found)


def _alone(place: Path) -> list[float]:
    """Return the seconds of single runs in this process, without pages."""
    from harness.options.settings import load_config
    from harness.running.session import Run

    seconds = []
    for i in range(ALONE):
        flags = _FIXED | {"target_qps": 5 + i, "output_dir": place / "alone", "no_page": True}
        start = time.perf_counter()
        with Run(load_config(flags), _quiet) as run:
            run.execute().to_json()
        seconds.append(time.perf_counter() - start)
    return seconds[1:]


def _swept(cells: int, place: Path) -> tuple[float, list[float], dict[str, Any]]:
    """Return the seconds of a whole sweep, those of each of its runs, and what it found."""
    from harness.study.sweep.plan import plan_of
    from harness.study.sweep.sweep import run

    flags = _FIXED | {"target_qps": f"5..{4 + cells // 10}", "max_concurrency": "1..10"}
    with _timed_runs() as seconds:
        start = time.perf_counter()
        found, _ = run(plan_of(flags | {"output_dir": place / "swept"}), "here", _quiet, _quiet)
        wall_s = time.perf_counter() - start
    assert len(seconds) == cells
    return wall_s, seconds, found


@contextmanager
def _timed_runs() -> Iterator[list[float]]:
    """Yield a list that gets the seconds of each run that is made meanwhile."""
    from harness.study import executors

    seconds, bare = list[float](), executors.EXECUTORS["here"]

    def timed(*asked: Any) -> Any:
        start = time.perf_counter()
        try:
            return bare(*asked)
        finally:
            seconds.append(time.perf_counter() - start)

    executors.EXECUTORS["here"] = timed
    try:
        yield seconds
    finally:
        executors.EXECUTORS["here"] = bare


def _page(found: dict[str, Any]) -> Iterator[Row]:
    """Yield the weight and the time of the page of so many points of the sweep."""
    from harness.study.sweep.curves import curves, pareto
    from reports.pages.sweep.page import render

    by_series = sorted(found["points"], key=lambda point: point["series"])
    found = json.loads(json.dumps(found)) | {"points": by_series[:PAGE_CELLS]}
    found |= {"curves": curves(found["points"], found["load"]), "front": pareto(found["points"])}
    start = time.perf_counter()
    text = render(found)
    seconds, megabytes = time.perf_counter() - start, len(text.encode()) / 1e6
    what = f"its page of {len(found['points'])} cells"
    yield Row(f"{what}, s", f"{seconds:.2f}", "", "", "at most 5 s", seconds <= _MOST_S)
    yield Row(f"{what}, MB", f"{megabytes:.2f}", "", "", "at most 5 MB", megabytes <= _MOST_MB)


def _quiet(_: Any) -> None:
    """Say nothing."""
