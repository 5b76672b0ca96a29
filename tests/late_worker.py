"""A client's worker on a machine whose clock is off and runs fast: `python -m tests.late_worker
CHANNEL OFFSET_NS PPM`.
"""

from __future__ import annotations

import sys

from harness.kernel.clock import RealClock

real_now_ns = RealClock.now_ns
OFFSET_NS, PPM = int(sys.argv[2]), float(sys.argv[3])
BEGUN_NS = real_now_ns()


def late_now_ns() -> int:
    """Return what that machine's clock shows."""
    now_ns = real_now_ns()
    return now_ns + OFFSET_NS + int((now_ns - BEGUN_NS) * PPM / 1e6)


RealClock.now_ns = staticmethod(late_now_ns)

from sut.served.client import worker  # noqa: E402 (the clock first)

worker.main()
