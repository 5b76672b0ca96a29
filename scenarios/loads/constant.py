"""One query every 1 / rate seconds: the k-th is due at k / rate, rounded once."""

from __future__ import annotations

import numpy as np

from harness.kernel.types import RunSettings
from scenarios.loads.load import Arrive, Load, whole_ns


class Constant(Load):
    """`constant`."""

    def arrivals(self, settings: RunSettings) -> Arrive:
        return lambda n: whole_ns(np.arange(n) / settings.target_qps)
