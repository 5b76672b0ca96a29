"""One spoiled tree, both checkers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from reports.submission.tree import check_folder
from tests.official import programs, trees
from tests.official.spoiling import Spoiled


def both(row: Spoiled, scratch: Path) -> tuple[list[str], programs.Answer]:
    """(our problems, their answer) to the spoiled tree, written to `scratch`."""
    root = scratch / "root"
    write(root, row.change(trees.base(row.base)))
    version = trees.version(row.base)
    problems = [str(problem) for problem in check_folder(root, version)]
    return problems, programs.check(root, version, scratch)


def refused_by(we_accept: bool, they_accept: bool) -> str:
    return {
        (True, True): "neither",
        (False, True): "ours",
        (True, False): "theirs",
        (False, False): "both",
    }[we_accept, they_accept]


def write(root: Path, tree: Mapping[str, str]) -> None:
    root.mkdir()
    for name, text in tree.items():
        target = root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(text.encode(errors="surrogateescape"))
