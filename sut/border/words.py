"""Where do the words of a SUT go while it runs? To a file outside the run folder, so that its own
stdout does not lead it to what it is judged by; they join sut.log when the run is over.

The file has a name, in the folder for temporary files: should this process be killed, the words
are still there (`touchstone_*.log`). sut.log is never opened through a symbolic link, which the
SUT might have put in its place.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from harness.kernel import files
from harness.kernel.errors import first_line
from harness.kernel.process.streams import tell

_TAIL_BYTES = 64 * 1024
_SHOWN = 300  # characters of the last line


class Words:
    """`file` is for the child's stdout and stderr. `keep` may be called more than once: it appends
    what is new to `target`.
    """

    def __init__(self, target: Path) -> None:
        self.target = target
        number, name = tempfile.mkstemp(prefix="touchstone_", suffix=".log")
        self.file = os.fdopen(number, "ab")
        self._scratch = Path(name)
        self._kept_bytes = 0

    def last_line(self) -> str:
        """Return the last line so far, shortened; empty if nothing was written."""
        with self._scratch.open("rb") as file:
            end = file.seek(0, os.SEEK_END)
            file.seek(max(end - _TAIL_BYTES, 0))
            text = file.read().decode(errors="replace").strip()
        return text.splitlines()[-1][:_SHOWN] if text else ""

    def keep(self) -> bool:
        """Append what is new to the target; say where the words are if that cannot be done."""
        try:
            with (
                self._scratch.open("rb") as source,
                files.opened_log(self.target) as target,
            ):
                source.seek(self._kept_bytes)
                shutil.copyfileobj(source, target)
                self._kept_bytes = source.tell()
        except OSError as error:
            words = f"{self.target.name} could not be written ({first_line(error)})"
            tell(f"note: {words}; it is in {self._scratch}")
            return False
        return True

    def close(self) -> None:
        """Keep the rest. The file goes only if its words are in the target."""
        self.file.close()
        if self.keep():
            self._scratch.unlink(missing_ok=True)
