"""Which rates does a search try? --search sequential (ours), or loadgen (LoadGen's own).

Each is asked for the next step after those that were measured, and decides from their rows alone;
so a search goes on where it was stopped. A step of ours has arrivals of its own (another seed of
the schedule): the same ones, stretched, would be lucky or unlucky at every rate.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple, Protocol

from harness.kernel.types import RunSettings
from harness.options.settings import RunConfig
from harness.result import search
from harness.result.capacity import evidence
from scenarios.loadgen import find_peak
from scenarios.peak import verdict
from scenarios.peak.search import FULL, Over, known, next_step
from scenarios.peak.spent import queries_of
from scenarios.peak.watch import Watch, rule

Row = dict[str, Any]


class Step(NamedTuple):
    """A run that is to be made. A `purpose` is one of our own search's."""

    settings: RunSettings
    purpose: str = ""

    @property
    def planned(self) -> int:
        """Queries, at least."""
        s = self.settings
        return queries_of(s.target_qps, s.min_queries, s.min_duration_ns / 1e9)

    @property
    def is_whole(self) -> bool:
        """Is it as long as a run that is no part of a search?"""
        return self.purpose in FULL

    def watch(self) -> Watch | None:
        """Return what ends it as soon as it cannot hold; an overload is wanted as it is."""
        if self.purpose in ("", "saturate"):
            return None
        limit_ns = evidence.limits_ns(self.settings)[evidence.waits_by(self.settings)]
        return Watch(rule(limit_ns, self.planned, self.settings.percentile))


class Search(Protocol):
    """How the next rate is chosen."""

    def next(self, rows: Sequence[Row]) -> Step | str:
        """Return the next step, or why there is none."""
        ...

    def best(self, rows: Sequence[Row]) -> Row:
        """Return the step that is reported."""
        ...

    def told(self, rows: Sequence[Row]) -> dict[str, Any]:
        """Return what find_peak.json says besides the steps."""
        ...


def search_of(
    config: RunConfig, settings_at: Callable[[float], RunSettings], start: float
) -> Search:
    """Return the search that the user chose; `settings_at` a rate are those of a whole run."""
    if config.search == "loadgen":
        return LoadgenSearch(settings_at, start)
    return SequentialSearch(settings_at, start)


class LoadgenSearch:
    """Doubles, then halves, with runs of full length (`scenarios.loadgen.find_peak`)."""

    def __init__(self, settings_at: Callable[[float], RunSettings], start: float) -> None:
        self._settings_at, self._start = settings_at, start

    def next(self, rows: Sequence[Row]) -> Step | str:
        if not rows:
            return Step(self._settings_at(self._start))
        tried = [(row["target_qps"], row["held"]) for row in rows]
        following = find_peak.next_qps(tried)
        if following is None:
            return "open" if all(held for _, held in tried) else "closed"
        settings = self._settings_at(following)
        return "size" if verdict.is_too_large(settings) else Step(settings)

    def best(self, rows: Sequence[Row]) -> Row:
        return search.best(rows)

    def told(self, rows: Sequence[Row]) -> dict[str, Any]:
        return {}


class SequentialSearch:
    """Ends hopeless steps early and weighs all that was seen (`scenarios.peak.search`)."""

    def __init__(self, settings_at: Callable[[float], RunSettings], start: float) -> None:
        self._settings_at = settings_at
        self._plan = evidence.plan_of(settings_at(start), start)

    def next(self, rows: Sequence[Row]) -> Step | str:
        wanted = next_step(self._plan, evidence.seen_of(rows))
        if isinstance(wanted, Over):
            return wanted.why
        settings = self._settings_at(wanted.qps)
        seeds = settings.seeds
        schedule = (seeds.schedule + len(rows)) % 2**64
        shorter = replace(
            settings,
            min_queries=wanted.min_queries,
            min_duration_ns=round(wanted.min_duration_s * 1e9),
            seeds=replace(seeds, schedule=schedule),
        )
        return Step(shorter, wanted.purpose)

    def best(self, rows: Sequence[Row]) -> Row:
        held = self._known(rows).held
        whole = [row for row in rows if row["target_qps"] == held and row["held"]]
        whole = [row for row in whole if row["purpose"] in FULL]
        return whole[-1] if whole else search.best(rows)

    def told(self, rows: Sequence[Row]) -> dict[str, Any]:
        return {"found": evidence.found_of(self._plan, self._known(rows))}

    def _known(self, rows: Sequence[Row]) -> Any:
        return known(self._plan, evidence.seen_of(rows))
