"""Which files of a folder make one table?

Parquet files that stand directly in it, or else the CSV, JSON or JSON Lines files in it and in the
folders below: MMLU is published as a file for each subject, MATH as a file for each problem. They
are in the order of their names, numbers by their size, and of one split.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from accuracy.datasets import packed, parquet
from harness.kernel.errors import BadInput

TEXTS = (".jsonl", ".json", ".csv")
_BELOW = 2  # levels of folders: test/algebra/1.json
_SHARD = re.compile(r"(?P<split>.*?)-?(?P<number>\d+)-of-(?P<count>\d+)")
_SPLITS = "train|test|validation|valid|val|dev|eval"
_BEGINS, _ENDS = re.compile(rf"({_SPLITS})(?![a-z])"), re.compile(rf".*[-_.]({_SPLITS})")
_OTHERS = (".jsonl", ".csv", ".pkl")  # that are no notes on Parquet files
_NOTES = ("dataset_info.json", "dataset_infos.json", "dataset_dict.json", "state.json")


def tables(folder: Path, doing: str = "") -> list[Path]:
    """Return the files of a folder in the order of their rows. Raises BadInput where there are
    none, or they are not all there or not of one table.
    """
    doing = doing or f"dataset {folder}"
    if shards := _parquet_in(folder):
        _check_kind(doing, folder, shards)
        _check_split(doing, folder, shards)
        _check_shards(doing, shards)
        return shards
    texts = sorted(_texts_below(folder, _BELOW), key=lambda path: _by_numbers(path, folder))
    if not texts:
        raise _without_tables(doing, folder)
    kind = _text_kind(texts[0])
    other = next((path for path in texts if _text_kind(path) != kind), None)
    if other is not None:
        one, other = texts[0].relative_to(folder), other.relative_to(folder)
        found = f"the folder has files of several kinds, such as {one} and {other}"
        raise BadInput(doing, found, "expected one kind", f"Pass a file, such as {texts[0]}.")
    _check_split(doing, folder, texts)
    return texts


def _check_kind(doing: str, folder: Path, shards: list[Path]) -> None:
    others = sorted(path.name for path in folder.iterdir() if path.name.endswith(_OTHERS))
    if others:
        found = f"the folder has Parquet files and others, such as {others[0]}"
        raise BadInput(doing, found, "expected one kind", f"Pass a file: {shards[0]}.")


def _check_split(doing: str, folder: Path, files: list[Path]) -> None:
    """Refuse the files of several splits; one of them is offered, the test part if it is there."""
    of = dict[str, Path]()
    for path in files:
        split, place = _split_of(path, folder)
        if split:
            of.setdefault(split, place)
    if len(of) > 1:
        found = f"the folder has files of several splits: {', '.join(sorted(of))}"
        todo = f"Pass those of one, such as {of.get('test') or min(of.values())}."
        raise BadInput(doing, found, "expected one split", todo)


def _check_shards(doing: str, files: list[Path]) -> None:
    """Refuse files whose numbers say that some are missing."""
    named = [match for path in files if (match := _SHARD.match(path.name))]
    if not named:
        return
    there, count = {int(match["number"]) for match in named}, int(named[0]["count"])
    first = 0 if 0 in there else 1  # some writers count from 1
    missing = next((n for n in range(first, first + count) if n not in there), None)
    if missing is not None:
        found = (
            f"the folder lacks shard {missing:0{len(named[0]['number'])}} of {named[0]['count']}"
        )
        raise BadInput(doing, found, "expected all shards", "Download the rest.")


def _without_tables(doing: str, folder: Path) -> BadInput:
    """Refuse a folder without tables, and name something in it that may be meant."""
    inside = sorted(folder.iterdir())
    fine = "expected a folder of Parquet, CSV, JSON or JSON Lines files"
    if any(path.suffix == ".arrow" for path in _files_below(folder, 1)):
        todo = "Write it as Parquet: datasets.load_from_disk(FOLDER).to_parquet(FILE)."
        return BadInput(doing, "it was saved by datasets' save_to_disk", fine, todo)
    near = [path for path in inside if path.is_dir() and _parquet_in(path)]
    near += [path for path in inside if path.suffix in (".txt", ".pkl")]
    todo = f"Pass what is in it, such as {near[0]}." if near else "Check the path."
    return BadInput(doing, "it is a folder without tables", fine, todo)


def _parquet_in(folder: Path) -> list[Path]:
    found = [path for path in _files_below(folder, 0) if path.name.endswith(parquet.ENDING)]
    return sorted(found, key=lambda path: _by_numbers(path, folder))


def _texts_below(folder: Path, levels: int) -> Iterator[Path]:
    for path in _files_below(folder, levels):
        if _text_kind(path) in TEXTS and path.name not in _NOTES:
            yield path


def _files_below(folder: Path, levels: int) -> Iterator[Path]:
    """Yield the files of a folder and of those below it. Hidden files, and those that writers mark
    with an underscore, hold no rows.
    """
    for path in folder.iterdir():
        if path.name[0] in "._":
            continue
        if path.is_file():
            yield path
        elif levels and path.is_dir() and not path.is_symlink():
            yield from _files_below(path, levels - 1)


def _text_kind(path: Path) -> str:
    return Path(path.name.removesuffix(packed.ENDING)).suffix


def _by_numbers(path: Path, folder: Path) -> list[tuple[int, str]]:
    parts = re.findall(r"\d+|\D+", str(path.relative_to(folder)))
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]


def _split_of(path: Path, folder: Path) -> tuple[str, Path]:
    """Return the split that the name of a folder or of the file tells ("" if none does), and what
    has that name.
    """
    for above in reversed(path.parents[: len(path.relative_to(folder).parts) - 1]):
        if match := _BEGINS.fullmatch(above.name):
            return match[1], above
    if match := _SHARD.match(path.name):
        return match["split"], path
    stem = path.name.partition(".")[0]
    match = _BEGINS.match(stem) or _ENDS.fullmatch(stem)
    return match[1] if match else "", path
