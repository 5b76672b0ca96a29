"""What does decide.json say? The answer with its servers and cost, how sure it is, what would
change it, and every deployment with its figures, verdicts and costs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from operator import mul
from typing import Any

from accuracy.resampling import Estimate
from harness.cost.break_even import Deployment, months, rate, rate_within
from harness.cost.terms import Terms
from harness.cost.uncertain import Uncertain
from harness.kernel.words.measure import in_rows
from harness.study.best.told import row, told
from harness.study.cells import MEANT
from harness.study.comparison.compare import compare
from harness.study.comparison.ranking import PER_TOKEN
from harness.study.decide.changes import Miss, behind, nearest, shut_out, tightest
from harness.study.decide.choice import Choice, choose
from harness.study.decide.known.judged import Judged
from harness.study.decide.known.standing import Standing
from harness.study.decide.wishes.requirements import Requirement
from harness.study.decide.wishes.wanted import Wanted, is_limit

SCHEMA = "touchstone.decide/1"
SURE = 0.95  # an answer that this share of draws gives is called sure
# What may differ between deployments: where they run is part of what is chosen.
_MEANT = tuple(name for name in MEANT if name != "samples_per_query")
Found = dict[str, Any]


def answer(standings: Sequence[Standing], wanted: Wanted, varied: Sequence[str] = ()) -> Found:
    """Return the whole decision, but for what only the study knows."""
    sought, choice = wanted.objective, choose(standings, wanted.objective)
    closest = nearest(standings) if choice.answer is None else None
    differences = _differences(standings, varied)
    return {
        "schema": SCHEMA,
        "answer": choice.answer.label if choice.answer else None,
        "sure": choice.sure,
        "chances": choice.shares,
        "objective": {
            "figure": sought.measure.name,
            "largest": sought.largest,
            "is_default": wanted.is_default,
        },
        "requirements": [_requirement(one) for one in wanted.requirements],
        "terms": terms_as_json(wanted.terms),
        "changes": _changes(standings, choice, wanted),
        "nearest": _miss(closest) if closest else None,
        "break_even": _break_even(choice, wanted.terms),
        "candidates": [_candidate(one, choice) for one in standings],
        "best": _best(standings),
        "limits": _limits_beside(standings, wanted),
        "comparable": not differences,
        "differences": differences,
        "without_interval": _without_interval(standings, wanted),
    }


def as_json(estimate: Estimate) -> Found:
    """Return a figure with its interval; infinite ends are not known."""
    known = {name: value for name, value in estimate._asdict().items()}
    return {name: None if value in (float("inf"), float("-inf")) else value
            for name, value in known.items()}  # fmt: skip


def _requirement(one: Requirement) -> Found:
    return {
        "figure": one.measure.name,
        "sign": one.sign,
        "limit": one.limit,
        "text": one.text,
    }


def terms_as_json(terms: Terms) -> Found:
    """Return the prices and needs that a cost rests on."""
    return {
        "usd_per_hour": terms.per_hour.to_json(),
        "once_usd": terms.once.to_json(),
        "usd_per_kwh": terms.per_kwh,
        "need_qps": terms.need_qps,
        "margin": terms.margin,
        "output_weight": terms.output_weight,
        "prompt_tokens": terms.prompt_tokens,
        "job_samples": terms.job_samples,
        "months": terms.months,
    }


# ---- deployments


def _candidate(one: Standing, choice: Choice) -> Found:
    row = one.row
    return {
        "label": one.label,
        "model": str(row.get("model", "")),
        "variant": str(row.get("variant", "")),
        "reference": one.reference,
        "status": _status(one),
        "reason": one.out or one.set_aside,
        "doubts": one.doubts,
        "chance": choice.shares.get(one.label, 0.0),
        "runs": {stage: str(told.folder or "") for stage, told in one.runs.items()},
        "not_run": list(dict.fromkeys(one.not_run)),
        "figures": {name: as_json(figure.estimate) for name, figure in one.figures.items()},
        "judged": [_judged(each) for each in one.judged],
    }


def _status(one: Standing) -> str:
    if not one.runs:
        return "NOT MEASURED"
    if one.out:
        return "FAILED"
    if one.fits:
        return "FITS"
    if one.set_aside:
        return "SET ASIDE"
    return "MISSES"


def _judged(one: Judged) -> Found:
    return {
        "requirement": one.requirement.text,
        "figure": one.requirement.measure.name,
        "status": one.status,
        "holds": one.holds,
        "has_interval": one.judged,
        "chance": one.chance,
        "missing": one.missing,
        "needed": one.needed,
        "reason": one.reason,
        **as_json(one.figure),
    }


def _best(standings: Sequence[Standing]) -> Found:
    """Say which deployment is best by each figure, whatever is required; runs that broke, or whose
    figures cannot be trusted, tell nothing.
    """
    tokenizers = {one.row.get("tokenizer") for one in standings} - {None}
    rows = [row(one.label, _ranked(one)) for one in standings if one.figures and not one.out]
    return told(rows, PER_TOKEN if len(tokenizers) > 1 else ())


def _ranked(one: Standing) -> dict[str, Estimate]:
    """Return its figures under the names, and in the units, of a comparison."""
    found = dict[str, Estimate]()
    for name, figure in one.figures.items():
        if (known := in_rows(name)) is not None:
            other, scale = known
            found[other] = figure.estimate.map(partial(mul, scale))
    return found


# ---- what would change it


def _changes(standings: Sequence[Standing], choice: Choice, wanted: Wanted) -> Found:
    sought = wanted.objective
    closest = tightest(choice.answer) if choice.answer else None
    return {
        "shut_out": [_miss(miss) for miss in shut_out(standings, choice, sought)],
        "runner_up": choice.runner_up.label if choice.runner_up else None,
        "behind": behind(choice, sought),
        "tightest": _judged(closest) if closest else None,
    }


def _miss(miss: Miss) -> Found:
    return {"label": miss.standing.label, "missed": [_judged(one) for one in miss.missed]}


def _break_even(choice: Choice, terms: Terms) -> Found | None:
    """Set the answer beside the next one: from which rate, or after how many months, it is the
    cheaper one.
    """
    if choice.answer is None or choice.runner_up is None:
        return None
    return break_even(choice.answer, choice.runner_up, terms)


def break_even(ours: Standing, theirs: Standing, terms: Terms) -> Found | None:
    """Return from when on one deployment is cheaper than another; None where prices or rates are
    not known.
    """
    pair = [_deployment(one, terms) for one in (ours, theirs)]
    if pair[0] is None or pair[1] is None:
        return None
    found: dict[str, Uncertain | None] = {
        "above_qps": rate(pair[0], pair[1]),
        "other_above_qps": rate(pair[1], pair[0]),
        "months": months(pair[0], pair[1], terms.need_qps, terms.margin)
        if terms.need_qps is not None
        else None,
        "above_qps_within_months": rate_within(pair[0], pair[1], terms.months)
        if terms.months is not None
        else None,
    }
    known = {name: as_json(one.estimate) if one else None for name, one in found.items()}
    is_paid_once = bool(terms.once)
    return {"label": ours.label, "other": theirs.label, "paid_once": is_paid_once, **known}


def _deployment(one: Standing, terms: Terms) -> Deployment | None:
    price, qps = terms.per_hour.of(*one.names), one.figures.get("valid_qps")
    if price is None or qps is None:
        return None
    return Deployment(price, qps, terms.once.of(*one.names) or 0.0)


# ---- what to know of it


def _differences(standings: Sequence[Standing], varied: Sequence[str]) -> list[str]:
    """Say in what the runs of one stage differ that should be the same."""
    found = list[str]()
    for stage in dict.fromkeys(stage for one in standings for stage in one.runs):
        rows = [one.runs[stage].kept for one in standings if stage in one.runs]
        names = [one.label for one in standings if stage in one.runs]
        if len(rows) > 1:
            found += compare(rows, names=names, varied=[*varied, *_MEANT])["differences"]
    return list(dict.fromkeys(found))


def _limits_beside(standings: Sequence[Standing], wanted: Wanted) -> list[Found]:
    """Return the limits of the search for a valid rate that nobody asked for: the profile's."""
    kept = next((one.runs["rate"].kept for one in standings if "rate" in one.runs), None)
    if kept is None or "limits" not in kept:
        return []
    limits = kept["limits"]
    asked = {one.measure.name.split("_")[0] for one in wanted.requirements if is_limit(one)}
    names = ("ttft", "tpot") if limits["use_tokens"] else ("latency",)
    found = []
    for name in names:
        limit_ns = limits["target_latency_ns" if name == "latency" else f"{name}_limit_ns"]
        if name not in asked and limit_ns:
            found.append(
                {"what": name, "limit_s": limit_ns / 1e9, "percentile": limits["percentile"]}
            )
    return found


def _without_interval(standings: Sequence[Standing], wanted: Wanted) -> list[str]:
    """Name the figures that the decision rests on and whose interval is not known."""
    names = dict.fromkeys(measure.name for measure in wanted.measures)
    figures: Mapping[str, list[Uncertain]] = {
        name: [one.figures[name] for one in standings if name in one.figures] for name in names
    }
    return [name for name, found in figures.items() if any(not one.has_interval for one in found)]
