"""What makes the result of a run shaky? Each kind of doubt in turn, the serious ones first.

A doubt that cannot be made is missing and named, like every figure (`harness.engine.pieces`). Of
clean runs at most one in twenty raises any given kind (`python -m tests.bench doubts`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from harness.engine.pieces import Pieces
from harness.result.doubts.doubt import Doubt, Known
from harness.result.doubts.drift import drift
from harness.result.doubts.machine import busy_machine, client_limit, driver_lag, throttled
from harness.result.doubts.modes import two_kinds
from harness.result.doubts.samples import few_samples
from harness.result.doubts.starts import warm_cache, warm_up

KINDS: dict[str, Callable[[Known], Iterator[Doubt]]] = {
    "few_samples": few_samples,
    "driver_lag": driver_lag,
    "busy_machine": busy_machine,
    "throttled": throttled,
    "client_limit": client_limit,
    "drift": drift,
    "two_kinds": two_kinds,
    "warm_up": warm_up,
    "warm_cache": warm_cache,
}


def doubts(known: Known, pieces: Pieces | None = None) -> list[Doubt]:
    """Return the doubts of a run in performance mode; of another none, as nothing is timed."""
    if known.settings.mode != "performance" or not known.log.completed.any():
        return []
    pieces = pieces or Pieces()
    found = list[Doubt]()
    for name, kind in KINDS.items():
        found += pieces.make("doubt", name, partial(_all_of, kind, known), [])
    return sorted(found, key=lambda doubt: doubt.severity != "serious")


def _all_of(kind: Callable[[Known], Iterator[Doubt]], known: Known) -> list[Doubt]:
    return list(kind(known))
