"""What is in an .npz file that somebody else may have written? Arrays, and no more than memory
takes: a zip archive of some KiB may hold zeros without end.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile

import numpy as np

from harness.kernel.foreign.own_files import open_own
from harness.kernel.foreign.tables import check_size
from harness.kernel.machine.memory import available_bytes

_SHARE = 0.5  # of the memory that is free


def read_arrays(path: Path) -> dict[str, Any]:
    """Return the arrays of a file by name. Raises BadInput if the file is none of its own or takes
    more than half of the memory that is free, OSError, and ValueError if it is damaged.
    """
    with open_own(path) as file:
        try:
            with ZipFile(file) as archive:
                needed = sum(member.file_size for member in archive.infolist())
            check_size(path, needed, int(_SHARE * available_bytes()))
            file.seek(0)
            with np.load(file, allow_pickle=False) as arrays:
                return dict(arrays)
        except (BadZipFile, EOFError, KeyError, MemoryError, NotImplementedError) as error:
            raise ValueError(f"{path.name} is damaged: {error}") from None
