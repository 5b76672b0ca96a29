"""A dataset is a table with a column of prompts, in a file of some kind. Every complaint names the
file, line and column.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from difflib import get_close_matches
from importlib.resources import files
from itertools import chain, islice
from pathlib import Path
from typing import Any, NamedTuple

from accuracy import datasets
from accuracy.datasets import TABLE, entry, folders, formats, names
from accuracy.datasets.formats import Format
from accuracy.datasets.given import KINDS, check_table
from accuracy.datasets.readers import READERS, kind_of, read
from accuracy.datasets.rows import Row
from accuracy.datasets.subset import Drawn, in_shares
from harness.kernel.errors import BadInput, unknown
from harness.kernel.places import expanded, found_at, guess, wrong_path
from harness.kernel.types import Sample

_FINE = f"expected one of {', '.join(TABLE)}, or a {KINDS}"
_LIST = "See python -m harness list datasets."


@dataclass(frozen=True, slots=True)
class Loaded:
    """Samples and where they came from (name, format, SHA-256, licence)."""

    samples: list[Sample]
    source: dict[str, Any]


def load_dataset(
    name: str,
    max_new_tokens: int,
    num_samples: int | None = None,
    prompt_column: str | None = None,
    reference_column: str | None = None,
) -> Loaded:
    """Read an embedded dataset by name, or a file: PATH or FORMAT:PATH. Raises BadInput.

    A file that is given by its path alone is told by its columns, unless its columns are given.
    `num_samples` of its rows are chosen as `accuracy.datasets.subset` says.
    """
    path, named = _find(name)
    rows = read(path)
    first = next(rows, None)
    if first is None:
        fine = "expected at least one"
        raise BadInput(f"dataset {path.name}", "it has no rows", fine, "Check the file.")
    columns_given = prompt_column is not None or reference_column is not None
    format = formats.TABLE if columns_given and not named else formats.fitting(first, named)
    columns = Columns(prompt_column, reference_column, max_new_tokens)
    samples, drawn = _samples(chain([first], rows), format, columns, num_samples)
    check_count(name, len(samples), num_samples)
    source: dict[str, Any] = {
        "name": name,
        "file": path.name,
        "format": format.name,
        "sha256": sha256(path),
        "licence": _licence(format, bool(named)),
        "rows": len(samples),
    }
    return Loaded(samples, source | (drawn.facts() if drawn else {}))


class Columns(NamedTuple):
    """The columns that the user names, and the limit that every sample gets."""

    prompt: str | None
    reference: str | None
    max_new_tokens: int


def _samples(
    rows: Iterable[Row], format: Format, columns: Columns, count: int | None
) -> tuple[list[Sample], Drawn | None]:
    """Return the samples of all rows, or `count` of them and how these were chosen."""
    by_share = count is not None and format.has_kinds
    wanted = None if by_share else count
    samples = [_sample(i, row, format, columns) for i, row in enumerate(islice(rows, wanted))]
    if count is None or count > len(samples) or (by_share and count == len(samples)):
        return samples, None
    if not by_share:
        return samples, Drawn(count)
    chosen, drawn = in_shares([sample.labels for sample in samples], count)
    return [replace(samples[row], index=i) for i, row in enumerate(chosen)], drawn


def _sample(index: int, row: Row, format: Format, columns: Columns) -> Sample:
    prompt, reference = columns.prompt, columns.reference
    return Sample(
        index=index,
        prompt=row.text(prompt) if prompt else format.prompt(row),
        prompt_ids=row.ids(format.ids) if format.ids and not prompt else None,
        reference=row.text(reference) if reference else format.reference(row),
        max_new_tokens=columns.max_new_tokens,
        labels=labels_of(row, format.labels),
        grader="" if reference else format.grader(row),
    )


def check_count(name: str, there: int, num_samples: int | None, what: str = "samples") -> None:
    """Refuse to take more samples than there are."""
    if num_samples is not None and there < num_samples:
        raise BadInput(
            f"dataset {name}",
            f"it has {there} {what}",
            f"--num-samples {num_samples} asks for more",
            "Lower it.",
        )


def check_name(name: str) -> None:
    """Refuse what is neither an embedded dataset nor an existing file of a known kind."""
    try:
        _find(name)
    except (OSError, RuntimeError, ValueError):  # no permission, a name too long, a zero byte
        raise wrong_path(f"dataset {name[:80]}", _split(name)[1], _FINE) from None


def sha256_of(name: str) -> str:
    """Return the hash of a dataset by name. Raises BadInput if there is none."""
    return sha256(_find(name)[0])


def absolute(name: str) -> str:
    """Return the same dataset by its full path, if it is a file or folder that exists."""
    if name in names():
        return name
    prefix, path = _split(name)
    try:
        path = path.expanduser()
        full = path.resolve() if path.exists() else None
    except (OSError, RuntimeError, ValueError):  # check_name will say so
        return name
    if full is None:
        return name
    return f"{prefix}:{full}" if prefix else str(full)


def _find(name: str) -> tuple[Path, tuple[Format, ...]]:
    """Return the file and the formats that it may have (none named: any)."""
    if name in names():
        found = entry(name)
        return Path(str(files(datasets))) / found.file, (found.format,)
    prefix, path = _split(name)
    path = expanded(path)
    _check_file(str(path) if prefix else name, path)
    return path, formats.of_name(prefix) if prefix else ()


def _split(name: str) -> tuple[str, Path]:
    """Split FORMAT:PATH; a file whose own name has a colon names no format."""
    prefix, colon, rest = name.partition(":")
    if (
        colon
        and rest
        and not rest.startswith("//")
        and "/" not in prefix
        and (prefix in formats.NAMES or not Path(name).exists())
    ):
        formats.of_name(prefix)
        return prefix, Path(rest)
    return "", Path(name)


def _check_file(name: str, path: Path) -> None:
    """Refuse whatever is not a file that can be read. Raises BadInput, which says what it is."""
    doing = f"dataset {name}"
    if not name.strip():
        raise BadInput("--dataset", "the name is empty", _FINE, _LIST)
    if "://" in name:
        raise BadInput(doing, "it is a web address", _FINE, "Download it and pass the file.")
    if path.exists():
        check_table(doing, path)
    elif kind_of(path) in READERS or path.is_symlink() or name.startswith((".", "/", "~")):
        raise wrong_path(doing, path, _FINE)
    elif _is_like_ours(name):
        raise unknown("dataset", name, names(), f"Or pass a {KINDS}.")
    else:
        raise _elsewhere(doing, name, path)


def _is_like_ours(name: str) -> bool:
    """Say whether the name may be a misspelt one of ours. A misspelt name of ours is about as long:
    squad is not meant for qa.
    """
    near = get_close_matches(name, names(), cutoff=0.5)
    return any(abs(len(known) - len(name)) <= 2 for known in near)


def _elsewhere(doing: str, name: str, path: Path) -> BadInput:
    """Refuse a name that is not here. A name that is none of ours is most often a data set of the
    hub's, or a format of ours.
    """
    if near := guess(path):
        return BadInput(doing, found_at(path), _FINE, near)
    short = _letters(name.rsplit("/", 1)[-1])
    known = next((format for format in formats.NAMES if _letters(format) == short), "")
    found = "there is no such file or embedded dataset, and none is fetched from the hub"
    if known == name:
        found = "it is a format, and a format needs a file"
    todo = "Download one of its files"
    todo += f", then pass --dataset {known}:FILE." if known else " and pass that."
    return BadInput(doing, found, _FINE, todo)


def _letters(name: str) -> str:
    """Return how a name is spelt, whatever stands between its words."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def labels_of(row: Row, columns: Iterable[str]) -> tuple[tuple[str, str], ...]:
    """Return (column, value) of those of the columns that the row has a value in."""
    return tuple((name, row.label(name)) for name in columns if row.cells.get(name) is not None)


def _licence(format: Format, named: bool) -> str:
    """Name the licence. Columns alone do not prove which dataset it is."""
    if named and format.licence:
        return format.licence
    return (
        f"unknown ({format.name} as published: {format.licence})" if format.licence else "unknown"
    )


def sha256(path: Path) -> str:
    """Return the hash of a file; of a folder, that of its tables one after another."""
    digest = hashlib.sha256()
    for part in folders.tables(path) if path.is_dir() else [path]:
        with part.open("rb") as file:
            while block := file.read(2**20):
                digest.update(block)
    return digest.hexdigest()
