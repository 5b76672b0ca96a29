"""Which console and which progress bar do people read, whatever strangers wrote into names and
reasons?

rich takes "[/x]" for markup and ":bomb:" for an emoji, and sends on what escape sequences do. This
console takes every text as it is and shows what has no look of its own (`shown`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from harness.kernel.process import board
from harness.kernel.texts import on_one_line, shown


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
    """Show a progress bar on stderr, if somebody looks at it; it hears how much is done."""
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn
    from rich.progress import TimeRemainingColumn as Left

    console = Console(stderr=True)
    is_hidden = board.is_quiet() or not console.is_terminal
    words = TextColumn("{task.description}", markup=False)
    columns = (words, BarColumn(), TaskProgressColumn(), Left())
    with Progress(*columns, console=console, transient=True, disable=is_hidden) as bars:
        task = bars.add_task(on_one_line(what), total=total)
        yield lambda done: bars.update(task, completed=done)
