"""Is what lies in a folder the folder's own? Whoever gives us a folder decides what its names lead
to: a link to a file of ours, a pipe that nobody writes to, a device without an end.

Folders of runs and studies hold plain files and folders, so everything else in one is refused
before anything is read or written there. What the user named may be a link; what is in it may not.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from io import BufferedReader
from pathlib import Path

from harness.kernel.errors import BadInput

MOST_BYTES = 1 << 26  # of a file of ours that is read whole: 64 MiB
MOST_LOG_BYTES = 1 << 32  # of a log of LoadGen's: 4 GiB, as 5 million answers of 100 tokens
_MOST_ENTRIES = 1_000_000  # in a folder: a search has 11 in each of its steps, of 1,000 at most
_READING = (
    os.O_RDONLY
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_BINARY", 0)
)
_KINDS = {
    stat.S_IFLNK: "a symbolic link",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFDIR: "a folder",
}
_FINE = "expected plain files and folders"


def check_folder(folder: Path, hard_links: bool = True) -> None:
    """Refuse a folder in which something is a link, a pipe or a device. Raises BadInput.

    A hard link is another name of a file that may be somebody else's: it is refused where its owner
    is not the folder's, and everywhere if not `hard_links`, since what is added to it is added
    there too.
    """
    try:
        owner = folder.stat().st_uid
    except OSError:
        return  # whoever reads in it will say what is wrong
    for number, entry in enumerate(_entries(folder)):
        if number >= _MOST_ENTRIES:
            found = f"there are more than {_MOST_ENTRIES:,} files in it"
            raise BadInput(f"reading {folder}", found, "expected the folder of a run or a study")
        found_stat = entry.stat(follow_symlinks=False)
        kind = stat.S_IFMT(found_stat.st_mode)
        if kind not in (stat.S_IFREG, stat.S_IFDIR):
            raise _refusal(Path(entry.path), kind)
        is_another_name = kind == stat.S_IFREG and found_stat.st_nlink > 1
        if is_another_name and not (hard_links and found_stat.st_uid == owner):
            raise _linked(Path(entry.path), folder)


def check_given(doing: str, folder: Path) -> None:
    """Refuse a folder that the user named whose files are not files, links followed: a library
    that reads them would wait for ever. Raises BadInput.
    """
    for path in sorted(folder.iterdir()):
        with suppress(OSError):  # a link that leads nowhere
            kind = stat.S_IFMT(path.stat().st_mode)
            if kind not in (stat.S_IFREG, stat.S_IFDIR):
                found, fine = f"{path.name} is {_KINDS.get(kind, 'no file')}", "expected files"
                raise BadInput(doing, found, fine, "Remove it.")


def inside(folder: Path, name: str) -> Path:
    """Return the path of something in a folder. Raises ValueError for a name that leads out."""
    parts = Path(name).parts
    if not name or ".." in parts or Path(name).is_absolute() or "\0" in name:
        raise ValueError(f"{name!r} leads out of {folder}")
    return folder / name


def open_own(path: Path) -> BufferedReader:
    """Open a file for reading that is one. Raises BadInput if it is something else, OSError if it
    is not there or cannot be read.
    """
    _must_be_file(path, path.lstat())  # before it is opened: opening a device may do something
    number = os.open(path, _READING)
    file = os.fdopen(number, "rb")
    try:
        _must_be_file(path, os.fstat(number))
    except BaseException:
        file.close()
        raise
    return file


def read_bytes(path: Path, at_most: int = MOST_BYTES) -> bytes:
    """Return the content of a file. Raises BadInput if it is no file or larger, OSError."""
    with open_own(path) as file:
        data = file.read(at_most + 1)
    if len(data) > at_most:
        raise too_large(path, at_most)
    return data


def read_given(path: Path, at_most: int = MOST_BYTES) -> bytes:
    """Return the content of a file that the user named, which may be a link or a pipe. Raises
    BadInput if it is larger, OSError.
    """
    with path.open("rb") as file:
        data = file.read(at_most + 1)
    if len(data) > at_most:
        raise too_large(path, at_most)
    return data


def read_text(path: Path, at_most: int = MOST_BYTES) -> str:
    """Return the text of a file. Raises as `read_bytes`, and UnicodeDecodeError."""
    return read_bytes(path, at_most).decode()


def sha256(path: Path) -> str:
    """Return the hash of a file. Raises BadInput if it is no file, OSError."""
    with open_own(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def too_large(path: Path, at_most: int) -> BadInput:
    """Make the error for a file that is larger than anything that it could be."""
    fine = f"expected at most {at_most / 2**20:,.0f} MiB"
    return BadInput(f"reading {path}", "it is too large", fine, "Check what wrote it.")


def _entries(folder: Path) -> Iterator[os.DirEntry[str]]:
    """Yield everything in a folder, and in the folders there, without following a link."""
    left = [str(folder)]
    while left:
        try:
            with os.scandir(left.pop()) as inside:
                entries = list(inside)
        except OSError:
            continue  # it is gone, or not ours to read
        for entry in entries:
            yield entry
            if entry.is_dir(follow_symlinks=False):
                left.append(entry.path)


def _must_be_file(path: Path, found: os.stat_result) -> None:
    kind = stat.S_IFMT(found.st_mode)
    if kind == stat.S_IFDIR:
        raise IsADirectoryError(path)
    if kind != stat.S_IFREG:
        raise _refusal(path, kind)


def _refusal(path: Path, kind: int) -> BadInput:
    found = f"it is {_KINDS.get(kind, 'no file')}"
    if kind == stat.S_IFLNK:
        with suppress(OSError):
            found += f" (to {os.readlink(path)})"
    todo = "Remove it, or put the file itself in its place."
    return BadInput(f"reading {path}", found, f"{_FINE}, since a folder may be somebody else's",
                    todo)  # fmt: skip


def _linked(path: Path, folder: Path) -> BadInput:
    found = "it is a hard link: the same file has another name elsewhere"
    todo = f"Copy the folder, which parts the two: cp -r {folder} COPY."
    return BadInput(f"reading {path}", found, "expected a file of this folder alone", todo)
