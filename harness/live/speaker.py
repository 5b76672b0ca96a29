"""What does a person see while something takes long? On a terminal where the study stands (if there
is one) above what is being done now, drawn four times a second; elsewhere a plain line each.

`speaker("")` clears it and ends the thread that draws: so a run begins its timed part, in which the
helper process draws (`harness.engine.telemetry`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.console import Console, ConsoleOptions
from rich.live import Live
from rich.spinner import Spinner
from rich.text import Text

from harness.kernel.process import board
from harness.kernel.process.streams import tell
from harness.kernel.texts import on_one_line

_LONGEST = 2_000  # characters of one thing that is said
_A_SECOND = 4  # drawings


class Speaker:
    """Shows one thing at a time on a console of stderr."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live: Live | None = None
        self.is_drawing = console.is_terminal  # the board, above what is said

    def __call__(self, text: str) -> None:
        """Show it instead of what was shown; clear the screen of it if it is empty."""
        if not text or board.is_quiet():
            self.stop()
            return
        text = on_one_line(text, _LONGEST)
        if not self.is_drawing:
            tell(text)
            return
        self._show(_Shown(text))

    def stop(self) -> None:
        """Clear what is shown; nothing draws from now on."""
        live, self._live = self._live, None
        if live is not None:
            live.stop()

    def _show(self, shown: _Shown) -> None:
        if self._live is not None:
            self._live.update(shown)
            return
        self._live = Live(
            shown, console=self._console, refresh_per_second=_A_SECOND, transient=True,
            redirect_stdout=False, redirect_stderr=False,
        )  # fmt: skip
        self._live.start(refresh=True)


class _Shown:
    """Where the study stands, and what is being done now."""

    def __init__(self, text: str) -> None:
        self._spinner = Spinner("dots", Text(text))  # of a str it would take brackets for markup

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Any]:
        yield from headlines()
        yield self._spinner


def headlines() -> Iterator[Text]:
    """Yield a line of where the study stands, and one for each of several cells at once."""
    if (found := board.now()) is None:
        return
    note, now_s = found
    yield _line(board.headline(note, now_s))
    if len(note.running) > 1:
        yield from (_line([(words, "")]) for words in board.below(note, now_s))


def _line(parts: list[board.Part]) -> Text:
    return Text.assemble(*parts, no_wrap=True, overflow="ellipsis")
