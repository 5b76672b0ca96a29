"""Which console do people read, whatever strangers wrote into names and reasons?

rich takes "[/x]" for markup and ":bomb:" for an emoji, and sends on what escape sequences do. This
console takes every text as it is and shows what has no look of its own (`shown`).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from harness.kernel.texts import shown


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
