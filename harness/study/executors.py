"""Where is a cell of a study run: in this process, or in a child?

An executor takes the settings of a run and returns what came of it. In a child a crash of the
driver itself (an extension that dies, no memory left) costs one cell, and every cell begins with
fresh memory; its start costs some seconds.

    python -m harness.study.executors SETTINGS ANSWER    the child: JSON files to read and to write
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from threading import Event
from typing import Any, NamedTuple

from harness.engine.pieces import reason
from harness.kernel.errors import BY_NAME, HarnessError, RunBroke, unknown
from harness.kernel.machine import waits
from harness.kernel.process import children, stopping, streams
from harness.kernel.protocols import Say
from harness.options.settings import RunConfig
from harness.running.session import Run
from harness.running.signals import passed_on

_APART_S = 0.2  # two signals at once are one


class Made(NamedTuple):
    """A run that was made: its result.json, its folder, and whether the user wants no more."""

    result: dict[str, Any]
    folder: Path
    is_last: bool


Executor = Callable[[RunConfig, Say], Made]


def here(config: RunConfig, say: Say) -> Made:
    """Make the run in this process. Raises what the run raises."""
    with Run(config, say) as run:
        result = run.execute().to_json()
    return Made(result, run.folder, run.stop.requests > 0)


def child(config: RunConfig, say: Say) -> Made:
    """Make the run in a process of its own, which hears Ctrl-C instead of this one. Raises what the
    run raises, and RunBroke if the process dies.
    """
    say("")
    with tempfile.TemporaryDirectory() as scratch:
        settings, answer = Path(scratch) / "settings.json", Path(scratch) / "answer.json"
        settings.write_text(config.model_dump_json(), encoding="utf-8")
        code, was_stopped = _wait_for(str(settings), str(answer))
        if was_stopped and not answer.exists():
            raise KeyboardInterrupt  # before it could hear
        if not answer.exists():
            raise RunBroke("the process of a run", _how(code), "", "See its folder for more.")
        found = json.loads(answer.read_text(encoding="utf-8"))
    if "facts" in found:
        raise BY_NAME[found["error"]](*found["facts"])
    if "result" not in found:
        raise KeyboardInterrupt
    return Made(found["result"], Path(found["folder"]), found["is_last"])


EXECUTORS: dict[str, Executor] = {"here": here, "child": child}


def named(name: str) -> Executor:
    """Return an executor by its name. Raises BadInput."""
    if name not in EXECUTORS:
        raise unknown("--executor", name, EXECUTORS, "Choose one of these.")
    return EXECUTORS[name]


def _wait_for(*arguments: str) -> tuple[int, bool]:
    """Return the exit code of the child, and whether it was told to stop. Raises RunBroke if it is
    stopped by SIGSTOP; it has limits of its own for all that it waits for.
    """
    nowhere = subprocess.DEVNULL  # whatever is shown goes to stderr
    with (
        children.Child("harness.study.executors", *arguments, stdout=nowhere) as process,
        passed_on(process) as passed,
    ):
        try:
            return waits.ended(process, waits.RUNNING), passed.any
        except waits.Overdue as overdue:
            process.kill()
            raise RunBroke("the process of a run", str(overdue), "", "Run again.") from None


def _how(code: int) -> str:
    if code < 0:
        return f"it was killed by {signal.Signals(-code).name}"
    return f"it ended with exit code {code}"


def main() -> None:
    """Answer with the run, or with the facts of why there is none."""
    settings, answer = map(Path, sys.argv[1:])
    children.once_let_go(_stop_now)
    stopping.listen()
    streams.protect()
    config = RunConfig.model_validate_json(settings.read_text(encoding="utf-8"))
    found: dict[str, Any]
    try:
        made = here(config, lambda text: streams.tell(text) if text else None)
        found = {**made._asdict(), "folder": str(made.folder)}
    except KeyboardInterrupt:
        found = {}
    except HarnessError as error:
        found = {"error": type(error).__name__, "facts": error.facts}
    except Exception as fault:
        found = {"error": RunBroke.__name__, "facts": ("a run", reason(fault), "", "")}
    stopping.over()
    answer.write_text(json.dumps(found), encoding="utf-8")


def _stop_now() -> None:
    """Keep what is measured, and wait for nothing more: the parent has died."""
    os.kill(os.getpid(), signal.SIGTERM)
    Event().wait(_APART_S)
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main()
