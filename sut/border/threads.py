"""How many threads may the model use, and do they spin while they wait? Decided here, before torch
is imported.

OpenMP threads that spin at the end of a parallel region are fastest while nobody else wants their
core, and several times slower when somebody does; threads that sleep at once pay a wake-up per
region. A short spin has most of both. SmolLM2-135M in fp32, 8 requests, 2 cores, tokens/s on a
quiet machine and beside one busy process:

    libgomp's default   107   30          GOMP_SPINCOUNT=1000     96   50  (chosen)
    passive              83   55          GOMP_SPINCOUNT=20000   101   17
"""

from __future__ import annotations

import os

import psutil

_SPINS = "1000"


def environment() -> dict[str, str]:
    """Return the variables for the SUT process. What the user has set already stays."""
    chosen = {
        "OMP_NUM_THREADS": str(_physical_cores()),
        "GOMP_SPINCOUNT": _SPINS,
        "TOKENIZERS_PARALLELISM": "false",
    }
    if "OMP_WAIT_POLICY" in os.environ:
        del chosen["GOMP_SPINCOUNT"]
    return {name: os.environ.get(name, value) for name, value in chosen.items()}


def _physical_cores() -> int:
    """Count the physical cores this process may use: hyper-threads do not help matrix products."""
    allowed = (
        len(psutil.Process().cpu_affinity())
        if hasattr(psutil.Process, "cpu_affinity")
        else psutil.cpu_count()
    )
    return max(1, min(psutil.cpu_count(logical=False) or 1, allowed or 1))
