"""The process that scores: what it says, how it ends, how far it is."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from harness.kernel import files
from harness.kernel.errors import RunBroke
from harness.kernel.machine import waits
from harness.kernel.process import board
from harness.kernel.process.children import Child
from harness.kernel.protocols import Say
from harness.kernel.texts import on_one_line

_LONGEST_LABEL = 60  # characters
Row = dict[str, Any]


def events(job: Row, folder: Path, in_process: bool) -> Iterator[Row]:
    """Yield what the scoring says of itself, line by line. Raises RunBroke if its process dies."""
    if in_process:
        from sut.likelihood.job import Job
        from sut.likelihood.worker import events

        yield from events(Job(**job))
        return
    files.write_json(folder / "job.json", job)
    with (
        files.opened_log(folder / "worker.log") as log,
        _process(folder / "job.json", log) as process,
    ):
        yield from _heard(process, folder / "worker.log")


def _heard(process: subprocess.Popen[str], log: Path) -> Iterator[Row]:
    """Yield what the process says, to its end. Raises RunBroke if that is not a good one, or if it
    is waited for in vain. Once it has said that it is done, nobody cares how it leaves.
    """
    event: Row = {}
    try:
        for line in waits.lines(process, waits.SCORING):
            event = json.loads(line)
            yield event
    except waits.Overdue as overdue:
        process.kill()
        todo = f"Find out why (see {log}), then go on with --resume."
        raise RunBroke(
            "the scoring process", str(overdue), "what was scored is kept", todo
        ) from None
    code = waits.leave(process)
    if code and event.get("event") != "done":
        raise _death(code, log)


@contextmanager
def _process(job: Path, log: Any) -> Iterator[Child]:
    """Start the process. It is gone when the block is left, however that happens; its parts are
    whole or not there.
    """
    from sut.border.threads import environment as thread_environment

    with Child(
        "sut.likelihood.worker",
        str(job),
        env=thread_environment(),
        stdout=subprocess.PIPE,
        stderr=log,
        text=True,
        encoding="utf-8",
    ) as process:
        yield process


def _death(code: int, log: Path) -> RunBroke:
    how = f"it {waits.ending(code)}"
    lines = log.read_text(errors="replace").strip().splitlines()
    return RunBroke(
        "the scoring process",
        how + (f", last words: {lines[-1][:300]}" if lines else ""),
        "",
        f"See {log}.",
    )


@contextmanager
def bar_of(label: str, say: Say) -> Iterator[Callable[[Row], None]]:
    """Show texts (each condition counts), speed so far and time left on a terminal; lines
    elsewhere.
    """
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    console = Console(stderr=True, quiet=board.is_quiet())
    bars = Progress(
        TextColumn("{task.fields[label]}", markup=False),
        BarColumn(),
        TextColumn("{task.description}"),
        console=console,
        transient=True,
    )
    task = bars.add_task("", total=None, label=on_one_line(label, _LONGEST_LABEL))
    done = passages = tokens = 0

    def hear(event: Row) -> None:
        nonlocal done, passages, tokens
        if event["event"] == "checked":
            done, passages, tokens = event["kept"], event["passages"], event["tokens"]
            bars.update(task, total=tokens, description=f"{done}/{passages} texts")
        elif event["event"] == "loading":
            say(f"loading {label}" + (f", {done} of {passages} texts are kept" if done else ""))
        elif event["event"] == "loaded":
            say(f"scoring with {label}")
            if console.is_terminal and not console.quiet:
                say("")
                bars.start()
        elif event["event"] == "scored":
            done += 1
            rate = max(event["tokens"], 1) / max(event["seconds"], 1e-9)
            left_s = round((tokens - event["tokens"]) / rate)
            words = (
                f"{done}/{passages} texts, {rate:,.0f} tokens/s, {left_s // 60}:{left_s % 60:02d}"
                " left"
            )
            bars.update(task, completed=event["tokens"], description=words)

    try:
        yield hear
    finally:
        if bars.live.is_started:
            bars.stop()
