"""Which columns about its GPUs does a row of telemetry.parquet get? The figures in every row; PCIe
and the neighbours seldom, since the driver takes its time for them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from functools import partial

from harness.engine.metering import figures
from harness.engine.metering.figures import Refusal, Row
from harness.engine.metering.neighbours import Neighbours
from harness.engine.metering.pcie import throughput
from harness.engine.metering.seldom import Seldom
from harness.kernel.clock import monotonic_ns
from harness.kernel.machine.nvml import Nvml

REFUSED, TOOK = "gpu_refused", "gpu_read_ms"


class Meter:
    """Reads these GPUs (nvidia-smi's indices); `roots` are processes of the run itself."""

    def __init__(
        self,
        indices: Sequence[int],
        roots: Collection[int],
        now_ns: Callable[[], int] = monotonic_ns,
    ) -> None:
        self._nvml, self._now_ns = Nvml(), now_ns
        self._gpus = figures.opened(self._nvml, indices)
        neighbours = Neighbours(self._nvml, self._gpus, roots)
        self._seldom = (
            Seldom(neighbours.read, now_ns),
            Seldom(partial(throughput, self._nvml, self._gpus), now_ns),
        )
        self._refused = dict[tuple[int, str], str]()

    def read(self) -> Row:
        """Return the columns of a row. Refusals are told when they begin."""
        if not self._gpus:
            return {}
        began_ns = self._now_ns()
        row, refused = figures.read(self._nvml, self._gpus)
        row[TOOK] = (self._now_ns() - began_ns) / 1e6
        for ask in self._seldom:
            more, again = ask() or ({}, [])
            row |= more
            refused += again
        news = [one for one in refused if self._refused.get((one.gpu, one.figure)) != one.reason]
        self._refused |= {(one.gpu, one.figure): one.reason for one in news}
        return row | ({REFUSED: [_told(one) for one in news]} if news else {})


def _told(refusal: Refusal) -> Row:
    return refusal._asdict()
