"""What did the GPUs of a run use and do? `energy` and `gpus` of result.json."""

from __future__ import annotations

from harness.kernel.machine.slowdowns import REASONS
from harness.schema.parts import (
    by_name,
    choice,
    empty_or,
    many,
    maybe,
    number,
    record,
    text,
    whole,
)

ENERGY = empty_or(record("Energy, where the GPUs count it or power was sampled.", {
    "joules": maybe(number("Energy over the run.", "J")),
    "joules_per_token": maybe(number("Energy per output token.", "J/token")),
    "watts_mean": maybe(number("Mean power.", "W")),
    "idle_watts": maybe(number(
        "Power in the second before the model was loaded, or the run began where a server runs "
        "already. It is part of `joules`.", "W"
    )),
    "sampled_joules": maybe(number(
        "Energy by the samples of the power, whatever the source of `joules` is.", "J"
    )),
    "whose": choice(
        "Which GPUs were metered: those that the SUT named, all that CUDA_VISIBLE_DEVICES "
        "leaves, or (runs of older versions) all of the machine.",
        "used", "visible", "machine",
    ),
    "gpus": maybe(many("Their numbers, as in nvidia-smi.", whole("Number."))),
    "source": text("How energy or power was read, and of which GPUs."),
}, optional=("idle_watts", "sampled_joules")))  # fmt: skip

_NAMES = ", ".join(reason.name for reason in REASONS)
GPUS = many(
    "What each GPU of the run did in the timed span, by NVML. Null: the driver does not tell.",
    record("A GPU.", {
        "gpu": whole("Its number, as in nvidia-smi."),
        "utilisation_percent": maybe(number("Mean utilisation.", "% of the time")),
        "memory_peak_bytes": maybe(whole("Most memory in use, whoever used it.", "B")),
        "watts_mean": maybe(number("Mean of the samples of its power.", "W")),
        "watts_max": maybe(number("Highest sample of its power.", "W")),
        "sm_mhz_mean": maybe(number("Mean clock of its processors (SM).", "MHz")),
        "sm_mhz_min": maybe(number("Lowest clock of its processors.", "MHz")),
        "memory_mhz_mean": maybe(number("Mean clock of its memory.", "MHz")),
        "celsius_max": maybe(number("Highest temperature.", "°C")),
        "pcie_sent_bytes_per_s": maybe(number("Mean of what it sent over PCIe.", "B/s")),
        "pcie_received_bytes_per_s": maybe(number("Mean of what it received over PCIe.", "B/s")),
        "joules": maybe(number("Energy by its own counter.", "J")),
        "idle_watts": maybe(number("Power in the second before the run.", "W")),
        "throttled_percent": maybe(number(
            "Time in which heat, the power brake or the hardware held its clocks down.",
            "% of the time",
        )),
        "power_capped_percent": maybe(number(
            "Time in which the power cap held its clocks down.", "% of the time"
        )),
        "slowdowns": by_name(
            f"Time under each of the driver's reasons for lower clocks ({_NAMES}).",
            number("Time.", "% of the time"),
        ),
    }),
)  # fmt: skip
