"""How does a tool run, and how does it end? As a child of a keeper (`sut.started.keeper`), so that
nothing that it starts outlives us; its words go to tool.log.

It ends by itself, by its time (`--timeout`), with the server that it asks, or with Ctrl-C.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as own_version
from pathlib import Path

from harness.evaluators.environments import python_in
from harness.evaluators.served import last_lines
from harness.evaluators.tool import Tool
from harness.kernel import files
from harness.kernel.clock import monotonic_s
from harness.kernel.errors import BadInput, RunBroke, SetupFailed
from harness.kernel.machine import waits
from harness.kernel.process.children import Child
from harness.kernel.protocols import Say
from sut.started import family
from sut.started.keeper import GIVEN, SIGNALLED, environment

LOG = "tool.log"
_PAUSE_S = 0.3  # between two looks
_PROBE_S = 60.0
_SHOWN = 100  # characters of its last line, while it runs
_LAST_WORDS = 3  # lines of its log in an error
_VERSION = "import sys, importlib.metadata as m; print(m.version(sys.argv[1]))"
# No modules of the folder that we were started in; words as they come, without colours.
_PLAIN = {"PYTHONSAFEPATH": "1", "PYTHONUNBUFFERED": "1", "NO_COLOR": "1", "PY_COLORS": "0"}
_LOCAL = "127.0.0.1,localhost,::1"


def python_of(tool: Tool, given: Path | None) -> tuple[str, str]:
    """Return the Python that has a tool, and the tool's version: the one that was given, the one
    that `make tools` has made, or our own.

    Raises BadInput for a given one that is none, SetupFailed if the tool is in none of them.
    """
    made = python_in(tool)
    if given is not None:
        return _given(tool, given)
    if made.exists():
        return str(made), _probed(tool, str(made))
    try:
        return sys.executable, own_version(tool.package)
    except PackageNotFoundError:
        raise _missing(tool, "it is not installed", tool.name) from None


def _given(tool: Tool, given: Path) -> tuple[str, str]:
    python = given / "bin" / "python" if given.is_dir() else given
    if not os.access(python, os.X_OK) or python.is_dir():
        found = "there is no such program" if not python.exists() else "it is no program"
        fine = "expected the Python of an environment, such as venv/bin/python"
        raise BadInput(f"--tool-python {given}", found, fine, "Check the path.")
    return str(python.absolute()), _probed(tool, str(python.absolute()))


def _probed(tool: Tool, python: str) -> str:
    """Return the version of a tool in another Python. Raises SetupFailed if it is not there."""
    try:
        done = subprocess.run(
            [python, "-c", _VERSION, tool.package],
            env=environment(os.environ, python),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_PROBE_S,
            check=False,
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise _missing(tool, f"{python} does not run ({error})", python) from None
    if done.returncode != 0:
        raise _missing(tool, f"{python} has no {tool.package}", python)
    return "" if tool.repository else done.stdout.strip()


def _missing(tool: Tool, found: str, where: str) -> SetupFailed:
    fine = "it has an environment of its own"
    todo = f"Run: make tools TOOLS={tool.name}, or pass --tool-python PATH."
    return SetupFailed(f"evaluating with {tool.name}", found, fine, todo)


def run(
    tool: Tool,
    command: Sequence[str],
    variables: Mapping[str, str],
    folder: Path,
    timeout_s: float | None,
    check: Callable[[], None],
    say: Say,
) -> None:
    """Run a tool to its end. Nothing that it has started is left, however this ends.

    `check` is called meanwhile, and raises once the server is gone. Raises RunBroke if the tool
    fails or takes longer than `timeout_s`.
    """
    log = folder / LOG
    given = {**_PLAIN, **_no_proxy(), **variables}
    with files.opened_log(log) as words:
        child = Child(
            "sut.started.keeper",
            json.dumps(list(command)),
            str(waits.LEAVING_S),
            env={GIVEN: json.dumps(given)},
            stdout=words,
            stderr=words,
        )
    try:
        code = _ended(child, tool, log, timeout_s, check, say)
    finally:
        members = family.started_by(child.pid)
        child.let_go()
        waits.leave(child, 2 * waits.LEAVING_S)
        family.kill(members)
    check()
    if code not in tool.fine_codes:
        raise _failed(tool, _ending(code), log)


def _ended(
    child: Child,
    tool: Tool,
    log: Path,
    timeout_s: float | None,
    check: Callable[[], None],
    say: Say,
) -> int:
    """Wait for the end; return the exit code. Raises RunBroke."""
    begun_s, said = monotonic_s(), [""]
    while (code := waits.within(child, _PAUSE_S)) is None:
        check()
        if (line := last_lines(log, 1)) not in ([], said):
            said = line
            say(f"{tool.name}: {line[0][:_SHOWN]}")
        if timeout_s is not None and monotonic_s() - begun_s > timeout_s:
            raise _failed(tool, f"it took longer than --timeout {timeout_s:g} s", log)
    return code


def _ending(code: int) -> str:
    return f"it {waits.ending(code if code <= SIGNALLED else SIGNALLED - code)}"


def _failed(tool: Tool, how: str, log: Path) -> RunBroke:
    """Return what to say of a tool that failed: how it ended, and its last words."""
    last = last_lines(log, _LAST_WORDS)
    fine = "its last words:\n" + "\n".join(last) if last else "it has said nothing"
    return RunBroke(f"evaluating with {tool.name}", how, fine, f"See {log}.")


def _no_proxy() -> dict[str, str]:
    """Return variables that keep a proxy from being asked for this machine's own addresses."""
    known = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    both = f"{known},{_LOCAL}" if known else _LOCAL
    return {"NO_PROXY": both, "no_proxy": both}
