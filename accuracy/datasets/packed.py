"""What is in a file that may be packed by gzip? And which files have to be unpacked first?"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from harness.kernel.errors import BadInput

ENDING = ".gz"
_UNPACK = {
    (".zip",): "unzip",
    (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar.zst"): "tar xf",
    (".bz2",): "bunzip2",
    (".xz",): "unxz",
    (".zst",): "unzstd",
    (".7z",): "7z x",
}  # the longer endings first


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """Open a file; read what was packed where its name ends in .gz. Raises BadInput where that is
    torn, OSError.
    """
    try:
        with gzip.open(path) if path.name.endswith(ENDING) else path.open("rb") as file:
            yield cast(BinaryIO, file)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        fine = "expected a file packed by gzip"
        raise BadInput(f"dataset {path.name}", f"{error}", fine, "Correct the file.") from None


def unpack(path: Path) -> str:
    """Return the command that unpacks an archive of another kind; "" for any other file."""
    return next(
        (f"{words} {path}" for ends, words in _UNPACK.items() if path.name.endswith(ends)), ""
    )
