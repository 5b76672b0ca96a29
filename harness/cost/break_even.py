"""From which rate, or after how many months, is one deployment cheaper than another?

A dearer server may be the cheaper one per query: then it pays from some rate on, as servers come in
whole numbers. A deployment that costs something once (to quantise, to tune, to approve it) pays
that back by what it saves: after so many months at a rate, or from such a rate on within the months
that it stays.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from accuracy.resampling import Floats
from harness.cost.costs import servers_for
from harness.cost.terms import HOURS_PER_MONTH
from harness.cost.uncertain import Uncertain, combined

_MOST_STEPS = 10_000  # whole servers looked at; beyond it they count as fractions
_TRIED = 400  # draws of a rate, each of which is a search


class Deployment(NamedTuple):
    """What one server costs an hour, how many queries a second it carries, what was paid once."""

    usd_per_hour: float
    valid_qps: Uncertain
    once_usd: float = 0.0


def rate(ours: Deployment, theirs: Deployment) -> Uncertain | None:
    """Return the queries per second above which ours is never dearer than theirs; None where there
    is no such rate. 0: it is never dearer at all.
    """
    value = _rate(ours.usd_per_hour, ours.valid_qps.value, theirs.usd_per_hour,
                  theirs.valid_qps.value)  # fmt: skip
    if value is None:
        return None
    if not (ours.valid_qps.has_interval and theirs.valid_qps.has_interval):
        return Uncertain(value)
    draws = list[float]()
    for mine, other in zip(ours.valid_qps.draws, theirs.valid_qps.draws, strict=True):
        found = _rate(ours.usd_per_hour, mine, theirs.usd_per_hour, other)
        draws.append(np.inf if found is None else found)
        if len(draws) == _TRIED:
            break
    return Uncertain(value, np.array(draws))


def _rate(price: float, qps: float, their_price: float, their_qps: float) -> float | None:
    per_query, their_per_query = price / qps, their_price / their_qps
    if per_query >= their_per_query:
        return 0.0 if (price <= their_price and qps >= their_qps) else None
    surely = price / (their_per_query - per_query)  # (q / qps + 1) price = q / their_qps price
    steps = surely * (1 / qps + 1 / their_qps)
    if steps > _MOST_STEPS:
        return surely
    ends = np.concatenate((_multiples(qps, surely), _multiples(their_qps, surely), [surely]))
    ends = np.unique(ends)
    middles = (np.concatenate(([0.0], ends[:-1])) + ends) / 2
    is_dearer = np.ceil(middles / qps) * price > np.ceil(middles / their_qps) * their_price
    return float(ends[is_dearer][-1]) if is_dearer.any() else 0.0


def _multiples(qps: float, most: float) -> Floats:
    return qps * np.arange(1, int(most / qps) + 1, dtype=np.float64)


def months(
    ours: Deployment, theirs: Deployment, need_qps: float, margin: float = 0.0
) -> Uncertain | None:
    """Return after how many months ours has paid back what it cost more at once; infinite where it
    saves nothing, None where it costs no more.
    """
    more = ours.once_usd - theirs.once_usd
    if more <= 0:
        return None
    fleets = (servers_for(need_qps, one.valid_qps, margin) for one in (ours, theirs))

    def paid_back(servers: Any, their_servers: Any) -> Any:
        saved = their_servers * theirs.usd_per_hour - servers * ours.usd_per_hour
        with np.errstate(divide="ignore"):
            return np.where(saved > 0, np.divide(more, saved * HOURS_PER_MONTH), np.inf)

    return combined(paid_back, *fleets)


def rate_within(ours: Deployment, theirs: Deployment, months: float) -> Uncertain | None:
    """Return the queries per second at which ours pays back within `months` what it cost more at
    once, servers counted as fractions; infinite where it saves nothing, None where it costs no
    more.
    """
    more = ours.once_usd - theirs.once_usd
    if more <= 0:
        return None

    def needed(qps: Any, their_qps: Any) -> Any:
        saved = theirs.usd_per_hour / their_qps - ours.usd_per_hour / qps  # an hour, for each qps
        with np.errstate(divide="ignore"):
            return np.where(saved > 0, np.divide(more, saved * months * HOURS_PER_MONTH), np.inf)

    return combined(needed, ours.valid_qps, theirs.valid_qps)
