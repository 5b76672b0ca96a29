"""What do the tokens of a row of a comparison cost, at the price of an hour of its server?

At full speed, everything charged to the output, as `harness decide` and `harness cost` say it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from accuracy.resampling import Estimate
from harness.cost.costs import costs
from harness.cost.rates import Rates
from harness.cost.terms import Named, Terms
from harness.cost.uncertain import measured

_SPEED, _COST = "tokens_per_s", "usd_per_million_tokens"


def priced(row: Mapping[str, Any], per_hour: Named, name: str) -> dict[str, Any]:
    """Return what a labelled row gains: its cost, and its intervals with that of the cost; nothing
    where its price or its speed is not known. A price may also call it by `name`.
    """
    names = str(row["label"]), name, str(row["variant"]), str(row["model"])
    if not row.get(_SPEED):
        return {}
    intervals = row.get("intervals") or {}
    estimate = Estimate(row[_SPEED], *intervals.get(_SPEED, (None, None)))
    rates = Rates(tokens_per_s=measured(estimate, names[0], _SPEED))
    found = costs(rates, Terms(per_hour=per_hour), *names).get(_COST)
    if found is None:
        return {}
    value, low, high = found.estimate
    if low is None or high is None:
        return {_COST: value}
    return {_COST: value, "intervals": {**intervals, _COST: [low, high]}}
