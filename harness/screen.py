"""Where words for people go, and where tables for programs: stderr and stdout, as --json and
--format say. Any terminal will do, also one that knows no letters but ASCII.

What cannot be written is replaced rather than an error: a middle dot by a hyphen, an arrow by ->,
an unknown letter by a question mark. The boxes around panels are rich's own affair.
"""

from __future__ import annotations

import codecs
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from harness.engine.pieces import noted, reason
from harness.kernel.errors import BadInput, HarnessError, unknown
from harness.kernel.texts import on_one_line, shown

if TYPE_CHECKING:
    from harness.kernel.protocols import Say
    from reports.blocks import Table

FORMATS = ("table", "csv", "markdown")

_INSTEAD = {
    "·": "-", "–": "-", "−": "-", "→": "->", "…": "...", "≤": "<=", "≥": ">=", "×": "x", "µ": "u",
    "“": '"', "”": '"', "‘": "'", "’": "'", "│": "|", "─": "-", "Δ": "d", "⟨": "<", "⟩": ">",
}  # fmt: skip
_NAME = "touchstone.plain"
_LONGEST = 2_000  # characters of one thing that is said


def instead(text: str) -> str:
    """Return the text in ASCII, as near as it can be."""
    return "".join(c if c.isascii() else _INSTEAD.get(c, "?") for c in text)


def open_streams() -> None:
    """Point what is closed of stdin, stdout and stderr (`>&-`, some daemons) to nothing, before a
    file or socket of ours gets its number.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number, which is this one
            mode = "w" if number else "r"
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115


def tolerate() -> None:
    """Let stdout and stderr take every letter from now on, whatever their encoding."""
    codecs.register_error(_NAME, _replace)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            with suppress(ValueError):  # closed already
                stream.reconfigure(errors=_NAME)


def _replace(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return instead(error.object[error.start : error.end]), error.end


@contextmanager
def people(as_json: bool, form: str = "table") -> Iterator[tuple[Any, Say]]:
    """Yield (console for people, say): `say` shows what takes long, `say("")` clears it. Errors end
    the program here. The console is stderr where stdout is for a program.
    """
    from rich.text import Text

    from harness.console import PlainConsole

    tolerate()
    status_console = PlainConsole(stderr=True)
    status = status_console.status("")

    class _Console(PlainConsole):
        def print(self, *words: Any, **how: Any) -> None:
            """Clear what was said first: a spinner would go on turning in the middle of a line."""
            status.stop()
            super().print(*words, **how)

        def on_broken_pipe(self) -> None:
            """Keep the verdict's exit code when the reader leaves early, as `| head -1` does."""
            self.quiet = True
            _forget_stdout()

    console = _Console(stderr=as_json or form != "table", soft_wrap=False)

    def say(text: str) -> None:
        status.stop()
        text = on_one_line(text, _LONGEST)
        if text and status_console.is_terminal:
            status.update(Text(text))  # of a str it would take brackets for markup
            status.start()
        elif text:
            print(text, file=sys.stderr, flush=True)

    try:
        _check_form(as_json, form)
        _check_names()
        yield console, say
    except HarnessError as error:
        say("")
        print(f"error: {error}", file=sys.stderr)
        raise typer.Exit(error.exit_code) from None
    except KeyboardInterrupt:
        say("")
        print(
            "interrupted outside the timed part; a run that was measured is kept: see harness"
            " report",
            file=sys.stderr,
        )
        raise typer.Exit(130) from None
    except (BrokenPipeError, typer.Exit, typer.Abort):
        raise
    except (
        Exception
    ) as fault:  # a bug of ours is still a sentence, and never the exit code of a verdict
        say("")
        if os.environ.get("TOUCHSTONE_DEBUG"):
            raise
        words = f"{type(fault).__name__}: {shown(str(fault), _LONGEST)}"
        print(
            f"error: unexpected {words}. This is a bug; TOUCHSTONE_DEBUG=1 shows where.",
            file=sys.stderr,
        )
        raise typer.Exit(4) from None
    finally:
        status.stop()


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
    they may be others than in CSV.
    """
    if form == "table":
        return
    from reports.blocks import csv_text, markdown

    with noted(f"table as {form}"):
        is_csv = form == "csv"
        text = csv_text(tables()) if is_csv else markdown((for_people or tables)())
        try:
            sys.stdout.write(text)
            sys.stdout.flush()
        except (OSError, ValueError):
            _forget_stdout()


def show_run(
    show: Callable[..., None], result: dict[str, Any], folder: Path, console: Any, form: str
) -> None:
    """Draw the screen of a run. If that fails, the exit code stays: the verdict is known."""
    try:
        show(result, folder, console, tables=form == "table")
    except BrokenPipeError:
        raise
    except Exception as fault:
        plain = f"{result['status']}  {result['scenario']}: {result['status_reason']}"
        print(shown(plain, _LONGEST), file=sys.stderr if console.stderr else sys.stdout)
        print(
            f"note: no more on the screen ({reason(fault)}); see {shown(str(folder))}",
            file=sys.stderr,
        )


def finish(value: dict[str, Any], as_json: bool, code: int) -> None:
    """Print the object if asked for; whoever stopped reading does not change the verdict."""
    try:
        if as_json:
            sys.stdout.write(json.dumps(value, separators=(",", ":")) + "\n")
        sys.stdout.flush()
    except (OSError, ValueError):
        _forget_stdout()
    raise typer.Exit(code)


def _forget_stdout() -> None:
    """Keep what is left in the buffer from failing at exit: nobody reads any more."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.__stdout__.fileno() if sys.__stdout__ else 1)
