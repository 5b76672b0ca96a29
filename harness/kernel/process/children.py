"""How does a process of our own start, and how does it end? With us: none outlives the process that
started it, however that ends.

Its stdin is a leash, a pipe that nobody writes to. The system closes the other end when the parent
dies, by SIGKILL too. On Linux the kernel itself then kills the child and all that it has started
(`fcntl(2)`, F_SETSIG with F_SETOWN of a process group), which neither a stopped process nor a held
interpreter lock delays; a thread does it elsewhere.

    with Child("sut.border.child", "7") as child: ...     the parent
    children.bind()                                       the child's first line

`python -m harness.kernel.process.children MODULE ARGUMENTS` runs a module of somebody else in this
way.
"""

from __future__ import annotations

import os
import runpy
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from threading import Event, Thread
from typing import Any

from harness.kernel.machine import waits
from harness.kernel.process.stopping import SIGNALS

ROOT = Path(__file__).resolve().parents[3]  # the folder that has our packages
_IS_CHILD = "TOUCHSTONE_CHILD"  # tells a child that its stdin is a leash
_F_SETSIG = 10  # of Linux; Python's fcntl has no name for it
_TIDY_S = 10.0  # for a child that ends by itself once its parent is gone


def command(module: str, *arguments: str) -> list[str]:
    """Return the command line that runs one of our modules."""
    return [sys.executable, "-m", module, *arguments]


def variables(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment of such a process: this one's, with `more`, and our packages."""
    known = os.environ.get("PYTHONPATH", "")
    paths = os.pathsep.join(filter(None, (str(ROOT), known)))
    safe = {"PYTHONSAFEPATH": "1"}  # no module from the folder that we were started in
    return {**os.environ, **(more or {}), **safe, "PYTHONPATH": paths}


class Child(subprocess.Popen[Any]):
    """A process that runs one of our modules, in a session of its own: Ctrl-C is ours to hear.

    `env` is added to this process's environment, `python` is one that has what our packages need,
    `how` goes to Popen. Leaving the block kills what
    still runs.
    """

    def __init__(
        self,
        module: str,
        *arguments: str,
        env: Mapping[str, str] | None = None,
        python: str = sys.executable,
        **how: Any,
    ) -> None:
        theirs, self._leash = os.pipe()
        try:
            super().__init__(
                [python, *command(module, *arguments)[1:]],
                stdin=theirs,
                env=variables({**(env or {}), _IS_CHILD: "1"}),
                start_new_session=True,
                **how,
            )
        except BaseException:
            self.let_go()
            raise
        finally:
            os.close(theirs)

    def let_go(self) -> None:
        """Close the leash: the child ends at once, or by itself (`once_let_go`)."""
        leash, self._leash = self._leash, -1
        if leash >= 0:
            os.close(leash)

    def kill(self) -> None:
        """Kill it, and what it has started."""
        if self.returncode is None:
            self._kill_group()
            super().kill()

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end, and leave nothing running that it has started."""
        is_known = self.returncode is not None
        code = super().wait(timeout)
        if not is_known:
            self._kill_group()
        self.let_go()
        return code

    def _kill_group(self) -> None:
        if hasattr(os, "killpg"):
            with suppress(OSError):
                os.killpg(self.pid, signal.SIGKILL)

    def __exit__(self, *how: Any) -> None:
        self.kill()
        super().__exit__(*how)

    def __del__(self, *how: Any) -> None:
        with suppress(AttributeError, OSError):  # it was never made
            self.let_go()
        super().__del__()


def finished(module: str, *arguments: str, limit: waits.Limit) -> subprocess.CompletedProcess[str]:
    """Run one of our modules to its end; return its exit code and what it said. Raises Overdue."""
    pipe: Any = subprocess.PIPE
    text: Any = {"text": True, "errors": "replace"}
    with Child(module, *arguments, stdout=pipe, stderr=pipe, **text) as child:
        out, error = waits.output(child, limit)
    return subprocess.CompletedProcess(child.args, child.returncode, out, error)


# ---- the child's side


def bind() -> None:
    """Die with the parent, and let it alone hear what would stop us; to be called first."""
    _let_the_parent_hear()
    leash = _taken_leash()
    if leash is None:
        return
    if sys.platform == "linux" and os.getpgrp() == os.getpid():
        with suppress(OSError, ImportError):
            _have_the_kernel_kill(leash)
    _listen(leash, _die)


def is_one() -> bool:
    """Was this process started as a Child, and not bound yet?"""
    return _IS_CHILD in os.environ


def once_let_go(act: Callable[[], object]) -> None:
    """Call `act` when the parent lets go or has died; die if that has not ended us in time."""

    def end() -> None:
        act()
        Event().wait(_TIDY_S)
        _die()

    _let_the_parent_hear()
    leash = _taken_leash()
    if leash is not None:
        _listen(leash, end)


def _let_the_parent_hear() -> None:
    """Stay alive when everybody is told to stop, as by `systemctl stop`. No SIG_IGN: what a SUT
    starts would inherit it.
    """
    for number in SIGNALS:
        signal.signal(number, lambda *_: None)


def _taken_leash() -> int | None:
    """Take the leash off stdin, so that nobody reads it by mistake. None if there is none, as when
    somebody starts the module by hand.
    """
    if os.environ.pop(_IS_CHILD, None) is None:
        return None
    leash = os.dup(0)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    return leash


def _have_the_kernel_kill(leash: int) -> None:
    """Ask for SIGKILL to our process group as soon as the other end is closed."""
    import fcntl

    fcntl.fcntl(leash, fcntl.F_SETOWN, -os.getpgrp())
    fcntl.fcntl(leash, _F_SETSIG, signal.SIGKILL)
    fcntl.fcntl(leash, fcntl.F_SETFL, fcntl.fcntl(leash, fcntl.F_GETFL) | os.O_ASYNC)
    look = select.poll()
    look.register(leash, select.POLLIN)
    if look.poll(0):  # it was closed before we asked
        _die()


def _listen(leash: int, act: Callable[[], object]) -> None:
    """Call `act` in a thread once the leash is closed. Windows selects among sockets alone, so it
    reads; past the buffer, whose lock must be free when the interpreter ends.
    """

    def listen() -> None:
        while os.read(leash, 4096):
            pass
        act()

    Thread(target=listen, daemon=True).start()


def _die() -> None:
    if hasattr(os, "killpg") and os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(1)


if __name__ == "__main__":
    bind()
    sys.argv = sys.argv[1:]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
