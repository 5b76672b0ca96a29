"""Where is the server's program? In an environment of its own, or on the PATH."""

from __future__ import annotations

import os
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path

from harness.kernel.errors import BadInput, SetupFailed
from harness.kernel.places import expanded


def python(given: Path | None, package: str) -> str:
    """Return the Python of --server-python, a file or a virtual environment; without it our own, if
    it has the package. Raises BadInput, SetupFailed.
    """
    if given is None:
        if find_spec(package) is None:
            found = f"{package} is not installed beside the harness"
            todo = f"Pass --server-python PATH of an environment that has {package}."
            raise SetupFailed(f"--sut {package}", found, "", todo)
        return sys.executable
    path = expanded(given)
    if path.is_dir():
        path = next((path / end for end in _PYTHONS if (path / end).is_file()), path / _PYTHONS[0])
    if not path.is_file() or not os.access(path, os.X_OK):
        found = "it is no program" if path.exists() else f"there is no {path}"
        fine = "expected a Python, or the folder of a virtual environment"
        raise BadInput(f"--server-python {given}", found, fine)
    return str(path.absolute())  # not resolved: a virtual environment's Python is a link


def on_path(program: str) -> str:
    """Return the program's path. Raises SetupFailed."""
    found = shutil.which(program)
    if found is None:
        todo = "Install it, and put its folder on the PATH."
        raise SetupFailed(f"--sut {program}", f"{program} is not on the PATH", "", todo)
    return str(Path(found).absolute())


_PYTHONS = ("bin/python", "Scripts/python.exe")
