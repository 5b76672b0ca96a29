"""What does a decision say in words? Which deployment, how many servers, at what cost, how sure
that is, and what would change it.

The parts are made from the object that `harness decide --json` prints.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from harness.kernel.words.figure import number
from harness.kernel.words.measure import LATENCIES, Measure, amount, measure
from reports.blocks import between

Found = Mapping[str, Any]
_FEW = 0.0005  # a share below it is not told

_UNFINISHED = (
    "Not finished: the measurements were interrupted, so this answer, and how sure it is, count"
    " only what was measured. harness resume goes on."
)


def answer(found: Found) -> str:
    """Return the answer in a sentence, or that there is none."""
    if found["answer"] is None:
        return _none(found)
    one = candidate(found, found["answer"])
    figures, sought = one["figures"], measure(found["objective"]["figure"])
    said = f"Deploy {one['label']}"
    if "servers" in figures:
        is_one = figures["servers"]["value"] == 1
        said += f" on {servers(figures['servers'])}, which carr{'ies' if is_one else 'y'}"
        said += f" {_rate(found)}"
        rate = text(measure("valid_qps"), figures["valid_qps"])
        said += f" ({'up to' if is_one else 'each up to'} {rate})"
        if cost := figures.get("usd_per_hour"):
            said += f", for {text(measure('usd_per_hour'), cost)}"
        if cost := figures.get("usd_per_million_tokens_needed"):
            said += f" or {text(measure('usd_per_million_tokens_needed'), cost)}"
        return f"{said}. {_why(found, one, sought)}"
    if (cost := figures.get("usd_per_million_tokens")) and sought.name != "usd_per_million_tokens":
        said += f", at {text(measure('usd_per_million_tokens'), cost)}"
    return f"{said}. {_why(found, one, sought)}"


def _why(found: Found, one: Found, sought: Measure) -> str:
    """Say by which figure it was chosen, and among how many."""
    figure = text(sought, one["figures"][sought.name])
    fitting = [each for each in found["candidates"] if each["status"] == "FITS"]
    most = "highest" if found["objective"]["largest"] else "lowest"
    if len(fitting) < 2:
        of = "It alone" if len(found["candidates"]) > 1 else "It"
        return f"{of} keeps every requirement; its {sought.label} is {figure}."
    among = f"of the {len(fitting)} that keep every requirement"
    return f"Its {sought.label}, {figure}, is the {most} {among}."


def servers(figure: Found) -> str:
    """Say how many, with the interval."""
    value, low, high = (figure[end] for end in ("value", "low", "high"))
    many = f"{number(value)} server{'s' * (value != 1)}"
    return many if low is None or low == high else f"{many} ({between(low, high, number)})"


def _rate(found: Found) -> str:
    terms = found["terms"]
    spare = f" with {100 * terms['margin']:.4g} % to spare" if terms["margin"] else ""
    return f"{number(terms['need_qps'])} queries/s{spare}"


def _none(found: Found) -> str:
    said = "Nothing fits: no deployment keeps every requirement."
    closest = found["nearest"]
    if closest is None:
        return "Nothing can be chosen: no deployment has runs that can be trusted."
    missed = "; ".join(map(missing, closest["missed"]))
    return f"{said} The nearest is {closest['label']}, which misses {missed}."


def missing(judged: Found) -> str:
    """Say what a requirement asks for and what there is instead."""
    one = measure(judged["figure"])
    if judged["value"] is None:
        return f"{judged['requirement']} ({judged['reason'] or 'not known'})"
    return f"{judged['requirement']} ({one.label} {text(one, judged)})"


def sure(found: Found) -> str:
    """Say how sure the answer is, and what it would be otherwise."""
    if all(one["status"] in ("FAILED", "NOT MEASURED") for one in found["candidates"]):
        return ""
    that = "How sure" if found["answer"] is not None else "How sure that nothing fits"
    said = f"{that}: {percent(found['sure'])}"
    others = {
        label: share
        for label, share in found["chances"].items()
        if label != (found["answer"] or "") and share >= _FEW
    }
    parts = [f"{label or 'nothing'} in {percent(share)}" for label, share in others.items()]
    said += f"; otherwise {', '.join(parts)}" if parts else ""
    if names := found["without_interval"]:
        labels = ", ".join(measure(name).label for name in names)
        said += f". Not in it, as nothing tells how far chance moves it: {labels}"
    return f"{said}."


def percent(share: float) -> str:
    """Write a chance; one of some thousand draws is never certain."""
    if share > 0.999:
        return "over 99.9 %"
    return "under 0.1 %" if share < 0.001 else f"{100 * share:.3g} %"


def doubts(found: Found) -> list[str]:
    """Say why the answer may be wrong."""
    cut = [_UNFINISHED] if found["interrupted"] else []
    if found["answer"] is None:
        return cut
    own = candidate(found, found["answer"])["doubts"]
    return [*cut, *(f"Doubtful: {doubt}" for doubt in own)]


def changes(found: Found) -> list[str]:
    """Say what would change the answer, one line each."""
    return [*_shut_out(found), *_runner_up(found), *_tightest(found), *_break_even(found)]


def _shut_out(found: Found) -> Iterator[str]:
    if found["answer"] is None:
        return
    sought = measure(found["objective"]["figure"])
    for miss in found["changes"]["shut_out"][:2]:
        figure = text(sought, candidate(found, miss["label"])["figures"][sought.name])
        missed = " and ".join(map(missing, miss["missed"]))
        yield f"{miss['label']} would be the answer ({figure}) if it kept {missed}."


def _runner_up(found: Found) -> Iterator[str]:
    changed = found["changes"]
    if changed["runner_up"] is None:
        return
    sought = measure(found["objective"]["figure"])
    other = candidate(found, changed["runner_up"])
    figure = text(sought, other["figures"][sought.name])
    if not changed["behind"]:
        yield f"{other['label']} is as good by this figure ({figure})."
        return
    more = "higher" if found["objective"]["largest"] else "lower"
    by = f"{100 * changed['behind']:.3g} %"
    yield f"The next is {other['label']} ({figure}): it would have to be {by} {more} to win."


def _tightest(found: Found) -> Iterator[str]:
    one = found["changes"]["tightest"]
    if one is None or one["missing"] is None or one["value"] is None:
        return
    of = measure(one["figure"])
    if one["status"] == "UNDECIDED":
        needed = one["needed"]
        more = f"; about {needed:,} samples would decide it" if needed else ""
        yield f"Undecided: {one['requirement']}, {of.label} {text(of, one)}{more}."
        return
    spare = f"{-100 * one['missing']:.3g} % to spare"
    yield f"Kept by the least: {one['requirement']}, {of.label} {text(of, one)}, {spare}."


def _break_even(found: Found) -> Iterator[str]:
    if found["break_even"] is not None:
        yield from break_even(found["break_even"])


def break_even(one: Found) -> Iterator[str]:
    """Say from when on one deployment is cheaper than another."""
    ours, theirs = one["label"], one["other"]
    for rate, cheaper, dearer in (
        (one["above_qps"], ours, theirs), (one["other_above_qps"], theirs, ours),
    ):  # fmt: skip
        if rate is not None and rate["value"]:
            words = text(measure("valid_qps"), rate)
            yield f"Break-even: above {words}, {cheaper} is never dearer than {dearer}."
    if one["months"] is not None:
        if one["months"]["value"] is None:
            yield f"Break-even: {ours} never pays back what it costs more at once than {theirs}."
        else:
            words = text(_MONTHS, one["months"])
            yield f"Break-even: {ours} pays back what it costs more at once after {words}."
    if (within := one["above_qps_within_months"]) is not None and within["value"] is not None:
        words = text(measure("valid_qps"), within)
        yield f"Break-even within the months given: above {words}, {ours} pays back."


_MONTHS = Measure("months", "months", "number", "lower", "months")


def notes(found: Found) -> list[str]:
    """Return what else to know: limits nobody asked for, deployments that were not measured."""
    said = [_beside(one) for one in found["limits"]]
    for one in found["candidates"]:
        if one["label"] != found["answer"]:
            said += [f"{one['label']}: {doubt}" for doubt in one["doubts"]]
        if one["reason"]:
            said.append(f"{one['label']}: {one['reason']}")
        elif one["not_run"] and one["status"] == "MISSES":
            why = "; ".join(missing(each) for each in one["judged"] if each["status"] == "FAIL")
            said.append(f"{one['label']} was not measured further: it misses {why}")
    return [*said, *(f"not the same in all runs: {what}" for what in found["differences"])]


def _beside(one: Found) -> str:
    what = f"{LATENCIES[one['what']]} p{100 * one['percentile']:.6g}"
    limit = measure(f"{one['what']}_mean").text(one["limit_s"])
    return f"the valid rate also keeps {what} within {limit}, as the profile asks"


def candidate(found: Found, label: str) -> Found:
    """Return a deployment by its label."""
    one: Found = next(one for one in found["candidates"] if one["label"] == label)
    return one


def text(of: Measure, figure: Found) -> str:
    """Write a figure with its unit and interval."""
    value, low, high = (figure[end] for end in ("value", "low", "high"))
    if low is None or high is None or low == high:
        return of.text(value)
    if of.kind == "USD":
        return f"{of.text(value)} ({between(low, high, amount)})"
    if of.kind == "number":
        return f"{of.text(value)} ({between(low, high, number)})"
    return f"{of.text(value)} ({between(low, high, of.text)})"


def subject(found: Found) -> str:
    """Say what was asked, in one line."""
    asked: Sequence[str] = [one["text"] for one in found["requirements"]]
    sought = found["objective"]
    goal = f"{'most' if sought['largest'] else 'least'} {sought['figure']}"
    return " · ".join([f"{len(found['candidates'])} deployments", goal, *asked])
