"""How much memory may this process take? The machine's, or less where a control group says so, as
in a container: beyond its limit the kernel ends the process, however much the machine has left.

A limit of any group around ours counts too. What a group uses is counted without file pages that
are given back at once (memory.current - inactive_file), as container tools count it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import psutil

SHARES = "TOUCHSTONE_MEMORY_SHARES"  # set for processes that take theirs side by side


class _Files(NamedTuple):
    """Where a version of control groups keeps its figures."""

    mount: str
    limit: str
    used: str
    given_back: str


_V1 = _Files(
    "sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"
)
_V2 = _Files("sys/fs/cgroup", "memory.max", "memory.current", "inactive_file")


def limit_bytes(root: Path = Path("/")) -> int | None:
    """Return the smallest limit of our control groups; None where there is none below the machine's
    memory. `root` is another place to read them from.
    """
    return min((limit for limit, _ in _limits(root)), default=None)


def shares(variables: Mapping[str, str] = os.environ) -> int:
    """Return among how many processes like this one the free memory is to be divided."""
    said = variables.get(SHARES, "")
    return max(1, int(said)) if said.isdecimal() else 1


def available_bytes(root: Path = Path("/")) -> int:
    """Return what may be taken now without swapping, and without being ended for it."""
    free = [max(limit - used, 0) for limit, used in _limits(root)]
    return min([int(psutil.virtual_memory().available), *free])


def _limits(root: Path) -> Iterator[tuple[int, int]]:
    """Yield (limit, used) of each group that has a limit."""
    total = psutil.virtual_memory().total
    for files, folder in _groups(root):
        limit, used = _number(folder / files.limit), _number(folder / files.used)
        if limit is None or limit >= total:  # "max", or version 1's number for it
            continue
        yield limit, max((used or 0) - _given_back(folder, files.given_back), 0)


def _groups(root: Path) -> Iterator[tuple[_Files, Path]]:
    """Yield the folders of our groups and of those around them. Inside a container the path may be
    that of the host, and then only the mount itself is ours.
    """
    for line in _text(root / "proc/self/cgroup").splitlines():
        number, controllers, path = (*line.split(":", 2), "", "")[:3]
        if number != "0" and "memory" not in controllers.split(","):
            continue
        files = _V2 if number == "0" else _V1
        mount = root / files.mount
        own = mount / path.lstrip("/")
        for folder in (own, *own.parents):
            if folder.is_relative_to(mount) and ".." not in folder.parts:
                yield files, folder


def _given_back(folder: Path, name: str) -> int:
    for line in _text(folder / "memory.stat").splitlines():
        key, _, value = line.partition(" ")
        if key == name and value.isdecimal():
            return int(value)
    return 0


def _number(path: Path) -> int | None:
    text = _text(path)
    return int(text) if text.isdecimal() else None


def _text(path: Path) -> str:
    with suppress(OSError):
        return path.read_text(errors="replace").strip()
    return ""
