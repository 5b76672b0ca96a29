"""Was the client the limit? Workers that ask a server say how busy they were and how late they
stamped (`facts.driver["client"]`).

A worker that is always at work measures itself: in an open loop what comes waits for it, in a
closed one the server waits. How late a read was stamped is sampled against the kernel's own stamps
of what it received, so other programs that keep the workers waiting show in it too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.kernel.types import Verdict
from harness.kernel.words.figure import number

RULE, CLOCKS = "client_limit", "client_clocks"
MOST_BUSY = 80.0  # percent of the time of the busiest worker
_SYNCHRONISE = "synchronise the clocks (NTP or PTP), or use a quieter network to the client"
_REMEDY = "run the client on a machine or cores of its own, or lower the rate"


def client_limit(client: Mapping[str, Any], lag_limit_ns: int) -> Verdict:
    """Judge the busiest worker, and the p99 delay of its stamps by the limit that holds for the
    driver's lag.
    """
    busy, late_us = client.get("busy_percent"), client.get("stamp_delay_p99_us", 0.0)
    if busy is None:
        return Verdict(RULE, "SKIPPED", detail="the workers did not say how busy they were")
    is_late = late_us * 1e3 > lag_limit_ns
    is_limit = busy > MOST_BUSY or is_late
    return Verdict(
        rule=RULE,
        status="FAIL" if is_limit else "PASS",
        measured=busy,
        limit=MOST_BUSY,
        unit="%",
        detail=_words(client, busy, late_us, lag_limit_ns if is_late else 0),
        remedy=_REMEDY if is_limit else "",
        margin=1 - busy / MOST_BUSY,
    )


def client_clocks(client: Mapping[str, Any], lag_limit_ns: int) -> list[Verdict]:
    """Judge how sure the clocks of other machines are that sent and stamped, by the limit that
    holds for the driver's lag: a whole worker's requests may be that late, unnoticed. Nothing
    where this machine sent them itself.
    """
    if not (clocks := client.get("clocks")):
        return []
    worst = max(clocks, key=lambda clock: clock["error_us"])
    error_ms, limit_ms = worst["error_us"] / 1e3, lag_limit_ns / 1e6
    is_unsure = error_ms > limit_ms
    return [
        Verdict(
            rule=CLOCKS,
            status="FAIL" if is_unsure else "PASS",
            measured=error_ms,
            limit=limit_ms,
            unit="ms",
            detail=f"the clock of {worst['host']} is known to {number(error_ms)} ms, of which"
            f" {number(abs(worst['drift_us']) / 1e3)} ms is drift during the run",
            remedy=_SYNCHRONISE if is_unsure else "",
            margin=1 - error_ms / limit_ms,
        )
    ]


def _words(client: Mapping[str, Any], busy: float, late_us: float, limit_ns: int) -> str:
    which = "the worker" if client.get("workers", 1) == 1 else "the busiest worker"
    words = f"{which} was at work {number(busy)} % of the time"
    if not late_us:
        return words
    words += f", its stamps were at most {number(late_us / 1e3)} ms late for 99 % of the reads"
    return words + (f" (limit {number(limit_ns / 1e6)} ms)" if limit_ns else "")
