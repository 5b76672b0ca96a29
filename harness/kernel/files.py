"""How is a file of ours written? Whole or not at all, and it is still there after a power cut.

    write_text(path, text)    write_bytes(path, data)    write_json(path, value)
    with replacing(path) as file: ...      the same for whatever writes into an open binary file
    write_new(path, text)                  never over something that is there
    append(path, line)                     a line of its own, or nothing of it
    opened_log(path)                       for a process of ours to write to
    copy(source, path)  move(source, path)  place_folder(made, path)  subfolder(parent, name)

A scratch file beside the place, under a name that nobody can guess, is written, flushed to the disk
(fsync) and renamed; then the folder is flushed, since the new name stands there. A link at the
place is replaced, never followed: whoever can write to a folder of ours cannot make us write
elsewhere. Every function raises OSError; what was at the place before is then as it was.
"""

from __future__ import annotations

import errno
import json
import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

_NEW = os.O_CREAT | os.O_EXCL
_OURS = (  # never through a link, never waiting for the reader of a named pipe
    getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_BINARY", 0)
)
_CANNOT_FLUSH = {errno.EINVAL, errno.ENOTSUP, errno.ENOSYS}  # some network and FUSE file systems
_SCRATCH = ".tmp"


def write_text(path: Path, text: str) -> None:
    """Write it as UTF-8. Half a character (of a path that is no UTF-8) is written as its escape,
    which JSON reads back as what it was.
    """
    write_bytes(path, _encoded(text))


def write_bytes(path: Path, data: bytes) -> bytes:
    """Write it whole or not at all, and return it."""
    with replacing(path) as file:
        file.write(data)
    return data


def write_json(path: Path, value: Any) -> bytes:
    """Write it indented, in UTF-8, and return what was written; what JSON does not know is written
    as its text.
    """
    text = json.dumps(value, indent=2, ensure_ascii=False, default=str) + "\n"
    return write_bytes(path, _encoded(text))


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Give an empty file to write to, which takes the place of `path` when the block has ended. If
    the block raises, nothing has happened.
    """
    scratch = path.with_name(f".{path.name}.{secrets.token_hex(6)}{_SCRATCH}")
    number = os.open(scratch, os.O_RDWR | _NEW | _OURS, 0o666)
    with _gone_if_it_fails(scratch, path):
        with os.fdopen(number, "w+b") as file:
            yield file
            _flush(file)
        os.replace(scratch, path)
    flush_folder(path.parent)


def write_new(path: Path, text: str) -> None:
    """Write it where nothing is yet. Raises FileExistsError otherwise, for a dangling link too."""
    number = os.open(path, os.O_WRONLY | _NEW | _OURS, 0o666)
    with _gone_if_it_fails(path, path), os.fdopen(number, "wb") as file:
        file.write(_encoded(text))
        _flush(file)
    flush_folder(path.parent)


def append(path: Path, text: str) -> None:
    """Add to the end of a file, or begin one; it is on the disk when this returns. On a full disk
    no part of it stays.
    """
    number = _opened_at_end(path)
    with os.fdopen(number, "ab", buffering=0) as file:
        size = os.fstat(number).st_size
        try:
            _write_all(number, _encoded(text))
            _flush(file)
        except BaseException as fault:
            _name(fault, path)
            with suppress(OSError):
                os.ftruncate(number, size)
            raise
    flush_folder(path.parent)


def opened_log(path: Path) -> BinaryIO:
    """Open a file to which a process of ours adds what it says."""
    return os.fdopen(_opened_at_end(path), "ab", buffering=0)


def copy(source: Path, path: Path) -> None:
    """Write what another file holds."""
    with source.open("rb") as held, replacing(path) as file:
        shutil.copyfileobj(held, file)


def move(source: Path, path: Path) -> None:
    """Rename a file or folder; the new name is on the disk when this returns."""
    os.replace(source, path)
    flush_folder(path.parent)
    if source.parent != path.parent:
        flush_folder(source.parent)


def place_folder(made: Path, path: Path) -> None:
    """Rename a folder that somebody else's code has filled, once all that is in it is on the disk:
    a folder that is there is complete, whatever happens meanwhile.
    """
    for folder, _, names in os.walk(made):
        for name in names:
            with (Path(folder) / name).open("r+b") as file:
                _flush(file)
        flush_folder(Path(folder))
    move(made, path)


def subfolder(parent: Path, name: str) -> Path:
    """Return a folder inside another, made if it is missing. Raises NotADirectoryError for anything
    else there, a link to a folder included: what we write stays inside.
    """
    folder = parent / name
    with suppress(FileExistsError):
        folder.mkdir()
        flush_folder(parent)
    if not stat.S_ISDIR(folder.lstat().st_mode):
        what = "it is a link" if folder.is_symlink() else "it is a file"
        raise NotADirectoryError(errno.ENOTDIR, f"{what}, not a folder of its own", str(folder))
    return folder


def flush_folder(folder: Path) -> None:
    """Put the names in a folder on the disk, where the system can (not on Windows)."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    try:
        number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except PermissionError:  # we may add names, but not list them
        return
    try:
        os.fsync(number)
    except OSError as error:
        if error.errno not in _CANNOT_FLUSH:
            raise
    finally:
        os.close(number)


@contextmanager
def _gone_if_it_fails(made: Path, path: Path) -> Iterator[None]:
    """Remove a file that was just made if the block raises; an error is about `path`."""
    try:
        yield
    except BaseException as fault:
        _name(fault, path)
        with suppress(OSError):
            made.unlink()
        raise


def _name(fault: BaseException, path: Path) -> None:
    """Let an error of the disk say which file it is about."""
    if isinstance(fault, OSError) and fault.errno and not fault.filename:
        fault.filename = str(path)


def _flush(file: BinaryIO) -> None:
    """Put what was written on the disk."""
    file.flush()
    try:
        os.fsync(file.fileno())
    except OSError as error:
        if error.errno not in _CANNOT_FLUSH:
            raise


def _opened_at_end(path: Path) -> int:
    """Open a file of one name to add to it. Raises OSError for a link, a pipe or a device."""
    number = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | _OURS, 0o666)
    found = os.fstat(number)
    if stat.S_ISREG(found.st_mode) and found.st_nlink == 1:
        return number
    os.close(number)
    what = "it has another name elsewhere (a hard link)"
    if not stat.S_ISREG(found.st_mode):
        what = "it is a pipe or a device, not a file"
    raise OSError(errno.EINVAL, what, str(path))


def _write_all(number: int, data: bytes) -> None:
    """Write all of it: a file takes less at once where the disk is nearly full."""
    while data:
        data = data[os.write(number, data) :]


def _encoded(text: str) -> bytes:
    return text.encode(errors="backslashreplace")
