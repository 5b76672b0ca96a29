"""Which console and which progress bar do people read, whatever strangers wrote into names and
reasons?

rich takes "[/x]" for markup and ":bomb:" for an emoji, and sends on what escape sequences do. This
console takes every text as it is and shows what has no look of its own (`shown`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from threading import Lock
from typing import TYPE_CHECKING, Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from harness.kernel.process import board
from harness.kernel.process.streams import tell
from harness.kernel.texts import on_one_line, shown

if TYPE_CHECKING:
    from rich.progress import Progress

_PAUSE_S = 10.0  # between two plain lines
_BAR_WIDTH, _WORDS_WIDTH = 20, 40  # of the 80 columns of a terminal


class PlainConsole(Console):
    """A rich console without markup, emoji codes and highlighting."""

    def __init__(self, **how: Any) -> None:
        super().__init__(markup=False, emoji=False, highlight=False, **how)

    def render_str(self, text: str, **how: Any) -> Text:
        """Return a text of the screen; what is no Text yet is measured and printed as this."""
        return super().render_str(shown(text), **how)

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """Yield the segments of what is to be printed; every Text passes here, also of a cell."""
        if isinstance(renderable, Text) and shown(renderable.plain) != renderable.plain:
            # the styles of its parts are lost
            renderable = Text(shown(renderable.plain), style=renderable.style, end=renderable.end)
        yield from super().render(renderable, options)


@contextmanager
def bar(what: str, total: int) -> Iterator[Callable[[int], object]]:
    """Show on stderr how far something is; it hears how much is done. On a terminal all bars of
    this process stand on one screen, below one another; elsewhere a plain line comes now and then.
    """
    text = on_one_line(what)
    if board.is_quiet():
        yield lambda done: None
    elif Console(stderr=True).is_terminal:
        with _BARS.shown(text, total) as update:
            yield update
    else:
        yield _Lines(text, total).say


def before_bars(clear: Callable[[], object]) -> None:
    """Call this before the first of some bars is drawn: what else draws has to end, as only one
    screen can be drawn at a time.
    """
    _BARS.clear = clear


class _Bars:
    """The bars that are shown now; threads share one screen."""

    def __init__(self) -> None:
        self.clear: Callable[[], object] = lambda: None
        self._lock = Lock()
        self._screen: Progress | None = None
        self._shown = 0

    @contextmanager
    def shown(self, what: str, total: int) -> Iterator[Callable[[int], object]]:
        with self._lock:
            screen = self._screen = self._screen or self._begun()
            self._shown += 1
            task = screen.add_task(_short(what), total=total)
        try:
            yield lambda done: screen.update(task, completed=done)
        finally:
            with self._lock:
                screen.remove_task(task)
                self._shown -= 1
                if not self._shown:
                    self._screen = None
                    screen.stop()

    def _begun(self) -> Progress:
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn
        from rich.progress import TimeRemainingColumn as Left

        self.clear()
        words = TextColumn("{task.description}", markup=False)
        columns = (words, BarColumn(_BAR_WIDTH), TaskProgressColumn(), Left())
        made = Progress(*columns, console=Console(stderr=True), transient=True)
        made.start()
        return made


def _short(what: str) -> str:
    return what if len(what) <= _WORDS_WIDTH else f"{what[: _WORDS_WIDTH - 1]}…"


_BARS = _Bars()


class _Lines:
    """How far something is, where nobody sees a bar: a line every few seconds."""

    def __init__(self, what: str, total: int) -> None:
        from harness.kernel.clock import monotonic_s  # which `--help` has no use for

        self._what, self._total, self._now_s = what, total, monotonic_s
        self._began_s = self._said_s = monotonic_s()

    def say(self, done: int) -> None:
        """Say it, if nothing was said for a while."""
        now_s = self._now_s()
        if not 0 < done < self._total or now_s - self._said_s < _PAUSE_S:
            return
        self._said_s = now_s
        left = board.span((now_s - self._began_s) * (self._total - done) / done)
        tell(f"{self._what}: {100 * done // self._total} %, about {left} left")
