"""What do these GPUs do now? Memory, utilisation, power, clocks, heat and energy, summed or maximal
over the GPUs of a run; of several GPUs, of each as well.

A figure that one of them refuses is None for all, and the refusal says which and why.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from harness.kernel.machine.nvml import Answer, Nvml, positive, whole

Read = Callable[[Nvml, Any], Answer]
Row = dict[str, Any]
EACH = "_each"  # ends the name of a column that has a value per GPU, in the order of their indices


class Series(NamedTuple):
    """How a figure of one GPU is read, and what it is of several."""

    read: Read
    together: Callable[[list[Any]], Any]


class Gpu(NamedTuple):
    """A GPU, and the driver's handle of it (or why there is none)."""

    number: int  # as nvidia-smi numbers it
    handle: Answer


class Refusal(NamedTuple):
    """A figure that a GPU did not tell."""

    gpu: int
    figure: str
    reason: str


def used_memory(nvml: Nvml, gpu: Any) -> Answer:
    """Return the bytes in use; in older drivers those that the driver reserves are among them."""
    return nvml.read(lambda memory: whole(memory.used), "nvmlDeviceGetMemoryInfo", gpu)


def watts(nvml: Nvml, gpu: Any) -> Answer:
    """Return the power of the whole board; a mean of the last second on most GPUs."""
    return nvml.read(lambda milliwatts: positive(milliwatts) / 1000, "nvmlDeviceGetPowerUsage", gpu)


def _utilisation(nvml: Nvml, gpu: Any) -> Answer:
    return nvml.read(lambda rates: whole(rates.gpu), "nvmlDeviceGetUtilizationRates", gpu)


def _clock(constant: str, default: int) -> Read:
    def read(nvml: Nvml, gpu: Any) -> Answer:
        kind = nvml.constant(constant, default)
        return nvml.read(positive, "nvmlDeviceGetClockInfo", gpu, kind)

    return read


def _celsius(nvml: Nvml, gpu: Any) -> Answer:
    sensor = nvml.constant("NVML_TEMPERATURE_GPU", 0)
    return nvml.read(whole, "nvmlDeviceGetTemperature", gpu, sensor)


def _slowdowns(nvml: Nvml, gpu: Any) -> Answer:
    """Return the reasons as bits, by the driver's new name of the question or its old one."""
    found = nvml.read(whole, "nvmlDeviceGetCurrentClocksEventReasons", gpu)
    if not found.refusal:
        return found
    older = nvml.read(whole, "nvmlDeviceGetCurrentClocksThrottleReasons", gpu)
    return found if older.refusal else older


def _millijoules(nvml: Nvml, gpu: Any) -> Answer:
    """Return the energy since the driver was loaded (Volta and later)."""
    return nvml.read(whole, "nvmlDeviceGetTotalEnergyConsumption", gpu)


def _either(bits: list[int]) -> int:
    together = 0
    for more in bits:
        together |= more
    return together


SERIES: dict[str, Series] = {
    "gpu_energy_mj": Series(_millijoules, sum),  # first: nearest to the moment of the row
    "gpu_watts": Series(watts, sum),
    "gpu_memory_bytes": Series(used_memory, sum),
    "gpu_utilisation_percent": Series(_utilisation, max),
    "gpu_sm_mhz": Series(_clock("NVML_CLOCK_SM", 1), min),
    "gpu_memory_mhz": Series(_clock("NVML_CLOCK_MEM", 2), min),
    "gpu_celsius": Series(_celsius, max),
    "gpu_slowdowns": Series(_slowdowns, _either),
}


def opened(nvml: Nvml, indices: Sequence[int]) -> list[Gpu]:
    """Return these GPUs, in this order."""
    return [Gpu(index, nvml.ask("nvmlDeviceGetHandleByIndex", index)) for index in indices]


def read(
    nvml: Nvml, gpus: Sequence[Gpu], figures: Mapping[str, Series] = SERIES
) -> tuple[Row, list[Refusal]]:
    """Read these figures of these GPUs."""
    row: Row = {}
    refused = []
    for name, series in figures.items():
        answers = [
            gpu.handle if gpu.handle.refusal else series.read(nvml, gpu.handle.value)
            for gpu in gpus
        ]
        row |= together(name, [answer.value for answer in answers], series.together)
        refused += [
            Refusal(gpu.number, name, answer.refusal)
            for gpu, answer in zip(gpus, answers, strict=True)
            if answer.refusal
        ]
    return row, refused


def together(name: str, values: list[Any], join: Callable[[list[Any]], Any]) -> Row:
    """Return the column of all GPUs, and of several the one of each; None: a GPU did not tell."""
    is_whole = all(value is not None for value in values)
    row = {name: join(values) if is_whole else None}
    return row | {name + EACH: values} if len(values) > 1 else row
