"""Which GPUs does this machine have, and which of them does a run use? What they do meanwhile is
read by `harness.engine.metering`.

Figures that the driver does not give are None, with its words under `refused`. The GPUs of a run
are those that its SUT names. A SUT that names none may use any that CUDA sees: their energy is
theirs, whoever used them, and is called so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from harness.kernel.machine.nvml import Answer, Nvml, positive, text, whole
from harness.kernel.machine.visible import SLICED, UNLISTED, UNORDERED, Gpu, is_ordered, visible

Read = Callable[[Nvml, Any], Answer]


def describe() -> tuple[list[dict[str, Any]], str]:
    """Return name, memory, driver and links of each NVIDIA GPU, and why the driver cannot be asked
    ("" if it can).
    """
    nvml = Nvml()
    rows = [_described(nvml, *numbered) for numbered in enumerate(nvml.gpus())]
    problem = nvml.problem or nvml.ask("nvmlDeviceGetCount").refusal
    nvml.close()
    return rows, problem


def _described(nvml: Nvml, index: int, handle: Answer) -> dict[str, Any]:
    answers = {name: handle for name in FIGURES}
    if not handle.refusal:
        answers = {name: read(nvml, handle.value) for name, read in FIGURES.items()}
    values = {name: None if answer.refusal else answer.value for name, answer in answers.items()}
    refused = {name: answer.refusal for name, answer in answers.items() if answer.refusal}
    return {"index": index, **values, "refused": refused}


def _number(function: str, *arguments: int) -> Read:
    return lambda nvml, gpu: nvml.read(whole, function, gpu, *arguments)


def _name(nvml: Nvml, gpu: Any) -> Answer:
    return nvml.read(text, "nvmlDeviceGetName", gpu)


def _memory(nvml: Nvml, gpu: Any) -> Answer:
    return nvml.read(lambda memory: positive(memory.total), "nvmlDeviceGetMemoryInfo", gpu)


def _driver(nvml: Nvml, gpu: Any) -> Answer:
    return nvml.read(text, "nvmlSystemGetDriverVersion")


def _links(nvml: Nvml, gpu: Any) -> Answer:
    """Count the NVLinks that are active, if there is one of which the driver tells."""
    links = range(nvml.constant("NVML_NVLINK_MAX_LINKS", 0))
    answers = [nvml.read(whole, "nvmlDeviceGetNvLinkState", gpu, link) for link in links]
    told = [answer.value for answer in answers if not answer.refusal]
    return Answer(sum(told)) if told else answers[0] if answers else Answer(0)


def _clock(nvml: Nvml, gpu: Any) -> Answer:
    kind = nvml.constant("NVML_CLOCK_SM", 1)
    return nvml.read(positive, "nvmlDeviceGetMaxClockInfo", gpu, kind)


def _is_sliced(nvml: Nvml, gpu: Any) -> Answer:
    return nvml.read(lambda modes: int(modes[0]) == 1, "nvmlDeviceGetMigMode", gpu)


FIGURES: dict[str, Read] = {
    "name": _name,
    "memory_bytes": _memory,
    "driver": _driver,
    "memory_bus_bits": _number("nvmlDeviceGetMemoryBusWidth"),
    "pcie_generation": _number("nvmlDeviceGetMaxPcieLinkGeneration"),
    "pcie_lanes": _number("nvmlDeviceGetMaxPcieLinkWidth"),
    "nvlinks": _links,
    "max_clock_mhz": _clock,
    "mig": _is_sliced,
}


# ---- which of them a run uses


@dataclass(frozen=True, slots=True)
class Metered:
    """The GPUs whose figures a run gets, by nvidia-smi's index. `whose`: those that the SUT named,
    or all that CUDA sees. `problem` says why there are none where there should be some.
    """

    whose: Literal["used", "visible"]
    indices: list[int] = field(default_factory=list)
    problem: str = ""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def metered(facts: Mapping[str, Any], variables: Mapping[str, str]) -> Metered:
    """Choose the GPUs of a run by what its SUT says of itself: `gpus` (indices, None for one that
    it could not find), else the devices of `weights_on` or `device`.
    """
    devices = _devices(facts)
    if facts.get("gpus") == [] or (facts.get("gpus") is None and devices == []):
        return Metered("used")
    nvml = Nvml()
    gpus = [_identity(nvml, handle) for handle in nvml.gpus()]
    problem = nvml.problem
    nvml.close()
    if problem or not gpus:
        return Metered("used" if devices else "visible", problem=problem if devices else "")
    if facts.get("gpus") is not None:
        return _whole("used", list(facts["gpus"]), gpus)
    seen = visible(gpus, variables)
    if devices is None:
        named = _whole("visible", list(seen.indices), gpus)
        return Metered("visible", problem=seen.problem) if seen.problem else named
    if seen.problem:
        return Metered("used", problem=seen.problem)
    if "CUDA_VISIBLE_DEVICES" not in variables and not is_ordered(gpus, variables):
        return Metered("used", problem=UNORDERED)
    found = [seen.indices[n] if n < len(seen.indices) else None for n in devices]
    return _whole("used", found, gpus)


def _devices(facts: Mapping[str, Any]) -> list[int] | None:
    """Return the numbers of the CUDA devices that a SUT names; None if it names no device."""
    named = [*(facts.get("weights_on") or {}), str(facts.get("device") or "")]
    named = [device for device in named if device]
    if not named:
        return None
    numbers = [device.partition(":")[2] or "0" for device in named if device.startswith("cuda")]
    return sorted({int(number) for number in numbers if number.isdecimal()})


def _identity(nvml: Nvml, handle: Answer) -> Gpu:
    if handle.refusal:
        return Gpu("", "")
    uuid = nvml.read(text, "nvmlDeviceGetUUID", handle.value).value or ""
    name = _name(nvml, handle.value).value or ""
    return Gpu(name, uuid, bool(_is_sliced(nvml, handle.value).value))


def _whole(
    whose: Literal["used", "visible"], indices: Sequence[int | None], gpus: Sequence[Gpu]
) -> Metered:
    """Keep what can be metered: all of the GPUs, or none and the reason."""
    known = sorted({i for i in indices if i is not None and i < len(gpus)})
    if len(known) < len(set(indices)):
        return Metered(whose, problem=UNLISTED)
    if any(gpus[i].is_sliced for i in known):
        return Metered(whose, problem=SLICED)
    return Metered(whose, known)
