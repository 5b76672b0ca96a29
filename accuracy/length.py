"""How long are the answers? MLPerf bounds the mean tokens per sample as well as ROUGE: a short answer is cheap."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.types import Metric, RunLog, Sample


def tokens_per_sample(log: RunLog, samples: Sequence[Sample], ids: NDArray[Any]) -> list[Metric]:
    """Mean over the samples `ids`."""
    tokens = log.tokens[ids]
    if not tokens.any():
        return []
    return [Metric("tokens_per_sample", float(np.mean(tokens)), "tokens", len(tokens))]
