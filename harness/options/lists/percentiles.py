"""Which percentiles of each latency are shown? --percentiles 50,99,99.99, or a list in a TOML file.

Four decimals are what their names have room for: p99.9999.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

from harness.kernel.errors import BadInput
from harness.options.kinds import Read

_FINE = "numbers above 0 and below 100 with at most four decimals, such as 50,99,99.99"


def parse_percentiles(value: object) -> tuple[float, ...]:
    """Return percents in ascending order, each once. Raises ValueError."""
    parts: object = value.split(",") if isinstance(value, str) else value
    if not isinstance(parts, Iterable) or any(isinstance(part, bool) for part in parts):
        raise ValueError(_FINE)
    try:
        percents = sorted({float(part) for part in parts})
    except (TypeError, ValueError):
        raise ValueError(_FINE) from None
    if not all(0 < percent < 100 and percent == round(percent, 4) for percent in percents):
        raise ValueError(_FINE)
    return tuple(percents)


Percentiles = Annotated[tuple[float, ...], Read(parse_percentiles)]


def percentiles_of(text: str | None) -> tuple[float, ...]:
    """Return the percents of a flag that is no run's setting; none if it is absent. Raises
    BadInput.
    """
    if text is None:
        return ()
    try:
        return parse_percentiles(text)
    except ValueError:
        raise BadInput("--percentiles", f"it is {text!r}", f"it must be {_FINE}") from None
