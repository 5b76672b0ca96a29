"""What is wanted of a deployment, and which runs does that need? The user's words in; requirements,
what is sought, prices, and the stages of measuring out.

    speed     an offline run: tokens per second, memory, energy, loss on the reference answers
    quality   an accuracy run of the deployment and of its reference, for the gate
    rate      a search for the highest valid rate; a server run where a rate is given and nothing
              but latencies at it is asked for

A stage is measured only where a requirement, what is sought, or a cost rests on it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from harness.cost.terms import Terms, terms
from harness.kernel.errors import BadInput
from harness.kernel.words.measure import Measure
from harness.study.decide.figures import (
    JOB,
    NEED,
    PER_KWH,
    PRICE,
    STAGES,
    Stage,
    flags_for,
    is_evaluated,
    is_latency,
    percent_of,
    stages_of,
)
from harness.study.decide.requirements import Objective, Requirement, objective, requirements

_LIMITS = {"ttft": "ttft_limit", "tpot": "tpot_limit", "latency": "target_latency"}


class Asked(NamedTuple):
    """What the user said, as it was said. It is saved with a study."""

    require: str = ""
    maximise: str | None = None
    minimise: str | None = None
    prices: Mapping[str, Any] = {}  # arguments of `harness.cost.terms.terms`
    measure_all: bool = False


class Wanted(NamedTuple):
    """What was asked for, checked."""

    requirements: list[Requirement]
    objective: Objective
    terms: Terms
    is_default: bool  # nobody said what is sought
    measure_all: bool = False

    @property
    def measures(self) -> list[Measure]:
        """Return the figures that a decision rests on."""
        return [one.measure for one in self.requirements] + [self.objective.measure]

    @property
    def stages(self) -> list[Stage]:
        """Return what must be measured, in order."""
        needed = {stage for measure in self.measures for stage in stages_of(measure)}
        if self.terms.need_qps is not None:
            needed.add("rate")
        is_priced = bool(self.terms.per_hour) and "rate" not in needed
        is_full = self.terms.job_samples is not None or self.terms.per_kwh is not None
        if is_priced or is_full or not needed:
            needed.add("speed")
        return [stage for stage in STAGES if stage in needed]

    @property
    def needs_search(self) -> bool:
        """Must the highest valid rate be found?"""
        is_asked = any(
            "rate" in stages_of(measure) and not is_latency(measure) for measure in self.measures
        )
        return is_asked or self.terms.need_qps is not None

    @property
    def evaluates(self) -> bool:
        """Are the reference answers to be scored after the speed was measured?"""
        return any(map(is_evaluated, self.measures))

    @property
    def share(self) -> float | None:
        """Return the share of the reference's ROUGE that must be kept."""
        return next(
            (
                one.limit
                for one in self.requirements
                if one.measure.name == "rouge" and one.sign == ">="
            ),
            None,
        )

    def limits(self) -> dict[str, Any]:
        """Return the flags that make latencies limits of the valid rate. Raises BadInput where one
        search cannot keep them all.
        """
        kept = [one for one in self.requirements if is_limit(one)]
        flags = dict[str, Any]()
        for one in kept:
            flags[_limit_flag(one)] = min(one.limit, flags.get(_limit_flag(one), one.limit))
        if "target_latency" in flags and len(flags) > 1:
            found = "limits on latency and on TTFT or TPOT are given together"
            fine = "a server run is judged by whole answers or by tokens"
            todo = "Leave one out, or give the rate: --target-qps."
            raise BadInput("--require", found, fine, todo)
        percents = [percent_of(one.measure) or 0.0 for one in kept]
        return flags | ({"percentile": max(percents)} if percents else {})


def is_limit(one: Requirement) -> bool:
    """Can a search keep this requirement as a limit: a percentile of TTFT, TPOT or latency?"""
    is_percentile = percent_of(one.measure) is not None
    return is_percentile and one.sign == "<=" and one.measure.name.split("_")[0] in _LIMITS


def is_held(one: Requirement, limits: Mapping[str, Any]) -> bool:
    """Were the limits of a run at least as strict as this one?"""
    what = one.measure.name.split("_")[0]
    if limits["use_tokens"] != (what != "latency"):
        return False
    limit_ns = limits["target_latency_ns" if what == "latency" else f"{what}_limit_ns"]
    is_strict = 0 < (limit_ns or 0) <= one.limit * 1e9 * (1 + 1e-9)
    return is_strict and 100 * limits["percentile"] >= (percent_of(one.measure) or 0.0) - 1e-9


def _limit_flag(one: Requirement) -> str:
    return _LIMITS[one.measure.name.split("_")[0]]


def wanted(asked: Asked) -> Wanted:
    """Check all that was asked for. Raises BadInput."""
    prices = terms(**asked.prices)
    default = "tokens_per_s"
    if prices.per_hour:
        default = "usd_per_hour" if prices.need_qps is not None else "usd_per_m_tokens"
    sought = objective(asked.maximise, asked.minimise, default)
    is_default = asked.maximise is None and asked.minimise is None
    found = Wanted(requirements(asked.require), sought, prices, is_default, asked.measure_all)
    for measure in found.measures:
        _check_needs(measure, prices)
    found.limits()
    return found


def _check_needs(measure: Measure, prices: Terms) -> None:
    """Refuse a cost for which a price or a rate is missing. Raises BadInput."""
    known = {
        PRICE: bool(prices.per_hour),
        NEED: prices.need_qps is not None,
        PER_KWH: prices.per_kwh is not None,
        JOB: prices.job_samples is not None,
    }
    if missing := [flag for flag in flags_for(measure) if not known[flag]]:
        found, fine = f"{measure.name} is asked for", f"it needs {' and '.join(missing)}"
        raise BadInput("decide", found, fine, f"Add {missing[0]}.")
