"""How far did the driver's own delays raise the figures that a run is judged by?

Each is computed twice: from the times as they were stamped, and from a log in which the driver is
never late (`RunLog.without_delays`). The difference is the driver's error. A run is INVALID if it
is more than ERROR_SHARE of what was measured, whatever the limits allow: a driver that is late by
a third of a latency has measured itself. MLPerf grants as much between two runs of the same system
(verify_performance). A condition that only one of the two figures keeps is UNDECIDED.

Below FLOOR_MS nothing is judged: that is what waking up takes, on an idle machine.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

from harness.kernel.log import RunLog
from harness.kernel.protocols import Scenario
from harness.kernel.stats import percentile, percentile_name
from harness.kernel.types import Int64s, RunSettings, Verdict
from harness.kernel.words.figure import number

RULE = "driver_error"
ERROR_SHARE = 0.10
FLOOR_MS = 0.05
OF_THE_DRIVER = ("driver_lag", RULE)
_REMEDY = "free a core for the driver, then run again"


class Judged(NamedTuple):
    """One figure, and what it is without the driver's own delays."""

    name: str
    measured: float
    without: float
    unit: str

    @property
    def error(self) -> float:
        """Return the difference as a share of what was measured."""
        difference = abs(self.measured - self.without)
        is_nothing = self.unit == "ms" and difference <= FLOOR_MS
        return 0.0 if is_nothing or not self.measured else difference / self.measured

    def __str__(self) -> str:
        figures = f"{number(self.measured)} {self.unit}, {number(self.without)} {self.unit}"
        return f"{self.name}: {figures} without the driver's own delays"


def judged_twice(scenario: Scenario, log: RunLog, settings: RunSettings) -> list[Verdict]:
    """Return a scenario's conditions, as far as the driver leaves them certain, and its error;
    the conditions alone where its delays are not known.
    """
    verdicts, without = scenario.judge(log, settings), log.without_delays()
    if without is None:
        return verdicts
    twins = {verdict.rule: verdict for verdict in scenario.judge(without, settings)}
    certain = [_certain(verdict, twins.get(verdict.rule)) for verdict in verdicts]
    return [*certain, driver_error(list(_figures(scenario, log, without, settings)))]


def driver_error(figures: Sequence[Judged]) -> Verdict:
    """Judge the worst of the figures; without any there is nothing to raise."""
    if not figures:
        return Verdict(RULE, "SKIPPED", detail="no sample has a latency")
    worst = max(figures, key=lambda figure: figure.error)
    is_small = worst.error <= ERROR_SHARE
    return Verdict(
        rule=RULE,
        status="PASS" if is_small else "FAIL",
        measured=100 * worst.error,
        limit=100 * ERROR_SHARE,
        unit="%",
        detail=str(worst),
        remedy="" if is_small else _REMEDY,
        margin=1 - worst.error / ERROR_SHARE,
    )


def _figures(
    scenario: Scenario, log: RunLog, without: RunLog, settings: RunSettings
) -> Iterator[Judged]:
    """Yield the scenario's headline, and the judged percentile of each latency."""
    measured, other = (scenario.result(each, settings) for each in (log, without))
    if measured.value is not None and other.value is not None:
        yield Judged(measured.name, measured.value, other.value, measured.unit)
    p = settings.percentile
    for (name, values_ns), (_, others_ns) in zip(_latencies(log), _latencies(without), strict=True):
        value_ns, other_ns = percentile(values_ns, p), percentile(others_ns, p)
        if value_ns is not None and other_ns is not None:
            yield Judged(f"{percentile_name(p)} {name}", value_ns / 1e6, other_ns / 1e6, "ms")


def _latencies(log: RunLog) -> list[tuple[str, Int64s]]:
    done = log.completed
    return [
        ("TTFT", log.ttft_ns[done & (log.first_ns >= 0)]),
        ("TPOT", log.tpot_ns),
        ("latency", log.latency_ns[done]),
    ]


def is_doubtful(verdict: Verdict, without: Verdict) -> bool:
    """Tell whether a condition on a limit holds only with, or only without, the driver's delays.
    Of conditions on length and number these decide nothing.
    """
    is_about_limit = verdict.over is not None and verdict.rule not in OF_THE_DRIVER
    return is_about_limit and {verdict.status, without.status} == {"PASS", "FAIL"}


def _certain(verdict: Verdict, without: Verdict | None) -> Verdict:
    if without is None or not is_doubtful(verdict, without):
        return verdict
    figure = f"{number(without.measured)} {without.unit}"
    if verdict.measured == without.measured:
        figure = f"{without.over} over the limit"
    why = f"without the driver's own delays it would be {figure}: {without.status}"
    detail = "; ".join(filter(None, (verdict.detail, why)))
    return replace(verdict, status="UNDECIDED", detail=detail, remedy=_REMEDY)
