"""Was it the system that was measured, or the driver, the client, the neighbours, the heat?

The run's own conditions judge all of these; a doubt is raised earlier, where one of them took a
share of the figures that a reader should know of.
"""

from __future__ import annotations

from collections.abc import Iterator

from harness.engine.referee import client
from harness.kernel.types import Verdict
from harness.kernel.words.figure import number
from harness.result import quiet
from harness.result.doubts.doubt import Doubt, Known, Severity
from scenarios import uncertainty

_MOST_ERROR = 0.5  # of the limit of the driver's error
_MOST_CLIENT = 0.8  # of the limit of the client
_MOST_THROTTLED = 1.0  # percent of the time
_REMEDIES = {
    "driver": "free a core for the driver, or lower the rate",
    "client": "give the client a machine or cores of its own, or lower the rate",
    "busy": "stop the other programs on this machine, then run again",
    "heat": "cool the machine, or lift the limit that brakes it, then run again",
}


def driver_lag(known: Known) -> Iterator[Doubt]:
    """Yield a doubt where the driver's own delays are more than half of what is allowed."""
    for verdict in known.verdicts:
        if verdict.rule == uncertainty.RULE and _is_near(verdict, _MOST_ERROR):
            words = f"the driver itself was late: {verdict.detail or _share(verdict)}"
            yield _of("driver_lag", verdict, words, _REMEDIES["driver"])


def client_limit(known: Known) -> Iterator[Doubt]:
    """Yield a doubt where the client is close to what it can take."""
    for verdict in known.verdicts:
        if verdict.rule == client.RULE and _is_near(verdict, _MOST_CLIENT):
            words = f"the client was near its own limit: {verdict.detail}"
            yield _of("client_limit", verdict, words, _REMEDIES["client"])


def busy_machine(known: Known) -> Iterator[Doubt]:
    """Yield a doubt where other programs took processors that the system needed."""
    if quiet.is_busy(known.load, known.log):
        share = quiet.lost_share(known.load, known.log)
        words = (
            f"other programs took {100 * share:.0f} % of the time in which the system needed a"
            " processor; latencies may be up to as much too long"
        )
        severity: Severity = "serious" if share > 0.25 else "minor"
        yield Doubt(
            "busy_machine", severity, words, _REMEDIES["busy"], (), {"lost_percent": 100 * share}
        )


def throttled(known: Known) -> Iterator[Doubt]:
    """Yield a doubt for each GPU whose clocks heat or a brake held down."""
    for gpu in known.gpus:
        percent = gpu.get("throttled_percent") or 0.0
        if percent > _MOST_THROTTLED:
            words = f"GPU {gpu.get('gpu')} was held down by heat or a brake {percent:.3g} % of the"
            severity: Severity = "serious" if percent > 10 else "minor"
            figures = {"throttled_percent": percent}
            yield Doubt("throttled", severity, f"{words} time", _REMEDIES["heat"], (), figures)


def _is_near(verdict: Verdict, most: float) -> bool:
    """Is what was measured more than this share of the limit?"""
    known = verdict.measured is not None and bool(verdict.limit)
    return known and (verdict.measured or 0.0) > most * (verdict.limit or 1.0)


def _share(verdict: Verdict) -> str:
    return f"{number(verdict.measured)} {verdict.unit} of the judged figures"


def _of(name: str, verdict: Verdict, words: str, remedy: str) -> Doubt:
    severity: Severity = "serious" if verdict.status == "FAIL" else "minor"
    figures = {"measured_percent": verdict.measured or 0.0, "limit_percent": verdict.limit or 0.0}
    return Doubt(name, severity, words, remedy, (), figures)
