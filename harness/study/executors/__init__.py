"""Where are the runs of a study made: in this process, in a child, or on the nodes of a cluster?

An executor is named by a word, with what it needs behind a colon:

    here                        in this process, one after the other
    child                       the same, each in a process of its own
    ray:10.0.0.5:6379           on the nodes of a Ray cluster, one run per node at a time
    ray:10.0.0.5:6379;cpus=4    the same, as many runs per node as have four processors each

study.json keeps that text, so that `harness resume` goes on in the same place.
"""

from __future__ import annotations

from typing import NamedTuple

from harness.kernel.errors import BadInput, unknown
from harness.study.executors import child, here
from harness.study.executors.made import Crew, Executor, Made, OneByOne

EXECUTORS: dict[str, Executor] = {"here": here.here, "child": child.child}
RAY = "ray"
_NAMES = (*EXECUTORS, RAY)
_CPUS = ";cpus="

__all__ = [
    "EXECUTORS",
    "RAY",
    "Crew",
    "Executor",
    "Made",
    "Where",
    "check",
    "crew",
    "known",
    "named",
]


class Where(NamedTuple):
    """Where runs are made. `cpus`: processors of each run on a cluster; 0: all of its node."""

    name: str = "here"
    address: str = ""
    cpus: int = 0

    def __str__(self) -> str:
        address = f":{self.address}" if self.address else ""
        return self.name + address + (f"{_CPUS}{self.cpus}" if self.cpus else "")


def named(text: str, address: str = "", cpus: int = 0) -> Where:
    """Read the name of an executor, with what else was given for it. Raises BadInput."""
    text, _, inside = text.partition(_CPUS)
    name, _, behind = text.partition(":")
    if name not in _NAMES:
        raise unknown("--executor", name, _NAMES, "Choose one of these.")
    if inside and not inside.isdigit():
        raise BadInput("--executor", f"cpus is {inside!r}", "expected a whole number", "")
    found = Where(name, address or behind, cpus or int(inside or 0))
    if found.cpus < 0:
        raise BadInput("--ray-cpus", f"it is {found.cpus}", "expected 1 or more", "")
    if name == RAY:
        return found._replace(address=found.address or "auto")
    if found != (name, "", 0):
        flag = "--ray-cpus" if found.cpus else "--ray-address"
        fine = "it belongs to --executor ray"
        raise BadInput(flag, f"it is given for the executor {name}", fine, f"Leave {flag} out.")
    return found


def known(text: str) -> Where:
    """Read the name of an executor as a study keeps it. Raises ValueError."""
    try:
        return named(text)
    except BadInput as error:
        raise ValueError(str(error)) from None


def check(where: Where) -> None:
    """Raise SetupFailed where a cluster does not answer."""
    if where.name == RAY:
        from harness.study.cluster.join import join

        join(where.address)


def crew(text: str) -> Crew:
    """Return who makes the runs. Raises BadInput, SetupFailed."""
    where = named(text)
    if where.name == RAY:
        from harness.study.cluster.crew import joined

        return joined(where.address, where.cpus)
    return OneByOne(EXECUTORS[where.name])
