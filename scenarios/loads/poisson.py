"""Many users who do not know of one another: gaps are exponential, drawn and truncated as LoadGen
does it, bit for bit. The only load of MLPerf's closed division.
"""

from __future__ import annotations

from scenarios.loads.load import Load


class Poisson(Load):
    """The default."""
