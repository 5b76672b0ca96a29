"""How much goes over the PCIe link of these GPUs?

The driver answers by counting for 20 ms, and whoever asks stands still meanwhile: 40 ms a GPU for
both directions. So this is asked seldom (`metering.seldom`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from harness.engine.metering.figures import Gpu, Read, Refusal, Row, Series, read
from harness.kernel.machine.nvml import Answer, Nvml, whole

_BYTES_PER_KB = 1000  # the driver says KB/s


def _link(constant: str, default: int) -> Read:
    def ask(nvml: Nvml, gpu: Any) -> Answer:
        direction = nvml.constant(constant, default)
        function = "nvmlDeviceGetPcieThroughput"
        return nvml.read(lambda kb: _BYTES_PER_KB * whole(kb), function, gpu, direction)

    return ask


SERIES = {
    "gpu_pcie_sent_bytes_per_s": Series(_link("NVML_PCIE_UTIL_TX_BYTES", 0), sum),
    "gpu_pcie_received_bytes_per_s": Series(_link("NVML_PCIE_UTIL_RX_BYTES", 1), sum),
}


def throughput(nvml: Nvml, gpus: Sequence[Gpu]) -> tuple[Row, list[Refusal]]:
    """Return the bytes per second that each GPU sends and receives now, summed."""
    return read(nvml, gpus, SERIES)
