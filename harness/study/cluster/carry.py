"""How does a run folder come back from the machine that made it? Over a path that both machines
see, or piece by piece; either way every file is what it was there, by its SHA-256.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from harness.kernel import files
from harness.kernel.errors import RunBroke
from harness.kernel.foreign.own_files import inside

PIECE_BYTES = 8 << 20
Piece = Callable[[str, int], bytes]  # (file, offset) to the bytes from there, PIECE_BYTES at most


class Listed(NamedTuple):
    """A file of a run folder: where in it, its size, its SHA-256."""

    file: str
    size: int
    sha256: str


def listed(folder: Path) -> list[Listed]:
    """List the files of a run folder."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return [
        Listed(path.relative_to(folder).as_posix(), path.stat().st_size, _sha256(path))
        for path in paths
    ]


def check(folder: Path, files_there: Sequence[Listed]) -> None:
    """Raise RunBroke if a file is not here as it was there."""
    for there in files_there:
        path = inside(folder, there.file)
        if not path.is_file() or _sha256(path) != there.sha256:
            raise _not_whole(folder, there.file)


def fetch(folder: Path, files_there: Sequence[Listed], piece: Piece) -> None:
    """Write the files to a new folder, whole or not at all. Raises RunBroke if one of them is not
    what it was there, OSError if the disk takes no more.
    """
    half = folder.with_name(f".{folder.name}.half")
    half.mkdir()
    for there in files_there:
        path = inside(half, there.file)
        path.parent.mkdir(parents=True, exist_ok=True)
        with files.replacing(path) as file:
            at = 0
            while at < there.size and (data := piece(there.file, at)):
                file.write(data)
                at += len(data)
    check(half, files_there)
    files.move(half, folder)


def _not_whole(folder: Path, file: str) -> RunBroke:
    found = f"{file} did not arrive as it was written"
    return RunBroke(f"bringing back {folder.name}", found, "the run is made again", "")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
