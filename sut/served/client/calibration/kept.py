"""How much can one worker take, as far as this machine knows? Kept from one run to the next."""

from __future__ import annotations

import os
import platform
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from harness.kernel import files
from harness.kernel.places import state_folder

VERSION = 1  # of what a worker does with an answer
LOAD = 0.6  # of its capacity that a worker is given
_FILE = "client.json"


class Capacity(NamedTuple):
    """Of one worker with a processor of its own."""

    answers_per_s: float  # in one write each
    chunks_per_s: float  # that come apart

    def workers(self, answers_per_s: float, chunks_per_s: float) -> int:
        """Return how many workers such a load takes; one for each processor at most."""
        share = answers_per_s / self.answers_per_s + chunks_per_s / self.chunks_per_s
        return max(1, min(int(-(-share // LOAD)), os.cpu_count() or 1))


def known() -> Capacity | None:
    """Return what was measured here before, by a worker like ours."""
    try:
        found = msgspec.json.decode(_path().read_bytes())
        if found["machine"] != _machine():
            return None
        made = Capacity(float(found["answers_per_s"]), float(found["chunks_per_s"]))
    except (OSError, RuntimeError, msgspec.MsgspecError, KeyError, TypeError, ValueError):
        return None
    return made if min(made) > 0 else None


def keep(found: Capacity) -> None:
    """Keep it; where that cannot be done, it is measured again next time."""
    with suppress(OSError, RuntimeError):
        path = _path()
        path.parent.mkdir(parents=True, exist_ok=True)
        files.write_json(path, {"machine": _machine(), **found._asdict()})


def _path() -> Path:
    return state_folder(_FILE)


def _machine() -> list[Any]:
    return [VERSION, platform.node(), platform.python_version(), os.cpu_count()]
