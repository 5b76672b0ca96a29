"""Where words for people go, and where tables for programs: stderr and stdout, as --json and
--format say. The exit code is the verdict's, whoever reads; it is 4 where stdout did not take what
a program waits for.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from harness.engine.pieces import noted, reason
from harness.kernel.errors import BadInput, HarnessError, RunBroke, of_the_machine, unknown
from harness.kernel.process import board, stopping, streams
from harness.kernel.process.streams import tell
from harness.kernel.texts import shown

if TYPE_CHECKING:
    from harness.kernel.protocols import Say
    from reports.blocks import Table

FORMATS = ("table", "csv", "markdown")

_LONGEST = 2_000  # characters of one thing that is said


@contextmanager
def people(as_json: bool, form: str = "table", quiet: bool = False) -> Iterator[tuple[Any, Say]]:
    """Yield (console for people, say): `say` shows what takes long, `say("")` clears it; if it is
    to be `quiet`, nothing. Errors and stops end the program here. The console is stderr where
    stdout is for a program.
    """
    from harness.console import PlainConsole, before_bars
    from harness.live.speaker import Speaker

    streams.protect()
    say = Speaker(PlainConsole(stderr=True))
    before_bars(say.stop)

    class _Console(PlainConsole):
        def print(self, *words: Any, **how: Any) -> None:
            """Clear what was said first: a spinner would go on turning in the middle of a line."""
            say.stop()
            super().print(*words, **how)

        def news(self, words: Any) -> None:
            """Print what has come so far, unless nobody wants to hear it before the end."""
            if not board.is_quiet():
                self.print(words)

    console = _Console(stderr=as_json or form != "table", soft_wrap=False)

    with stopping.listening(), board.quiet(quiet):
        try:
            _check_form(as_json, form)
            _check_names()
            yield console, say
        except (typer.Exit, typer.Abort):
            raise
        except (Exception, KeyboardInterrupt) as fault:
            say("")
            raise typer.Exit(_ended_by(fault)) from None
        finally:
            say.stop()


def _ended_by(fault: BaseException) -> int:
    """Say what ended the command; return the exit code. A bug of ours is a sentence as well, and
    never the exit code of a verdict.
    """
    if isinstance(fault, KeyboardInterrupt):
        tell("interrupted")
        return stopping.STOPPED
    if isinstance(fault, HarnessError):
        tell(f"error: {fault}")
        return stopping.STOPPED if stopping.heard() else fault.exit_code
    if os.environ.get("TOUCHSTONE_DEBUG"):
        raise fault
    if stopping.heard():  # a library has made another exception of it
        tell(f"interrupted ({reason(fault)})")
        return stopping.STOPPED
    if (short := of_the_machine(fault)) is not None:
        tell(f"error: {short}")
        return short.exit_code
    words = f"{type(fault).__name__}: {shown(str(fault), _LONGEST)}"
    tell(f"error: unexpected {words}. This is a bug; TOUCHSTONE_DEBUG=1 shows where.")
    return RunBroke.exit_code


def _check_form(as_json: bool, form: str) -> None:
    if form not in FORMATS:
        raise unknown("--format", form, FORMATS)
    if as_json and form != "table":
        raise BadInput(
            "--json",
            f"--format {form} is given too",
            "expected one of them, since both write to stdout",
            "Leave one out.",
        )


def _check_names() -> None:
    """Refuse names that are no text here. A file's name may be any bytes, and in a locale like C
    Python takes no letter beyond ASCII for text; what we write is text.
    """
    words = sys.argv[1:]
    with suppress(OSError):  # the folder that we are in was deleted
        words = [*words, os.getcwd()]
    for word in words:
        if any("\ud800" <= letter <= "\udfff" for letter in word):
            doing = f"reading the name {ascii(word)[1:-1]}"
            found = f"it is not text in {sys.getfilesystemencoding()}"
            todo = "Set PYTHONUTF8=1 if it is UTF-8, else rename it."
            raise BadInput(doing, found, "expected names in UTF-8", todo)


def put(
    form: str,
    tables: Callable[[], Sequence[Table]],
    for_people: Callable[[], Sequence[Table]] | None = None,
) -> None:
    """Write tables to stdout as CSV or Markdown, and nothing if people have seen them. In Markdown
    they may be others than in CSV. Raises RunBroke where stdout does not take them.
    """
    if form == "table":
        return
    from reports.blocks import csv_text, markdown

    text = ""
    with noted(f"table as {form}"):
        is_csv = form == "csv"
        text = csv_text(tables()) if is_csv else markdown((for_people or tables)())
    if why := streams.put(text):
        raise _not_taken(f"--format {form}", why)


def show_run(
    show: Callable[..., None], result: dict[str, Any], folder: Path, console: Any, form: str
) -> None:
    """Draw the screen of a run. If that fails, the exit code stays: the verdict is known."""
    try:
        show(result, folder, console, tables=form == "table")
    except Exception as fault:
        plain = f"{result['status']}  {result['scenario']}: {result['status_reason']}"
        print(shown(plain, _LONGEST), file=sys.stderr if console.stderr else sys.stdout)
        tell(f"note: no more on the screen ({reason(fault)}); see {folder}")


def finish(value: dict[str, Any], as_json: bool, code: int) -> None:
    """Print the object if asked for, and end with the exit code of the verdict; with 4 if stdout
    does not take the object. A reader who has left changes nothing.
    """
    stopping.over()
    if as_json and (why := streams.put(json.dumps(value, separators=(",", ":")) + "\n")):
        error = _not_taken("--json", why, str(value.get("status", "")))
        tell(f"error: {error}")
        raise typer.Exit(error.exit_code)
    raise typer.Exit(code)


def _not_taken(what: str, why: str, verdict: str = "") -> RunBroke:
    kept = "whatever was written to files stays"
    known = f"the verdict is {verdict}, and {kept}" if verdict else kept
    return RunBroke(f"writing {what} to stdout", why, known, "Send stdout somewhere else.")
