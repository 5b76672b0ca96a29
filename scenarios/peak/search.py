"""Which rate is tried next, and when is the peak known? Our own search, as data in, data out.

    widen      the rate is doubled (or halved) by short runs until one holds and one does not
    saturate   a short run a little over what was served tells how fast the system is at most
    narrow     runs of a quarter of the length, where the peak is thought to be but not yet known
    confirm    a run of full length a little below the most likely peak, which must hold
    bound      a run of full length above the best that held, to see whether it holds too

A run ends as soon as it cannot hold any more (`scenarios.peak.watch`), so a rate that is too high
costs little. The search ends when a run of full length held and the peak is known to `precision`;
or when it would spend more than half of the queries of plain bisection, and a rate has been
confirmed. What is reported is the rate of a run of full length that held: the highest that is not
clearly above the most likely peak.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import inf, log
from typing import Literal, NamedTuple

from scenarios.peak.posterior import Belief, Peak, believe
from scenarios.peak.queue import Guess, Saturation, guess
from scenarios.peak.spent import bisection_queries, queries_of
from scenarios.peak.tails import Tail

Purpose = Literal["widen", "saturate", "narrow", "confirm", "bound"]
FULL: tuple[Purpose, ...] = ("confirm", "bound")
PRECISION = 0.03
MAX_STEPS = 40
_LIMITS_PER_PROBE = 10  # a short run lasts so many times the limit
_PROBE = 1 / 16  # of the queries of a full run, at least
_LEAST_PROBE = 100  # queries
_OVER = 1.15  # of what was served: saturates, and builds no long queue
# runs that tell the speed of an overloaded system: queries, and the share of a full run, at most
_SATURATED = ((5000, 1 / 4), (20_000, 3 / 4))
_SURE = 1 / 3  # of the precision: a guess of the queue's that needs no second run
_MOST_DOWN = 6  # rates that are tried until one holds
_NARROW = 1 / 4  # of the queries of a full run
_MOST_NARROW = 3
_BELOW = 1 / 3  # of the precision: how far below the median a rate is confirmed
_WIDE = 4  # times the precision: too little is known for a full run
_NEAR = 1 / 2  # of the precision: how far below the median a confirmed rate may be
_CLOSE = 2  # times the precision: the width of the interval that ends the search


@dataclass(frozen=True, slots=True)
class Plan:
    """What is searched for. `limits_s`: the limits that are judged, by name, in seconds;
    `waits`: those of them that a queue breaks.
    """

    start: float
    p: float
    limits_s: dict[str, float]
    waits: tuple[str, ...]
    min_queries: int
    min_duration_s: float
    max_queries: float = inf
    precision: float = PRECISION

    @property
    def wait_s(self) -> float:
        """The limit that a growing queue breaks."""
        return min(self.limits_s[name] for name in self.waits)


@dataclass(frozen=True, slots=True)
class Seen:
    """A run of the search. `held`: all its limits, whatever its length."""

    qps: float
    purpose: Purpose
    queries: int  # issued
    held: bool
    tails: dict[str, Tail] = field(default_factory=dict)
    saturation: Saturation | None = None
    served_qps: float | None = None  # less than its rate where a queue grew
    base_s: dict[str, float] = field(default_factory=dict)  # of each limit: a query's at best


class Wanted(NamedTuple):
    """The next run: its rate, and how long it is."""

    qps: float
    purpose: Purpose
    min_queries: int
    min_duration_s: float


class Known(NamedTuple):
    """What the search knows. `held` and `failed` (above it) are rates of runs; None: no such."""

    held: float | None
    failed: float | None
    peak: Peak | None
    queries: int
    bisection: int | None  # queries that plain bisection would have spent


class Over(NamedTuple):
    """There is no next run: the peak is known (`closed`, or as well as the `budget` allows), the
    next run would be too large (`size`), no rate held (`none`), or too many were tried (`tries`).
    """

    why: Literal["closed", "budget", "size", "none", "tries"]


def next_step(plan: Plan, seen: Sequence[Seen]) -> Wanted | Over:
    """Return the next run after those that were `seen`, in their order."""
    if len(seen) >= MAX_STEPS:
        return Over("tries")
    held, failed = _highest_held(seen), _lowest_failed(seen)
    if held is None and len(seen) >= _MOST_DOWN:
        return Over("none")
    if failed is None:
        wider = plan.start if held is None else 2 * held
        return _short(plan, wider, "widen") if _fits(plan, wider) else Over("size")
    if held is None:
        return _short(plan, _lower(plan, seen, failed), "widen")
    if (again := _to_saturate(plan, seen)) is not None:
        return again
    return _close_in(plan, seen)


def known(plan: Plan, seen: Sequence[Seen]) -> Known:
    """Return what follows from all runs."""
    peak = belief_of(plan, seen).peak if _lowest_failed(seen) is not None else None
    held = _believed(plan, seen, peak)
    above = [one.qps for one in seen if not one.held and one.qps > (held or 0.0)]
    best = held or (peak.value if peak else None)
    least, shortest_s = plan.min_queries, plan.min_duration_s
    others = None
    if best is not None:
        others = bisection_queries(plan.start, best, plan.precision, least, shortest_s)
    queries = sum(one.queries for one in seen)
    return Known(held, min(above, default=None), peak, queries, others)


def belief_of(plan: Plan, seen: Sequence[Seen]) -> Belief:
    """Weigh all runs; one of them has failed."""
    failed = _lowest_failed(seen)
    assert failed is not None
    held = _highest_held(seen) or failed / 8
    low, high = min(0.5 * held, 0.5 * failed), max(1.5 * failed, 1.2 * held)
    tails = {name: [one.tails[name] for one in seen if name in one.tails] for name in _names(seen)}
    guesses = {name: guesses_of(plan, name, seen) for name in plan.waits}
    sure = {name: found for name, found in guesses.items() if found}
    return believe(low, high, plan.p, tails, sure)


def _close_in(plan: Plan, seen: Sequence[Seen]) -> Wanted | Over:
    """Confirm the most likely rate, see whether one a little higher fails, and go on until the
    peak is known as closely as asked.
    """
    peak, step = belief_of(plan, seen).peak, plan.precision
    if peak.high / peak.low - 1 > _WIDE * step and _count(seen, "narrow") < _MOST_NARROW:
        return _part(plan, peak.value, "narrow", _NARROW)
    rate = peak.value
    if _confirmed(seen) is None:
        rate = min([rate, *(one.qps * (1 - _BELOW * step) for one in seen if _missed(one))])
    near = _believed(plan, seen, peak)
    if near is None or near < peak.value * (1 - _NEAR * step):
        return _within_budget(plan, seen, _part(plan, rate, "confirm", 1.0))
    is_bounded = any(one.qps > near and _missed(one) for one in seen) or _count(seen, "bound")
    if not is_bounded:
        return _within_budget(plan, seen, _part(plan, near * (1 + step), "bound", 1.0))
    if peak.high / peak.low - 1 <= _CLOSE * step:
        return Over("closed")
    return _within_budget(plan, seen, _part(plan, rate, "confirm", 1.0))


def _within_budget(plan: Plan, seen: Sequence[Seen], wanted: Wanted) -> Wanted | Over:
    """Return the run, unless a rate has been confirmed and the run would cost too much: more than
    half of what bisection spends in all, or as much while the peak is hardly known.
    """
    best, peak = _confirmed(seen), belief_of(plan, seen).peak
    cost = queries_of(wanted.qps, wanted.min_queries, wanted.min_duration_s)
    share = 1.0 if peak.high / peak.low - 1 > _WIDE * plan.precision else 0.5
    if best is not None and _spent(seen) + cost > share * _of_bisection(plan, best):
        return Over("budget")
    return wanted


def _to_saturate(plan: Plan, seen: Sequence[Seen]) -> Wanted | None:
    """Return a run that tells the speed of the overloaded system; None where that is known, or
    where no queue broke a limit.
    """
    made = _count(seen, "saturate")
    served = [one.served_qps for one in seen if one.served_qps and _queue_broke(plan, one)]
    if not served or made >= len(_SATURATED) or _is_sure(plan, seen):
        return None
    qps = _OVER * served[-1]
    filled_s = plan.wait_s / 2 / (_OVER - 1)  # until queries wait for half the limit
    most, share = _SATURATED[made]
    queries = min(most, int(share * _full(plan, qps)))
    return Wanted(qps, "saturate", 1, queries / qps + filled_s)


def _queue_broke(plan: Plan, one: Seen) -> bool:
    tails = [one.tails[name] for name in plan.waits if name in one.tails]
    return not one.held and any(t.at_least or t.log_share > log(1 - plan.p) for t in tails)


def _is_sure(plan: Plan, seen: Sequence[Seen]) -> bool:
    """Is the peak of every limit that waits guessed closely enough?"""
    guesses = [guesses_of(plan, name, seen) for name in plan.waits]
    return all(any(one.error <= _SURE * plan.precision for one in found) for found in guesses)


def guesses_of(plan: Plan, name: str, seen: Sequence[Seen]) -> list[Guess]:
    """Return what each overloaded run says of the peak of a limit."""
    base_s = min((one.base_s[name] for one in seen if name in one.base_s), default=0.0)
    found = [one.saturation for one in seen if one.saturation is not None]
    guesses = [guess(one, plan.p, plan.limits_s[name], base_s) for one in found]
    return [one for one in guesses if one is not None]


def _lower(plan: Plan, seen: Sequence[Seen], failed: float) -> float:
    """Return a rate below one that failed: what the queue allows, or half."""
    guesses = [one for name in plan.waits for one in guesses_of(plan, name, seen)]
    rates = [0.9 * one.qps for one in guesses if 0.9 * one.qps < failed]
    return max(min(rates, default=failed / 2), failed / 8)


def _short(plan: Plan, qps: float, purpose: Purpose) -> Wanted:
    """Return a run long enough for a queue to break the limit."""
    queries = min(max(_LEAST_PROBE, int(_PROBE * _full(plan, qps))), _full(plan, qps))
    wait_s = max(plan.limits_s.values()) if not plan.waits else plan.wait_s
    return Wanted(qps, purpose, queries, min(_LIMITS_PER_PROBE * wait_s, _full(plan, qps) / qps))


def _part(plan: Plan, qps: float, purpose: Purpose, share: float) -> Wanted:
    least = max(int(share * plan.min_queries), 1)
    return Wanted(qps, purpose, least, share * plan.min_duration_s)


def _full(plan: Plan, qps: float) -> int:
    return queries_of(qps, plan.min_queries, plan.min_duration_s)


def _fits(plan: Plan, qps: float) -> bool:
    return _full(plan, qps) <= plan.max_queries


def _of_bisection(plan: Plan, best: float) -> int:
    """Return the queries that plain bisection spends."""
    least, shortest_s = plan.min_queries, plan.min_duration_s
    return bisection_queries(plan.start, best, plan.precision, least, shortest_s)


def _spent(seen: Sequence[Seen]) -> int:
    return sum(one.queries for one in seen)


def _missed(one: Seen) -> bool:
    return one.purpose in FULL and not one.held


def _count(seen: Sequence[Seen], purpose: Purpose) -> int:
    return sum(one.purpose == purpose for one in seen)


def _names(seen: Sequence[Seen]) -> dict[str, None]:
    return dict.fromkeys(name for one in seen for name in one.tails)


def _highest_held(seen: Sequence[Seen]) -> float | None:
    return max((one.qps for one in seen if one.held), default=None)


def _lowest_failed(seen: Sequence[Seen]) -> float | None:
    return min((one.qps for one in seen if not one.held), default=None)


def _believed(plan: Plan, seen: Sequence[Seen], peak: Peak | None) -> float | None:
    """Return the highest rate of a whole run that held and is hardly higher than the most likely
    peak: of many runs that are a little too fast, one holds by luck.
    """
    held = [one.qps for one in seen if one.held and one.purpose in FULL]
    highest = inf if peak is None else peak.value * (1 + _BELOW * plan.precision)
    return max((qps for qps in held if qps <= highest), default=min(held, default=None))


def _confirmed(seen: Sequence[Seen]) -> float | None:
    return max((one.qps for one in seen if one.held and one.purpose in FULL), default=None)
