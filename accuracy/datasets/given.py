"""Can the file or folder that a user names be read as a table?"""

from __future__ import annotations

from pathlib import Path

from accuracy.datasets import folders, packed
from accuracy.datasets.readers import READERS, kind_of
from harness.kernel.errors import BadInput

KINDS = ", ".join(list(READERS)[:-1]) + f" or {list(READERS)[-1]} file"


def check_table(doing: str, path: Path) -> None:
    """Refuse a file of another kind, an empty one, and a folder without tables. Raises BadInput,
    OSError.
    """
    if path.is_dir():
        folders.tables(path, doing)
        return
    if not path.is_file():
        return
    if kind_of(path) not in READERS:
        found = f"its name ends in {path.suffix!r}" if path.suffix else "its name has no ending"
        todo = "Rename or convert it."
        if command := packed.unpack(path):
            todo = f"Unpack it ({command}), then pass what is in it, a file or a folder."
        raise BadInput(doing, found, f"expected a {KINDS}", todo)
    if path.stat().st_size == 0:
        raise BadInput(doing, "the file is empty", "expected at least one row", "Check the file.")
    path.open("rb").close()
