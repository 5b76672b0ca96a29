"""What did the machine do meanwhile? `python -m harness.engine.telemetry` samples processes once a
second and GPUs ten times, in a process of its own.

It runs beside the driver, never inside it: no interpreter lock is shared, its priority is low, and
it learns the run's progress from 32 bytes of shared memory that the driver fills while idle. It
also draws the progress line. It ends when the driver lets go of it, and cannot outlive the driver.
"""

from __future__ import annotations

import json
import mmap
import os
import struct
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from threading import Event
from typing import Any, BinaryIO

from harness.engine.metering.meter import Meter
from harness.engine.recorder import Recorder
from harness.engine.referee import processes
from harness.engine.server_view.scrape import KEY_VARIABLE
from harness.engine.server_view.watch import Watch
from harness.kernel import files
from harness.kernel.answers import Scrape
from harness.kernel.clock import RealClock
from harness.kernel.errors import SetupFailed
from harness.kernel.foreign.own_files import MOST_LOG_BYTES, read_bytes
from harness.kernel.foreign.parsed import loads
from harness.kernel.machine import waits
from harness.kernel.machine.memory import available_bytes
from harness.kernel.process import board, children, streams
from harness.kernel.texts import on_one_line

INTERVAL_NS = 1_000_000_000  # of processes and servers
GPU_INTERVAL_S = 0.1
REFRESH_NS = 500_000_000
_LEAVE_S = 5.0  # for the last row
_LONGEST_NAME = 40  # of a cell, beside its bar
Sample = Callable[[], dict[str, Any]]
Show = Callable[[int, int, int, int, float, bool], None]
_COUNTS = struct.Struct("<qqqq")  # issued, done, failed, tokens


class Telemetry:
    """The driver's handle: starts the helper, tells it the counts, stops it.

    `pids` maps a role ("driver", "sut") to a process, `metered` are indices of GPUs, `server` says
    where a server tells what it counts; rows go to `out` as JSON lines, on the machine's monotonic
    clock. GPUs are read every `gpu_interval_s`; processes with these numbers (`own`) are no
    neighbours on them.
    """

    def __init__(
        self,
        out: Path,
        pids: dict[str, int],
        total: int | None,
        progress: bool,
        metered: Sequence[int] = (),
        server: Scrape | None = None,
        gpu_interval_s: float = GPU_INTERVAL_S,
        own: Sequence[int] = (),
    ) -> None:
        self._file = tempfile.NamedTemporaryFile(delete=False, buffering=0)  # noqa: SIM115 (as long as we)
        self._map = self._mapped()
        job = {
            "out": str(out),
            "pids": pids,
            "total": total,
            "progress": progress,
            "counts": self._file.name,
            "gpus": list(metered),
            "gpu_interval_s": gpu_interval_s,
            "own": [*pids.values(), *own],
            "server": server.shown if server else None,
        }
        words, key = json.dumps(job), {KEY_VARIABLE: server.key} if server else {}
        how: Any = {"stdout": subprocess.PIPE, "text": True}
        self._process = children.Child("harness.engine.telemetry", words, env=key, **how)
        try:
            self._await_ready()
        except BaseException:
            self._process.kill()
            self.stop()
            raise
        self._forget_name()

    def _mapped(self) -> mmap.mmap:
        """Map the file, which is written first: of a file with a hole the system would end us by
        SIGBUS when the disk has no room for a page.
        """
        try:
            self._file.write(bytes(_COUNTS.size))
            self._file.flush()
            return mmap.mmap(self._file.fileno(), _COUNTS.size)
        except BaseException:
            self._forget_name()
            raise

    def _await_ready(self) -> None:
        """Wait until its imports are done, which must not fall into the run. Raises SetupFailed."""
        doing = "starting the helper that samples the machine"
        try:
            said = next(waits.lines(self._process, waits.READYING), "")
        except waits.Overdue as overdue:
            raise SetupFailed(doing, str(overdue)) from None
        if not said:
            raise SetupFailed(doing, f"it ended with exit code {waits.leave(self._process)}")

    def _forget_name(self) -> None:
        """Remove the name, so that no file is left if we are killed: both ends have the memory.
        Windows keeps the name until both have let go.
        """
        with suppress(OSError):
            os.unlink(self._file.name)

    def on_idle(self, recorder: Recorder) -> None:
        """Note the counters, in well under a microsecond; the driver calls it before it sleeps."""
        r = recorder
        _COUNTS.pack_into(self._map, 0, r.num_issued, r.num_done, r.num_failed, r.num_tokens)

    def stop(self) -> None:
        self._process.let_go()
        waits.leave(self._process)
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._map.close()
        self._file.close()
        self._forget_name()


def main() -> None:
    over = Event()
    children.once_let_go(over.set)
    streams.protect()
    job = json.loads(sys.argv[1])
    with suppress(OSError, AttributeError):
        os.nice(10)
        os.sched_setscheduler(
            0, os.SCHED_IDLE, os.sched_param(0)
        )  # never takes a core from the model
    with Path(job["counts"]).open("r+b") as file:
        counts = mmap.mmap(file.fileno(), _COUNTS.size)
    show = _progress(job["total"]) if job["progress"] and not board.is_quiet() else None
    with files.opened_log(Path(job["out"])) as out:
        _watch(job, counts, out, show, over)


def _watch(
    job: Mapping[str, Any], counts: mmap.mmap, out: BinaryIO, show: Show | None, over: Event
) -> None:
    """Write rows until it is `over`; the first one before the driver hears that we are ready."""
    server = Watch(job["server"]) if job["server"] else None
    slow = [_sampler(job["pids"]), *([server.sample] if server else [])]
    fast = Meter(job["gpus"], job["own"]).read

    def write(t_ns: int, is_whole: bool) -> None:
        issued, done, _, _ = _COUNTS.unpack_from(counts)
        sample = _together(fast, *slow) if is_whole else fast
        _write(out, {"t_ns": t_ns, "issued": issued, "done": done}, sample)

    def tell(t_ns: int, last: bool) -> None:
        issued, done, failed, tokens = _COUNTS.unpack_from(counts)
        if show:
            show(issued, done, failed, tokens, (t_ns - start_ns) / 1e9, last)

    now_ns = RealClock.now_ns
    start_ns = now_ns()
    write(start_ns, is_whole=True)
    print("ready", flush=True)
    rows = Ticks(start_ns, round(1e9 * job["gpu_interval_s"]) if job["gpus"] else INTERVAL_NS)
    whole_rows = Ticks(start_ns, INTERVAL_NS)
    shows = Ticks(start_ns - REFRESH_NS, REFRESH_NS)
    awaited = [rows, shows] if show else [rows]
    while True:
        if rows.is_due(t_ns := now_ns()):
            write(t_ns, whole_rows.is_due(t_ns))
        if show and shows.is_due(t_ns):
            tell(t_ns, last=False)
        pause_ns = min(ticks.next_ns for ticks in awaited) - now_ns()
        if over.wait(max(pause_ns, 0) / 1e9):
            break
    if server:
        server.finish()
    write(now_ns(), is_whole=True)
    tell(now_ns(), last=True)


class Ticks:
    """Moments at an equal distance from a start. What was slept through is never made up for."""

    def __init__(self, start_ns: int, interval_ns: int) -> None:
        self._interval_ns, self.next_ns = interval_ns, start_ns + interval_ns

    def is_due(self, now_ns: int) -> bool:
        """Tell whether the next moment has come, and go on to the one after."""
        if now_ns < self.next_ns:
            return False
        late_ns = (now_ns - self.next_ns) % self._interval_ns
        self.next_ns = now_ns - late_ns + self._interval_ns
        return True


def _write(out: BinaryIO, row: dict[str, Any], sample: Sample) -> None:
    """Write a row, or leave it out where the disk is full or no descriptor is left to look with:
    the next one may fit.
    """
    with suppress(OSError):
        out.write(json.dumps(row | sample()).encode() + b"\n")


def _sampler(pids: dict[str, int]) -> Sample:
    """Return a function that reads memory and CPU now. A process that is gone gives None."""
    read = processes.reader(pids)
    return lambda: {**read(), "machine_available_bytes": available_bytes()}


def _together(*samples: Sample) -> Sample:
    return lambda: {key: value for sample in samples for key, value in sample().items()}


def _progress(total: int | None) -> Show:
    """Show a progress bar on a terminal, below where the study stands; a line every five seconds
    elsewhere. Both go to stderr.
    """
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )
    from rich.text import Text

    console = Console(stderr=True)
    if not console.is_terminal:
        return _plain_lines(total)

    class Bar(Progress):
        def get_renderables(self) -> Iterator[Any]:
            if (found := board.now()) is not None:
                parts = board.headline(*found)
                yield Text.assemble(*parts, no_wrap=True, overflow="ellipsis")
            yield from super().get_renderables()

    bar = Bar(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.completed}" + (f"/{total}" if total else "") + " samples"),
        TextColumn("{task.fields[what]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
        auto_refresh=False,
        transient=board.current() is not None,  # the rows of a study stay, its bars do not
        # or "ready" would go to the screen, and the driver would wait for it for ever
        redirect_stdout=False,
    )
    task = bar.add_task(_name(), total=total, what="")
    bar.start()

    def show(issued: int, done: int, failed: int, tokens: int, seconds: float, last: bool) -> None:
        bar.update(task, completed=done, what=_words(issued, done, failed, tokens, seconds))
        bar.refresh()
        if last:
            bar.stop()

    return show


def _name() -> str:
    """Name the cell that is measured; a run that belongs to no study is a run."""
    note = board.current()
    return on_one_line(note.running[0].name, _LONGEST_NAME) if note and note.running else "run"


def _plain_lines(total: int | None) -> Show:
    state = {"next": 0.0}

    def show(issued: int, done: int, failed: int, tokens: int, seconds: float, last: bool) -> None:
        if seconds >= state["next"] or last:
            state["next"] += 5.0
            of = f"/{total}" if total else ""
            words = _words(issued, done, failed, tokens, seconds)
            streams.tell(f"run {seconds:6.1f} s  {done}{of} samples  {words}")

    return show


def _words(issued: int, done: int, failed: int, tokens: int, seconds: float) -> str:
    rate = f"{tokens / seconds:.0f} tokens/s" if seconds > 0 and tokens else ""
    return "  ".join(
        filter(None, (f"{issued - done} open", rate, f"{failed} failed" if failed else ""))
    )


def read_rows(path: Path, start_ns: int) -> Sequence[dict[str, Any]]:
    """Return the rows of a finished file, times counted from the start of the run; a line that was
    cut is left out.
    """
    rows = []
    for line in read_bytes(path, MOST_LOG_BYTES).decode(errors="replace").splitlines():
        with suppress(ValueError, TypeError, KeyError):
            row = loads(line)
            rows.append({**row, "t_ns": row["t_ns"] - start_ns})
    return rows


if __name__ == "__main__":
    main()
