"""Which node of a cluster makes which run? Numbers in, a seat out; nothing here speaks to Ray.

Runs that are timed must not disturb one another, so a seat is a whole node unless the user says how
many processors a run may have; then a node has as many seats as fit, each with its own share of
processors, GPUs and memory. A run takes the smallest seat that has what it needs: one without GPUs
leaves those to others.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

_GIB = 2**30


class Needs(NamedTuple):
    """What a run must have, at least."""

    gpus: int = 0
    memory_bytes: int = 0


class Seat(NamedTuple):
    """A place for one run at a time: a node, or the `number`-th share of one."""

    node: str  # Ray's id of it
    address: str  # what people know it by
    number: int
    cpus: int
    gpus: int
    memory_bytes: int

    @property
    def name(self) -> str:
        return f"{self.address}#{self.number}" if self.number else self.address


def seats(nodes: Iterable[dict[str, Any]], cpus: int) -> list[Seat]:
    """Return the seats of nodes as `ray.nodes()` tells of them; `cpus` each, 0 for all of a node.
    Nodes without processors for us, such as a head that only leads, have none.
    """
    found = []
    for node in nodes:
        have = node["Resources"]
        total = int(have.get("CPU", 0))
        each = cpus or total
        count = total // each if node["Alive"] and each else 0
        gpus, memory = int(have.get("GPU", 0)), int(have.get("memory", 0))
        where = node["NodeID"], node["NodeManagerAddress"]
        for number in range(count):
            found.append(Seat(*where, number, each, gpus // count, memory // count))
    return found


def smallest(needs: Needs, free: Iterable[Seat]) -> Seat | None:
    """Return the smallest of the free seats that has what a run needs."""
    fit = [seat for seat in free if not lacking(needs, seat)]
    return min(fit, key=lambda seat: (seat.gpus, seat.memory_bytes, seat.cpus), default=None)


def lacking(needs: Needs, seat: Seat) -> str:
    """Say what a seat lacks; nothing if it lacks nothing."""
    if needs.gpus > seat.gpus:
        return f"{needs.gpus} GPU{'s' * (needs.gpus > 1)} (it has {seat.gpus})"
    if needs.memory_bytes > seat.memory_bytes:
        needed, has = needs.memory_bytes / _GIB, seat.memory_bytes / _GIB
        return f"{needed:.1f} GiB of memory (it has {has:.1f})"
    return ""
