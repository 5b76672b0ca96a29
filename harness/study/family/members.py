"""Who is in a family? Readings of folders in, its members out: one for each model and precision,
the smallest model first and of each model its highest precision, which is the reference of the
others.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from harness.kernel.errors import BadInput
from harness.study.comparison.compare import labels
from harness.study.family.told import FACTS, Reading, Told

_BITS = re.compile(r"(?:fp|bf|int|nf|q)(\d+)")
_ALIKE = 1.05  # models whose parameters differ by less are of one size


@dataclass
class Member:
    """A model in a precision, and the readings of it in the order in which they were given."""

    model: str
    variant: str
    readings: list[Reading] = field(default_factory=list)
    label: str = ""
    reference: Member | None = None  # None: it is the reference itself, or alone

    @property
    def facts(self) -> dict[str, Any]:
        """Return what is known of it, each fact from the first folder that tells it."""
        return {name: self._first(name) for name in FACTS}

    def _first(self, name: str) -> Any:
        known = (reading.facts.get(name) for reading in self.readings)
        return next((value for value in known if value is not None), None)

    @property
    def told(self) -> Iterator[Told]:
        return (one for reading in self.readings for one in reading.told)

    @property
    def problems(self) -> list[str]:
        """Say which of its folders do not count, and why."""
        return [f"{one.folder}: {one.problem}" for one in self.readings if one.problem]

    @property
    def bits(self) -> int:
        """Return the bits of a weight, by the name of the variant; 0 if that does not tell."""
        found = _BITS.search(self.variant)
        return int(found[1]) if found else 0

    @property
    def has_adapter(self) -> bool:
        return self.variant.startswith("lora")


def members_of(readings: Sequence[Reading]) -> list[Member]:
    """Return the members with labels and references. Raises BadInput where two models have one
    name.
    """
    found: dict[tuple[str, str], Member] = {}
    for reading in readings:
        key = reading.model, reading.variant
        found.setdefault(key, Member(*key)).readings.append(reading)
    members = list(found.values())
    _check_names(members)
    sizes = {model: _size(model, members) for model in {one.model for one in members}}
    members.sort(key=lambda one: (_steps(sizes, one.model), _natural(one.model), _rank(one)))
    names = labels([(one.model, one.variant) for one in members])
    references: dict[str, Member] = {}
    for one, label in zip(members, names, strict=True):
        one.label = label
        first = references.setdefault(one.model, one)
        one.reference = None if first is one else first
    return members


def _rank(one: Member) -> tuple[bool, bool, int, str]:
    """Put the highest precision first, what does not tell its own after those that do, and an
    adapter last: it is another model.
    """
    return one.has_adapter, not one.bits, -one.bits, one.variant


def _size(model: str, members: Sequence[Member]) -> float:
    """Return the parameters of a model, without those of an adapter where that is known."""
    known = [one.facts["parameters"] for one in members if one.model == model]
    return float(min((size for size in known if size), default=0))


def _steps(sizes: dict[str, float], model: str) -> int:
    """Return the place of a model's size; nearly equal ones share it, so that iterations of one
    model stand in the order of their names.
    """
    place, before = 0, 0.0
    for size in sorted(set(sizes.values())):
        if size > _ALIKE * before:
            place, before = place + 1, size
        if size == sizes[model]:
            break
    return place


def is_larger(one: Member, than: Member) -> bool:
    """Has it decidedly more parameters, as far as both tell?"""
    ours, theirs = one.facts["parameters"], than.facts["parameters"]
    return bool(ours and theirs and ours > _ALIKE * theirs)


def _natural(name: str) -> list[tuple[int, str]]:
    """Return what sorts v3.5 before v10."""
    parts = re.split(r"(\d+)", name)
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]


def _check_names(members: Sequence[Member]) -> None:
    """Refuse one name of two models: by their files, or by their parameters. Raises BadInput."""
    of: dict[str, dict[str, str]] = {}
    for one in members:
        counts: dict[Any, str] = {}
        for reading in one.readings:
            weights = reading.facts.get("weights") or {}
            if digest := weights.get("files_digest"):
                of.setdefault(one.model, {}).setdefault(str(digest), reading.folder)
            if count := reading.facts.get("parameters"):
                counts.setdefault(count, reading.folder)
        if len(counts) > 1:
            raise _two(one.model, "parameters", [f"{count:,}" for count in counts],
                       list(counts.values()))  # fmt: skip
    for model, files in of.items():
        if len(files) > 1:
            raise _two(model, "weight files", [digest[:12] for digest in files],
                       list(files.values()))  # fmt: skip


def _two(model: str, what: str, values: Sequence[str], folders: Sequence[str]) -> BadInput:
    told = "; ".join(f"{v} in {f}" for v, f in zip(values, folders, strict=True))
    found = f"two models are called {model}: they have other {what} ({told})"
    todo = f"Name them: {model}-a={folders[0]} {model}-b={folders[1]}."
    return BadInput("family", found, "expected one name for each model", todo)
