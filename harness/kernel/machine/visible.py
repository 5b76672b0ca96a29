"""Which of the machine's GPUs does CUDA see, and under which number?

CUDA_VISIBLE_DEVICES lists indices or UUIDs, which may be cut short if they stay unambiguous. The
list ends before the first that does not exist; one that is named twice leaves none. Indices follow
the order of nvidia-smi where CUDA_DEVICE_ORDER=PCI_BUS_ID; by default the fastest comes first,
which among equal GPUs is the same order (CUDA Programming Guide, Environment variables).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

_NUMBER = re.compile(r"\s*\+?([0-9]+)")  # as strtoul reads it: 1gpu is 1

UNORDERED = (
    "the GPUs differ, and CUDA numbers them by speed; with CUDA_DEVICE_ORDER=PCI_BUS_ID its numbers"
    " are those of nvidia-smi"
)
SLICED = "it used a MIG slice of a GPU, and the driver meters whole GPUs only"
UNLISTED = "the driver does not list the GPU that it used"


class Gpu(NamedTuple):
    """What tells a GPU from others; empty where the driver does not say."""

    name: str
    uuid: str
    is_sliced: bool = False  # into MIG devices


class Seen(NamedTuple):
    """The indices of nvidia-smi in CUDA's order, or why they are not known."""

    indices: tuple[int, ...] = ()
    problem: str = ""


def visible(gpus: Sequence[Gpu], variables: Mapping[str, str]) -> Seen:
    """Return the GPUs that a process with these environment variables sees."""
    listed = variables.get("CUDA_VISIBLE_DEVICES")
    if listed is None:
        return Seen(tuple(range(len(gpus))))
    words = [word.strip() for word in listed.split(",")]
    if words[0].startswith("MIG-"):
        return Seen(problem=SLICED)
    if words[0].startswith("GPU-"):
        return _by_uuid(words, gpus)
    found = _by_number(words, len(gpus))
    if found.indices and not is_ordered(gpus, variables):
        return Seen(problem=UNORDERED)
    return found


def is_ordered(gpus: Sequence[Gpu], variables: Mapping[str, str]) -> bool:
    """Tell whether CUDA numbers the GPUs as nvidia-smi does."""
    alike = len({gpu.name for gpu in gpus}) <= 1
    return alike or variables.get("CUDA_DEVICE_ORDER", "").strip().upper() == "PCI_BUS_ID"


def _by_uuid(words: Sequence[str], gpus: Sequence[Gpu]) -> Seen:
    found: list[int] = []
    for word in words:
        meant = [i for i, gpu in enumerate(gpus) if word and gpu.uuid.startswith(word)]
        if len(meant) != 1:
            break
        if meant[0] in found:
            return Seen()
        found.append(meant[0])
    return Seen(tuple(found))


def _by_number(words: Sequence[str], count: int) -> Seen:
    found: list[int] = []
    for word in words:
        match = _NUMBER.match(word)
        index = int(match[1]) if match else count
        if index >= count:
            break
        if index in found:
            return Seen()
        found.append(index)
    return Seen(tuple(found))
