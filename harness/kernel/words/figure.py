"""What is a figure of a run? Its name, unit and source, declared once for every table.

    Figure("usd_per_hour", "cost", lambda result: 2.5, "USD/h", "lower")

`reports.figures` has the table of them. `number` and `size` write a value for people; CSV files and
JSON objects get it as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

Result = Mapping[str, Any]  # result.json
Better = Literal["lower", "higher", ""]


def number(value: float | int | None) -> str:
    """Write four significant digits without exponents; a dash for "unknown"."""
    if value is None:
        return "-"
    if isinstance(value, int) or float(value).is_integer():
        return f"{int(value):,}"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.4g}" if abs(value) >= 1e-3 else f"{value:.1g}"


def size(num_bytes: float) -> str:
    """Write a number of bytes in binary units: 1.5 GiB."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(num_bytes) < 1024 or unit == "GiB":
            return f"{num_bytes:.4g} {unit}"
        num_bytes /= 1024
    return ""


def short_count(count: float) -> str:
    """Write a count as models are named: 7.16k, 135M, 1.71B."""
    for unit, letter in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if count >= 0.9995 * unit:
            return f"{count / unit:.3g}{letter}"
    return f"{count:.0f}"


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure of a run, in `unit`; `write` makes the text for people, with the unit where
    `unit` is empty.

    A `compared` figure also has a row in comparisons. `brief` is how it reads in the line of its
    group on a terminal ("{} scheduled"); "" keeps it out of that line, and without a `brief` it has
    a line of its own.
    """

    name: str  # its key in rows and CSV files, unit last: ttft_p90_ms
    label: str
    read: Callable[[Result], Any]
    unit: str = ""
    better: Better = ""
    write: Callable[[Any], str] = number
    group: str = "Other"
    compared: bool = False
    brief: str | None = None

    def value(self, result: Result) -> Any:
        """Return its value, or None where the result lacks what it is made from."""
        try:
            return self.read(result)
        except (ArithmeticError, LookupError, TypeError, ValueError):
            return None

    def text(self, value: Any) -> str:
        """Write a known value with its unit."""
        return f"{self.write(value)} {self.unit}".strip()


def at(*path: str) -> Callable[[Result], Any]:
    """Return a reader of one field: at("throughput", "tokens_per_s")."""

    def read(result: Result) -> Any:
        found: Any = result
        for key in path:
            found = found.get(key)
            if found is None:
                return None
        return found

    return read
