"""Which harness is installed here? What must be the same on every machine that has a part in one
measurement.
"""

from __future__ import annotations

import hashlib
import platform
from functools import cache
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]  # the folder that has our packages
_OURS = ("accuracy", "harness", "reports", "scenarios", "sut")


@cache
def versions() -> dict[str, str]:
    """Return the version, a digest of the source, and Python's version."""
    try:
        version = metadata.version("touchstone-harness")
    except metadata.PackageNotFoundError:
        version = "(not installed)"
    python = ".".join(platform.python_version_tuple()[:2])
    return {"touchstone": version, "source": _digest(), "python": python}


def differing(theirs: dict[str, str]) -> str:
    """Say what is another version there than here; nothing if all are the same."""
    ours = versions()
    other = [name for name in ours if theirs.get(name) != ours[name]]
    return ", ".join(f"{name} {theirs.get(name, '?')} (here {ours[name]})" for name in other)


def _digest() -> str:
    """Return a digest of our own code, as it is installed here."""
    digest = hashlib.sha256()
    for package in _OURS:
        for path in sorted((ROOT / package).rglob("*.py")):
            digest.update(path.relative_to(ROOT).as_posix().encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()[:12]
