"""Is this file in the folder that is shown, and its own? A request names a path; nothing outside
the folder may be reached through it.

A path is walked name by name, each opened relative to the folder before it and never through a
link: what somebody swaps for a link meanwhile is not followed either. Names that lead up, hidden
names and what is no plain file are refused. A file with a second name (a hard link) that belongs to
another user is refused as well: it may be theirs.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

_FOLDER = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_NOFOLLOW", 0)
_FILE = (
    os.O_RDONLY
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_BINARY", 0)
)
_CAN_WALK = os.open in os.supports_dir_fd  # not on Windows
_LONGEST = 4096
_REFUSED = "\0\\:" if os.name == "nt" else "\0"  # drives and second names of files there


class NotHere(Exception):
    """There is no such file to be shown."""


def parts_of(path: str) -> list[str]:
    """Return the names of a relative path. Raises NotHere for one that could lead anywhere else."""
    parts = path.split("/")
    is_odd = not path or len(path) > _LONGEST or any(letter in path for letter in _REFUSED)
    if is_odd or any(not part or part.startswith(".") for part in parts):
        raise NotHere(path)
    return parts


def opened(root: Path, path: str) -> BinaryIO:
    """Open a file below `root` for reading. Raises NotHere."""
    *folders, name = parts_of(path)
    try:
        if not _CAN_WALK:
            return _checked(_opened_by_path(root, [*folders, name]), root)
        here = os.open(root, os.O_RDONLY)
        try:
            for folder in folders:
                inner = os.open(folder, _FOLDER, dir_fd=here)
                os.close(here)
                here = inner
            return _checked(os.open(name, _FILE, dir_fd=here), root)
        finally:
            os.close(here)
    except (OSError, ValueError):
        raise NotHere(path) from None


def is_folder(root: Path, path: str) -> bool:
    """Tell whether a path is a folder below `root`, reached through no link."""
    place = root
    for part in parts_of(path):
        place = place / part
        try:
            if not stat.S_ISDIR(place.lstat().st_mode):
                return False
        except (OSError, ValueError):
            return False
    return True


def files_in(folder: Path) -> list[tuple[str, int]]:
    """Return (name, bytes) of the plain files in a folder that are not hidden, in order."""
    found = []
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            with suppress(OSError):
                if entry.is_file(follow_symlinks=False) and not entry.name.startswith("."):
                    found.append((entry.name, entry.stat(follow_symlinks=False).st_size))
    return sorted(found)


def _opened_by_path(root: Path, parts: list[str]) -> int:
    if not is_folder(root, "/".join(parts[:-1])):
        raise NotHere("/".join(parts))
    return os.open(root.joinpath(*parts), _FILE)


def _checked(number: int, root: Path) -> BinaryIO:
    """Return an open file that is a plain one of the folder's owner."""
    found = os.fstat(number)
    is_elsewhere = found.st_nlink > 1 and found.st_uid != root.stat().st_uid
    if not stat.S_ISREG(found.st_mode) or is_elsewhere:
        os.close(number)
        raise NotHere
    return os.fdopen(number, "rb")
