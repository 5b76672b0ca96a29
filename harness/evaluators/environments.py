"""Where is each tool installed? In a virtual environment of its own, beside our packages: what the
tools need contradicts one another, and us. pip's own words are shown as they come.
"""

from __future__ import annotations

import subprocess
import sys
import venv
from collections.abc import Sequence
from pathlib import Path

from harness.evaluators.tool import Tool
from harness.evaluators.tools import TABLE
from harness.kernel import files
from harness.kernel.errors import SetupFailed, unknown
from harness.kernel.process.children import ROOT
from harness.kernel.process.streams import tell

PLACE = ROOT / ".venv-tools"
_READY = ".ready"  # what is installed, written at the end


def python_in(tool: Tool, place: Path = PLACE) -> Path:
    """Return the Python of the environment that has a tool, or would have it."""
    folder = "Scripts" if sys.platform == "win32" else "bin"
    return place / tool.name / folder / "python"


def make(names: Sequence[str], place: Path = PLACE) -> None:
    """Make the environments of these tools, of all if none is named. Raises BadInput, SetupFailed;
    those that were made before stay.
    """
    for name in names or TABLE:
        if name not in TABLE:
            raise unknown("TOOLS", name, TABLE, "Choose one of these.")
        _make(TABLE[name], place)


def _make(tool: Tool, place: Path) -> None:
    folder, wanted = place / tool.name, "\n".join(tool.packages)
    ready = folder / _READY
    if ready.exists() and ready.read_text("utf-8") == wanted:
        return
    tell(f"installing {' '.join(tool.packages)} in {folder}")
    venv.create(folder, with_pip=True)
    words = [str(python_in(tool, place)), "-m", "pip", "install", "--quiet", *tool.packages]
    if subprocess.run(words, stdin=subprocess.DEVNULL, check=False).returncode:
        todo = "See pip's words above."
        raise SetupFailed(f"installing {tool.name}", "pip failed", "it needs the network", todo)
    files.write_text(ready, wanted)
