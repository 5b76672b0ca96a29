"""How is a run made in a process of its own? Its settings go to it in a file, and it answers in
another (`harness.study.executors.process`).

A crash of the driver itself (an extension that dies, no memory left) costs one run, and every run
begins with fresh memory; its start costs some seconds.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from harness.kernel.errors import BY_NAME, RunBroke
from harness.kernel.machine import waits
from harness.kernel.process import children
from harness.kernel.protocols import Say
from harness.options.settings import RunConfig
from harness.running.signals import passed_on
from harness.study.executors.made import Made


def child(config: RunConfig, say: Say) -> Made:
    """Make the run in a process of its own, which hears Ctrl-C instead of this one. Raises what the
    run raises, and RunBroke if the process dies.
    """
    say("")
    with Handed(config.model_dump_json()) as handed:
        code, was_stopped = _wait_for(handed)
        return made_of(handed.answer(), code, was_stopped)


class Handed:
    """What parent and child hand over: settings in memory, never on the disk where the system can
    do so (they may hold secrets), and an answer in a folder for temporary files.
    """

    def __init__(self, settings: str) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="touchstone-")
        self._answer = Path(self._folder.name) / "answer.json"
        self._number = -1
        if hasattr(os, "memfd_create"):
            self._number = os.memfd_create("settings")
            os.write(self._number, settings.encode())
            self._settings = f"/dev/fd/{self._number}"
        else:
            file = Path(self._folder.name) / "settings.json"
            file.write_text(settings, encoding="utf-8")
            self._settings = str(file)

    @property
    def arguments(self) -> tuple[str, str]:
        """The files that the child reads and writes, for its command line."""
        return self._settings, str(self._answer)

    @property
    def inherited(self) -> dict[str, Any]:
        """What Popen is given, so that the child has them."""
        return {} if self._number < 0 else {"pass_fds": (self._number,)}

    def answer(self) -> dict[str, Any] | None:
        """Return what the child answered; None if it died first."""
        if not self._answer.exists():
            return None
        found: dict[str, Any] = json.loads(self._answer.read_text(encoding="utf-8"))
        return found

    def close(self) -> None:
        """Leave nothing behind."""
        if self._number >= 0:
            os.close(self._number)
            self._number = -1
        self._folder.cleanup()

    def __enter__(self) -> Handed:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def made_of(answer: dict[str, Any] | None, code: int, was_stopped: bool) -> Made:
    """Return the run that a child tells of. Raises what the run raised, RunBroke if it died."""
    if answer is None and was_stopped:
        raise KeyboardInterrupt  # before it could hear
    if answer is None:
        raise RunBroke("the process of a run", _how(code), "", "See its folder for more.")
    if "facts" in answer:
        raise BY_NAME[answer["error"]](*answer["facts"])
    if "result" not in answer:
        raise KeyboardInterrupt
    return Made(answer["result"], Path(answer["folder"]), answer["is_last"])


@contextmanager
def started(handed: Handed, **how: Any) -> Iterator[children.Child]:
    """Start the child; whatever it shows goes to stderr. It is gone when the block ends."""
    with children.Child(
        "harness.study.executors.process",
        *handed.arguments,
        stdout=subprocess.DEVNULL,
        **handed.inherited,
        **how,
    ) as process:
        yield process


def _wait_for(handed: Handed) -> tuple[int, bool]:
    """Return the exit code of the child, and whether it was told to stop. Raises RunBroke if it is
    stopped by SIGSTOP; it has limits of its own for all that it waits for.
    """
    with started(handed) as process, passed_on(process) as passed:
        try:
            return waits.ended(process, waits.RUNNING), passed.any
        except waits.Overdue as overdue:
            process.kill()
            raise RunBroke("the process of a run", str(overdue), "", "Run again.") from None


def _how(code: int) -> str:
    if code < 0:
        return f"it was killed by {signal.Signals(-code).name}"
    return f"it ended with exit code {code}"
