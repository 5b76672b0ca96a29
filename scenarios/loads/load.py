"""What does every load say of itself? The base of the files beside this one."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

from harness.kernel.entries import Loop
from harness.kernel.types import Int64s, Query, QuerySample, RunSettings
from scenarios.loadgen.sample_order import Schedule, Shape, make_schedule

Arrive = Callable[[int], Int64s]  # the moments of the first n queries, in ns; n more, same start


class Load:
    """An arrival process at the rate of --target-qps, unless a subclass says otherwise.

    `is_rated`: --target-qps says how fast it is. `brings_samples`: what is asked comes with it, so
    that nothing is drawn from the dataset.
    """

    loop: ClassVar[Loop] = "open"
    is_rated: ClassVar[bool] = True
    brings_samples: ClassVar[bool] = False
    slower: ClassVar[str] = "lower --target-qps"  # what makes it lighter
    longer: ClassVar[str] = ""  # what makes a plan longer that its file ends
    users: int = 1  # open queries of a closed loop

    @classmethod
    def read(cls, words: str) -> Load:
        """Return the load that these words ask for. Raises ValueError with what is wrong."""
        if words:
            raise ValueError(f"{words!r} is too much: it takes no words")
        return cls()

    @property
    def has_peak(self) -> bool:
        """Is there a highest rate to search for?"""
        return self.loop == "open" and self.is_rated

    def qps(self, duration_s: float) -> float | None:
        """Return the mean rate that the load itself asks for; None where --target-qps says it."""
        return None

    def arrivals(self, settings: RunSettings) -> Arrive | None:
        """Return when queries come; None for LoadGen's own Poisson process."""
        return None

    def schedule(self, settings: RunSettings, rows: Any = None) -> Schedule:
        """Return every query and its moment. `rows` is what stands in the load's file."""
        arrive = self.arrivals(settings)
        least, least_ns = settings.min_queries, settings.min_duration_ns
        return make_schedule(settings, Shape(1, least, least_ns, poisson=True, arrive=arrive))

    def plan(self, schedule: Schedule, rows: Any = None) -> Iterator[Query]:
        for i, (release, (index,)) in enumerate(schedule.timed_rows()):
            yield Query(i, (QuerySample(i, index),), release)


def number(text: str, what: str, least: float = 0.0, may_be_least: bool = False) -> float:
    """Read a number above `least`. Raises ValueError."""
    try:
        value = float(text)
    except ValueError:
        raise ValueError(f"{text!r} is no number; it stands for the {what}") from None
    is_fine = math.isfinite(value) and (value > least or (may_be_least and value == least))
    if not is_fine or value > 1e8:
        words = "at least" if may_be_least else "above"
        raise ValueError(f"the {what} is {text}: it must be {words} {least:g}, and at most 1e8")
    return value


def length_s(settings: RunSettings, qps: float) -> float:
    """Return how long a rate that changes takes to go from its start to its end: the minimum
    duration, or what the minimum number of queries takes.
    """
    return settings.min_duration_ns / 1e9 or settings.min_queries / qps


def whole_ns(seconds: Any) -> Int64s:
    """Round (n,) seconds to nanoseconds, each from the start: errors do not add up."""
    import numpy as np

    found: Int64s = np.rint(seconds * 1e9).astype(np.int64)
    return found
