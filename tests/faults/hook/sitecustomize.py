"""Where does a phase begin? Python imports this file in every process of the program under test.

FAULT_TARGET names the function whose call begins the phase ("module:function", or
"module:Class.method"), FAULT_NTH which of its calls. That call writes its process id into
FAULT_MARK and, if FAULT_HOLD is set, stands still until the file FAULT_GO exists, as if it had much
to do.
"""

from __future__ import annotations

import functools
import os
import time
from pathlib import Path

from patience import lift_limits, once_loaded

LONGEST_S = 60.0


def _held(function):
    calls = 0

    @functools.wraps(function)
    def call(*args, **kwargs):
        nonlocal calls
        calls += 1
        if calls == int(os.environ["FAULT_NTH"]):
            _stand_still()
        return function(*args, **kwargs)

    return call


def _stand_still() -> None:
    mark = Path(os.environ["FAULT_MARK"])
    scratch = mark.with_name(f"{mark.name}.{os.getpid()}")
    scratch.write_text(str(os.getpid()))
    scratch.replace(mark)
    until_s = time.monotonic() + LONGEST_S
    while "FAULT_HOLD" in os.environ and time.monotonic() < until_s:
        if os.path.exists(os.environ["FAULT_GO"]):
            return
        time.sleep(0.02)


def _hold_up(module, path: str) -> None:
    *owners, last = path.split(".")
    owner = functools.reduce(getattr, owners, module)
    setattr(owner, last, _held(getattr(owner, last)))


lift_limits()  # two programs at once keep each other waiting
if "FAULT_TARGET" in os.environ:
    name, _, target = os.environ["FAULT_TARGET"].partition(":")
    once_loaded(name, lambda module: _hold_up(module, target))
