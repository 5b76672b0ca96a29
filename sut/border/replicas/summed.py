"""What do several replicas say as one? Sums of what each holds, the facts that all share, and a
note where they differ.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any

from harness.kernel.errors import SetupFailed
from harness.kernel.types import MemoryUse, SutFacts
from sut.border.replicas.places import Place

_SUMMED = [field.name for field in fields(MemoryUse) if field.name != "source"]
_HELD = ("weights_bytes", "kv_cache_bytes", "rss_peak_bytes", "gpu_peak_bytes")
_SAME = ("dtype", "attention", "decode_step", "batching", "max_batch", "threads")  # or a note


def memory(uses: Sequence[MemoryUse]) -> MemoryUse:
    """Return the sum of each figure; None where one replica does not tell it. Peaks are added as
    if they came together, since nobody can say that they did not. One replica alone evaluates.
    """
    sums: dict[str, int | None] = {}
    for name in _SUMMED:
        values = [getattr(use, name) for use in uses]
        known = [value for value in values if value is not None]
        is_whole = len(known) == len(uses) or (known and name == "evaluation_peak_bytes")
        sums[name] = sum(known) if is_whole else None
    source = f"sums over {len(uses)} replicas, peaks included; the first: {uses[0].source}"
    return MemoryUse(**sums, source=source)


def held(use: MemoryUse) -> dict[str, int | None]:
    """Return what is told of a replica by itself."""
    told = asdict(use)
    return {name: told[name] for name in _HELD}


def facts(of_each: Sequence[SutFacts], places: Sequence[Place]) -> SutFacts:
    """Return the first one's facts, with what is of all of them."""
    notes = dict.fromkeys(note for told in of_each for note in told.get("notes") or [])
    differing = [name for name in _SAME if len({str(told.get(name)) for told in of_each}) > 1]
    found: dict[str, Any] = {
        **of_each[0],
        "notes": [*notes, *(_difference(name, of_each) for name in differing)],
        "replicas": {"count": len(places), "places": [place.words for place in places]},
    }
    if all("gpus" in told for told in of_each):
        found["gpus"] = [gpu for told in of_each for gpu in told["gpus"]]
    if all("weights_on" in told for told in of_each):
        found["weights_on"] = _weights_on(of_each, places)
    if all("load_s" in told for told in of_each):
        found["load_s"] = max(told["load_s"] for told in of_each)
    return found


def _difference(name: str, of_each: Sequence[SutFacts]) -> str:
    values = ", ".join(str(told.get(name)) for told in of_each)
    return f"the replicas are not alike: {name} is {values}"


def _weights_on(of_each: Sequence[SutFacts], places: Sequence[Place]) -> dict[str, int]:
    """Return the bytes by device, as a process numbers them that sees all GPUs."""
    found: dict[str, int] = {}
    for told, place in zip(of_each, places, strict=True):
        for device, count in told["weights_on"].items():
            name = _numbered(device, place)
            found[name] = found.get(name, 0) + count
    return found


def _numbered(device: str, place: Place) -> str:
    kind, _, number = device.partition(":")
    if kind != "cuda" or not place.gpus:
        return device
    return f"cuda:{place.first_gpu + int(number or 0)}"


def refuse_shared(of_each: Sequence[Mapping[str, Any]], places: Sequence[Place]) -> None:
    """Raise SetupFailed where two replicas are on one GPU: each would be half as fast, under the
    name of two.
    """
    owner: dict[int, int] = {}
    for number, told in enumerate(of_each):
        for gpu in told.get("gpus") or []:
            if gpu is not None and owner.setdefault(gpu, number) != number:
                raise SetupFailed(
                    f"--replicas {len(places)}",
                    f"replicas {owner[gpu] + 1} and {number + 1} have loaded on GPU {gpu}",
                    "each needs a GPU of its own",
                    "Set CUDA_VISIBLE_DEVICES to the GPUs to be used.",
                )
