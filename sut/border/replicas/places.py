"""Where does each replica run? On GPUs of its own, or on processor cores of its own.

A replica sees its own GPUs alone (CUDA_VISIBLE_DEVICES), so to each of them its first is cuda:0.
The entries of that variable are handed on as they stand: indices, UUIDs or MIG slices.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

from harness.kernel.errors import SetupFailed
from harness.kernel.machine.memory import SHARES
from harness.kernel.machine.nvml import Answer, Nvml, text
from harness.kernel.machine.visible import SLICED, Gpu, visible
from sut.border.replicas import cores

_VISIBLE, _THREADS = "CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS"
Kind = Literal["auto", "cpu", "cuda"]


class Place(NamedTuple):
    """A replica's own part of the machine. `words` name it to people, `gpus` are entries of
    CUDA_VISIBLE_DEVICES, `first_gpu` is CUDA's number of the first to a process that sees all.
    """

    words: str
    environment: dict[str, str]
    cores: tuple[int, ...] = ()
    gpus: tuple[str, ...] = ()
    first_gpu: int = 0


def places(
    count: int, kind: Kind, takes_all_gpus: bool = False, variables: Mapping[str, str] = os.environ
) -> list[Place]:
    """Give each of `count` replicas a place; with `takes_all_gpus` the GPUs are divided among them,
    else each has one. Raises SetupFailed where there are fewer GPUs or cores than replicas.
    """
    gpus = [] if kind == "cpu" else gpus_seen(variables)
    if kind == "cuda" or gpus:
        return _on_gpus(count, gpus, takes_all_gpus, variables)
    return _on_cores(count, variables)


def gpus_seen(variables: Mapping[str, str]) -> list[str]:
    """Return the GPUs that CUDA sees, as entries of CUDA_VISIBLE_DEVICES."""
    nvml = Nvml()
    gpus = [_identity(nvml, handle) for handle in nvml.gpus()]
    nvml.close()
    listed = variables.get(_VISIBLE)
    if listed is None:
        return [str(number) for number in range(len(gpus))]
    words = [word.strip() for word in listed.split(",") if word.strip()]
    # how they are numbered is of no account here: the entries are handed on
    seen = visible(gpus, {**variables, "CUDA_DEVICE_ORDER": "PCI_BUS_ID"})
    return words if seen.problem == SLICED and gpus else words[: len(seen.indices)]


def _identity(nvml: Nvml, handle: Answer) -> Gpu:
    if handle.refusal:
        return Gpu("", "")
    return Gpu("", nvml.read(text, "nvmlDeviceGetUUID", handle.value).value or "")


def _on_gpus(
    count: int, gpus: Sequence[str], takes_all: bool, variables: Mapping[str, str]
) -> list[Place]:
    if len(gpus) < count:
        found = f"CUDA sees {len(gpus)} GPU{'s' * (len(gpus) != 1)} on this machine"
        fine = "each replica needs a GPU of its own"
        raise SetupFailed(f"--replicas {count}", found, fine, "Lower it, or pass --device cpu.")
    each = len(gpus) // count if takes_all else 1
    threads = _threads(_cores_beside_gpus(count), variables)
    found_places = []
    for first in range(0, each * count, each):
        own = tuple(gpus[first : first + each])
        words = f"GPU{'s' * (each > 1)} {', '.join(own)}"
        sees = {_VISIBLE: ",".join(own), **threads}
        found_places.append(Place(words, sees, gpus=own, first_gpu=first))
    return found_places


def _threads(count: int, variables: Mapping[str, str]) -> dict[str, str]:
    """Return the variable for so many threads, unless the user has set it."""
    return {} if _THREADS in variables else {_THREADS: str(count)}


def _cores_beside_gpus(count: int) -> int:
    """Return the cores for each: they are divided in number, but nobody is kept off any."""
    cpus = cores.allowed()
    return max(1, len({(cpu.socket, cpu.core) for cpu in cpus}) // count)


def _on_cores(count: int, variables: Mapping[str, str]) -> list[Place]:
    try:
        shares = cores.shares(count)
    except ValueError as error:
        found, fine = f"this process may use {error}", "each replica needs a core of its own"
        raise SetupFailed(f"--replicas {count}", found, fine, "Lower it.") from None
    memory = {SHARES: str(count)}  # they take their caches from one memory
    return [
        Place(_in_words(share), memory | _threads(share.threads, variables), share.numbers)
        for share in shares
    ]


def _in_words(share: cores.Share) -> str:
    """Name the processors, neighbours as a range: "processors 0-3, 8-11"."""
    if not share.numbers:
        return f"{share.threads} thread{'s' * (share.threads != 1)}"
    spans: list[list[int]] = []
    for number in sorted(share.numbers):
        if spans and number == spans[-1][-1] + 1:
            spans[-1].append(number)
        else:
            spans.append([number])
    parts = [f"{span[0]}-{span[-1]}" if len(span) > 1 else str(span[0]) for span in spans]
    return f"processor{'s' * (len(share.numbers) > 1)} {', '.join(parts)}"
