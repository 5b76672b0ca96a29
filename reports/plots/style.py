"""How is a picture drawn? The style, the canvas, the axes and the SVG that all pictures share."""

from __future__ import annotations

import html
import io
import math
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import matplotlib
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

BLUE, ORANGE, TEAL = "#3d8bd9", "#e08a1e", "#1fa187"
PURPLE, RED, GREY = "#9a6bd6", "#e5484d", "#858b94"


WIDE_IN, NARROW_IN = 11.2, 4.4  # of a picture across a whole page, and of the same on a phone


WIDTH_IN = 5.6
LETTER_PT = 5.6  # about how wide a letter is


_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "font.family": ["DejaVu Sans"],
    "font.size": 9,
    "axes.edgecolor": GREY,
    "axes.labelcolor": GREY,
    "axes.titlecolor": GREY,
    "axes.titlesize": 9,
    "axes.titlelocation": "left",
    "axes.linewidth": 0.8,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "text.color": GREY,
    "grid.color": GREY,
    "grid.alpha": 0.22,
    "grid.linewidth": 0.6,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
    "legend.frameon": False,
    "legend.handlelength": 1.4,
    "legend.columnspacing": 1.2,
    "lines.linewidth": 1.5,
    "text.parse_math": False,  # a dollar sign in a name is a dollar sign
    "path.simplify": False,  # it would drop the dots, and the runs are thinned already
}


def at_both_widths(draw: Callable[..., str], *data: Any) -> str:
    """Draw a picture twice: across a wide page, and for a phone, where its text would be too small
    to read. The page's style shows one of them.
    """
    wide, narrow = (draw(*data, width_in=width) for width in (WIDE_IN, NARROW_IN))
    return wide and f'<div class="roomy">{wide}</div><div class="narrow">{narrow}</div>'


@contextmanager
def drawing(title: str, height_in: float = 2.8, width_in: float = WIDTH_IN) -> Iterator[Figure]:
    """Yield an empty figure in our style, whatever the user's matplotlibrc says. The title is for
    those who cannot see it.
    """
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        # Ids differ between the pictures of one page.
        matplotlib.rcParams.update({**_STYLE, "svg.hashsalt": f"{title} {width_in}"})
        figure = Figure((width_in, height_in), layout="constrained")
        figure.set_label(title)
        yield figure


def svg(figure: Figure) -> str:
    """Return text that may stand inside HTML: without prologue, metadata and unused ids."""
    text = _saved(figure)
    text = text[text.index("<svg") :]
    for pattern, to in _CLEANING:
        text = re.sub(pattern, to, text)
    name = html.escape(str(figure.get_label()))
    return text.replace("<svg ", f'<svg role="img" aria-label="{name}" ', 1)


def _saved(figure: Figure) -> str:
    out = io.StringIO()
    no_metadata = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    figure.savefig(out, format="svg", metadata=no_metadata)
    return out.getvalue()


_CLEANING = (
    (r"(?s)<!--.*?-->", ""),
    (r"(?s)<metadata>.*?</metadata>", ""),
    (r'<g id="[^"]*">', "<g>"),
    (r"\s*\n\s*", "\n"),
)


def plain(axis: Axis) -> None:
    """Write ticks as 1,000 and 0.5: no powers of ten, no offsets."""

    def tick(value: float, _: Any) -> str:
        return f"{value:,.0f}" if abs(value) >= 1e5 else f"{value:,.6g}"

    axis.set_major_formatter(FuncFormatter(tick))


def legend(axes: Axes, unit: str) -> None:
    """Put the unit of the vertical axis above it and the legend on the same line, where neither
    ever covers a point; a legend too long for that goes below the picture.
    """
    axes.set_title(unit)
    handles, labels = axes.get_legend_handles_labels()
    figure = axes.get_figure(root=True)
    if not labels or figure is None:
        return
    needed_pt = LETTER_PT * (len(unit) + sum(len(label) + 5 for label in labels))
    if needed_pt < 72 * figure.get_figwidth():
        axes.legend(loc="lower right", bbox_to_anchor=(1.0, 0.99), ncols=5, borderaxespad=0.2)
    else:
        figure.legend(handles, labels, loc="outside lower center", ncols=2)


def log_axis(axes: Axes, which: Literal["x", "y"], values: Sequence[float], room: float) -> None:
    """Make an axis logarithmic, with plain round ticks whatever the span."""
    low, high = min(values), max(values)
    room = max(room, (high / low) ** 0.06)
    axes.set(**{f"{which}scale": "log", f"{which}lim": (low / room, high * room)})
    axis = axes.xaxis if which == "x" else axes.yaxis
    axis.set_major_locator(FixedLocator(_round_values(low / room, high * room)))
    axis.set_minor_locator(NullLocator())
    plain(axis)


def _round_values(low: float, high: float) -> list[float]:
    """Return three to eight round values between two positive ones, evenly spread on a logarithmic
    axis where they span decades.
    """
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for steps in ((1.0,), (1.0, 3.0), (1.0, 2.0, 5.0)):
        values = [10.0**k * step for k in decades for step in steps]
        inside = [value for value in values if low <= value <= high]
        if len(inside) >= 3:
            return inside
    ticks = MaxNLocator(6, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high)
    return [float(value) for value in ticks if low <= value <= high]
