"""What is tested in a comparison: which runs are a side, and may sides be tested at all?

Each row is a side of its own, beside the first; or the runs of --baseline are one side and all
others, as repeats of one candidate, are the other. Runs on other hardware are tested only if that
was asked for: the hardware would be what differs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from harness.cost.terms import Named, terms
from harness.kernel.errors import BadInput
from harness.kernel.words import judged as words
from harness.study.cells import numbered
from harness.study.comparison import sides
from harness.study.comparison.evidence import NONE, Evidence
from harness.study.comparison.sides import Group
from harness.study.comparison.verdict import ENDED
from harness.study.effects import judged
from harness.study.effects.figures import SINGLE, USUAL, Figure
from harness.study.effects.judged import Side
from harness.study.effects.limits import Limit, parse
from harness.study.effects.readings import Reading

Row = Mapping[str, Any]
HARDWARE = ("machine", "device")  # conditions


class Asked(NamedTuple):
    """What is asked of the tests, and what an hour costs. Without `groups` each row is a side.
    `fail_if` are limits in words; INCONCLUSIVE fails unless `allow_inconclusive`.
    """

    fail_if: str = ""
    across_hardware: bool = False
    allow_inconclusive: bool = False
    groups: tuple[Group, ...] = ()
    price_per_hour: str = ""

    @property
    def per_hour(self) -> Named:
        """Return the prices of an hour. Raises BadInput."""
        return terms(self.price_per_hour or None).per_hour

    @property
    def limits(self) -> list[Limit]:
        """Return the limits. Raises BadInput."""
        return parse(self.fail_if) if self.fail_if else []

    @property
    def figures(self) -> list[Figure]:
        """Return the figures that are made of many samples."""
        asked = (limit.figure for limit in self.limits if limit.figure.name not in SINGLE)
        return list(dict.fromkeys((*USUAL, *asked)))


NOTHING = Asked()


def asked(
    baseline: str | None,
    runs: Sequence[Path],
    fail_if: str | None,
    across_hardware: bool,
    allow_inconclusive: bool,
    price_per_hour: str | None = None,
) -> tuple[Asked, list[Path]]:
    """Return what is asked of the tests, and all folders of runs. Raises BadInput."""
    groups, folders = sides.given(baseline, runs)
    if fail_if is not None:
        parse(fail_if)
    terms(price_per_hour)
    price = price_per_hour or ""
    return Asked(fail_if or "", across_hardware, allow_inconclusive, groups, price), folders


def tests(rows: Sequence[Row], evidence: Mapping[str, Evidence], asked: Asked) -> dict[str, Any]:
    """Return the effects of labelled rows, and what became of the limits if there are any."""
    before, *afters = _sides(rows, asked)
    known = {label: _side(label, own, evidence) for label, own in (before, *afters)}
    first, limits = known[before[0]], asked.limits
    effects, fit = [], []
    for label, own in afters:
        if why := _refusal(before, own, asked):
            effects.append(judged.refused(first, known[label], why))
            continue
        effects.append(judged.compared(first, known[label], [limit.figure for limit in limits]))
        fit.append(known[label])
    found: dict[str, Any] = {"effects": effects}
    if limits:
        unfit = [effect for effect in effects if effect["refused"]]
        found["limits"] = judged.held(limits, first, fit, unfit)
        found["limits"]["allow_inconclusive"] = asked.allow_inconclusive
    return found


def are_kept(found: Mapping[str, Any]) -> bool:
    """Are the limits of a comparison kept, if there are any?"""
    limits = found.get("limits")
    if limits is None:
        return True
    fine = ("PASS", "INCONCLUSIVE") if limits["allow_inconclusive"] else ("PASS",)
    return limits["status"] in fine


def asked_of(saved: Mapping[str, Any]) -> Asked:
    """Return what a study that goes on was asked. Raises what a damaged study.json raises."""
    asked = Asked(
        str(saved.get("fail_if", "")),
        allow_inconclusive=bool(saved.get("allow_inconclusive")),
        price_per_hour=str(saved.get("price_per_hour", "")),
    )
    try:
        _ = asked.limits, asked.per_hour
    except BadInput:
        raise ValueError from None
    return asked


Own = tuple[str, list[Row]]


def _sides(rows: Sequence[Row], asked: Asked) -> list[Own]:
    if not asked.groups:
        return [(row["label"], [row]) for row in rows]
    found: list[Own] = []
    for group in asked.groups:
        runs = {str(run.resolve()) for run in group.runs}
        own = [row for row in rows if row["run"] in runs]
        name = own[0]["label"] if own else group.runs[0].name
        found.append((group.label or name, own))
    return list(
        zip(numbered([label for label, _ in found]), [own for _, own in found], strict=True)
    )


def _side(label: str, rows: Sequence[Row], evidence: Mapping[str, Evidence]) -> Side:
    runs = [_readings(row, evidence) for row in rows if row["status"] in ENDED]
    return Side(label, runs)


def _readings(row: Row, evidence: Mapping[str, Evidence]) -> dict[str, Reading]:
    """Return a reading of each figure of a run: of many samples, and of one number."""
    found = dict(evidence.get(row["label"], NONE).readings)
    for name in SINGLE:
        if (value := words.value_of(row, words.TABLE[name])) is not None:
            found[name] = Reading(value)
    return found


def _refusal(before: Own, after: Sequence[Row], asked: Asked) -> str:
    """Say why two sides are not tested; empty if they are."""
    for label, rows in (before, ("", after)):
        if not any(row["status"] in ENDED for row in rows):
            return f"{label or 'it'} has no run that ended"
    return "" if asked.across_hardware else other_hardware([*before[1], *after])


def other_hardware(rows: Sequence[Row]) -> str:
    """Name the hardware of the runs where it is not one; empty if it is."""
    for name in HARDWARE:
        values = dict.fromkeys(
            row["conditions"][name] for row in rows if row["conditions"].get(name)
        )
        if len(values) > 1:
            return f"the runs were made on different hardware: {'; '.join(values)}"
    return ""


def refuse_other_hardware(rows: Sequence[Row], asked: Asked) -> None:
    """Refuse --fail-if for runs on different hardware, unless that was asked for. Raises
    BadInput.
    """
    why = other_hardware(rows) if asked.fail_if and not asked.across_hardware else ""
    if why:
        fine = "a test would judge the hardware, too"
        raise BadInput("--fail-if", why, fine, "Pass --across-hardware if that is what you mean.")
