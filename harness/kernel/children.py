"""How is a process of our own started? As `python -m MODULE`, which finds our packages wherever
this process found them.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]  # the folder that has our packages


def command(module: str, *arguments: str) -> list[str]:
    """Return the command line that runs one of our modules."""
    return [sys.executable, "-m", module, *arguments]


def variables(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment of such a process: this one's, with `more`, and our packages."""
    known = os.environ.get("PYTHONPATH", "")
    paths = os.pathsep.join(filter(None, (str(ROOT), known)))
    return {**os.environ, **(more or {}), "PYTHONPATH": paths}
