"""Had the system under test the processors to itself? Else the times measured are of its neighbours
too.

While a thread of the system is ready and waits for a processor, its work stands still and the clock
does not. Threads of one program wait for each other as well (two threads on one core), which is the
system's own business, so a wait counts only as far as other programs used processors meanwhile. The
share of the time with a query open that was lost so says how much of a latency may be theirs: with
a share of one half it may be half of it.

Up to BUSY_SHARE the run stands, and from NOTED_SHARE on a note says so: a core that two programs
want gives each a half, and a quick run on a laptop is worth having. A profile of MLPerf asks for a
machine of one's own. A limit that the system would have kept alone, as far as anybody can tell, is
UNDECIDED.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from harness.kernel.log import RunLog
from harness.kernel.types import NEVER, Verdict
from harness.kernel.words.figure import number
from scenarios import uncertainty

RULE = "foreign_load"
BUSY_SHARE, OFFICIAL_SHARE, NOTED_SHARE = 0.60, 0.10, 0.10
LEAST_S = 1.0  # of waiting: in less, a few turns of another program decide
_REMEDY = "stop the other programs on this machine, then run again"


def foreign_load(load: Mapping[str, Any], log: RunLog, is_official: bool) -> Verdict:
    """Judge the share of the time that others took from the system."""
    if not load:
        why = "this system does not tell who waited for a processor"
        return Verdict(RULE, "SKIPPED", detail=why)
    share, most = lost_share(load, log), OFFICIAL_SHARE if is_official else BUSY_SHARE
    is_quiet = share <= most
    if not is_quiet and _lost_s(load) < LEAST_S:
        why = f"{_words(load)}: too little to tell"
        return Verdict(RULE, "SKIPPED", detail=why)
    return Verdict(
        rule=RULE,
        status="PASS" if is_quiet else "FAIL",
        measured=100 * share,
        limit=100 * most,
        unit="%",
        detail=_words(load),
        remedy="" if is_quiet else _REMEDY,
        margin=1 - share / most,
    )


def certain(verdicts: Sequence[Verdict], load: Mapping[str, Any], log: RunLog) -> list[Verdict]:
    """Return the conditions; a latency limit that only the neighbours may have broken is
    UNDECIDED.
    """
    if not is_busy(load, log):
        return list(verdicts)
    rest = 1 - lost_share(load, log)
    return [_certain(verdict, rest) for verdict in verdicts]


def is_busy(load: Mapping[str, Any], log: RunLog) -> bool:
    """Tell whether others took enough time to be worth a word."""
    return bool(load) and _lost_s(load) >= LEAST_S and lost_share(load, log) > NOTED_SHARE


def _certain(verdict: Verdict, rest: float) -> Verdict:
    measured, limit = verdict.measured, verdict.limit
    is_about_limit = verdict.over is not None and verdict.rule not in uncertainty.OF_THE_DRIVER
    is_broken = verdict.status == "FAIL" and verdict.unit == "ms" and is_about_limit
    if not is_broken or measured is None or limit is None or measured * rest > limit:
        return verdict
    alone = f"without other programs it may be as little as {number(measured * rest)} ms"
    detail = "; ".join(filter(None, (verdict.detail, alone)))
    return replace(verdict, status="UNDECIDED", detail=detail, remedy=_REMEDY)


def note(load: Mapping[str, Any], log: RunLog) -> list[str]:
    """Say that figures are those of a busy machine, where a run stands in spite of it."""
    share = busy_share(load, log)
    return [] if share is None else [sentence([share])]


def busy_share(load: Mapping[str, Any], log: RunLog) -> float | None:
    """Return the share that is worth a word; None where there is none."""
    return lost_share(load, log) if is_busy(load, log) else None


def sentence(shares: Sequence[float]) -> str:
    """Say how much others took from a run, or of several from the least to the most."""
    low, high = (f"{100 * end:.0f}" for end in (min(shares), max(shares)))
    took = low if low == high else f"{low} to {high}"
    why = f"others took {took} % of the time that the system needed a processor for"
    return f"the machine was busy: {why}, so latencies may be up to as much too long"


def lost_share(load: Mapping[str, Any], log: RunLog) -> float:
    """Return the share of the time with a query open in which the system waited for a processor
    that other programs, or other machines, had.
    """
    open_s = _open_s(log)
    return min(_lost_s(load) / open_s, 1.0) if open_s else 0.0


def _lost_s(load: Mapping[str, Any]) -> float:
    waited_s = load.get("sut_wait_s", load.get("driver_wait_s", 0.0))
    foreign_s = load["foreign_cpus"] * load["wall_s"]
    stolen_s = load["steal_cpus"] / load["cpus"] * load["wall_s"]
    return float(min(waited_s, foreign_s) + stolen_s)


def _open_s(log: RunLog) -> float:
    """Return for how long at least one query was open."""
    ended = log.done_ns != NEVER
    begins, ends = log.issued_ns[ended], log.done_ns[ended]
    order = np.argsort(begins, kind="stable")
    begins, ends = begins[order], np.maximum.accumulate(ends[order])
    before = np.concatenate(([0], ends[:-1])) if len(ends) else ends
    return float(np.maximum(ends - np.maximum(begins, before), 0).sum()) / 1e9


def _words(load: Mapping[str, Any]) -> str:
    waited_s = load.get("sut_wait_s", load.get("driver_wait_s", 0.0))
    words = (
        f"others kept {load['foreign_cpus']:.2g} of {load['cpus']} processors busy; the system"
        f" waited {waited_s:.3g} of {load['wall_s']:.3g} s"
    )
    stolen = load["steal_cpus"]
    return f"{words}; {stolen:.2g} were stolen by other machines" if stolen > 0.01 else words
