"""A dataset is a table with a column of prompts, in a file of some kind. Every complaint names the
file, line and column.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from importlib.resources import files
from pathlib import Path
from typing import Any

from accuracy.datasets import TABLE, formats
from accuracy.datasets.formats import Format
from accuracy.datasets.readers import READERS, kind_of
from accuracy.datasets.rows import Row
from harness.errors import BadInput, unknown
from harness.places import found_at, guess, wrong_path
from harness.types import Sample

_KINDS = ", ".join(list(READERS)[:-1]) + f" or {list(READERS)[-1]}"  # ".jsonl, ... or .pkl.gz"


_FINE = f"expected one of {', '.join(TABLE)}, or a {_KINDS} file"
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
    where: Mapping[str, str] | None = None,
    labels: Sequence[str] | None = None,
) -> Loaded:
    """An embedded dataset by name, or a file: PATH or FORMAT:PATH; the first `num_samples` of its
    rows. Raises BadInput.

    `where` keeps the rows whose columns have these values; `labels` names the columns to group by.
    A file that is given by its path alone is told by its columns, unless its columns are given.
    """
    path, named = _find(name)
    columns_given = prompt_column is not None or reference_column is not None
    format: Format | None = None
    samples: list[Sample] = []
    for row in _selected(READERS[kind_of(path)](path), where or {}, path):
        if num_samples is not None and len(samples) == num_samples:
            break
        if format is None:
            format = formats.TABLE if columns_given and not named else formats.fitting(row, named)
        samples.append(
            Sample(
                index=len(samples),
                prompt=row.text(prompt_column) if prompt_column else format.prompt(row),
                prompt_ids=row.ids(format.ids) if format.ids and not prompt_column else None,
                reference=row.text(reference_column) if reference_column else format.reference(row),
                max_new_tokens=max_new_tokens,
                labels=_labels(row, format.labels, labels),
            )
        )
    if format is None:
        raise BadInput(
            f"dataset {path.name}", "it has no rows", "expected at least one", "Check it."
        )
    if num_samples is not None and len(samples) < num_samples:
        raise BadInput(
            f"dataset {name}",
            f"it has {len(samples)} samples",
            f"--num-samples {num_samples} asks for more",
            "Lower it.",
        )
    source: dict[str, Any] = {
        "name": name,
        "file": path.name,
        "format": format.name,
        "sha256": _sha256(path),
    }
    source |= {"licence": _licence(format, bool(named)), "rows": len(samples)}
    if where:
        source["where"] = dict(where)
    return Loaded(samples, source)


def check_name(name: str) -> None:
    """Refuse what is neither an embedded dataset nor an existing file of a known kind."""
    try:
        _find(name)
    except (OSError, RuntimeError, ValueError):  # no permission, a name too long, a zero byte
        raise wrong_path(f"dataset {name[:80]}", _split(name)[1], _FINE) from None


def absolute(name: str) -> str:
    """The same dataset by the full path of its file, if it is a file that exists."""
    if name in TABLE:
        return name
    prefix, path = _split(name)
    try:
        path = path.expanduser()
        full = path.resolve() if path.is_file() else None
    except (OSError, RuntimeError, ValueError):  # check_name will say so
        return name
    if full is None:
        return name
    return f"{prefix}:{full}" if prefix else str(full)


def _find(name: str) -> tuple[Path, tuple[Format, ...]]:
    """The file and the formats that it may have (none named: any)."""
    if name in TABLE:
        return Path(str(files("accuracy.datasets") / TABLE[name].file)), (TABLE[name].format,)
    prefix, path = _split(name)
    path = path.expanduser()
    _check_file(str(path) if prefix else name, path)
    return path, formats.of_name(prefix) if prefix else ()


def _split(name: str) -> tuple[str, Path]:
    """gsm8k:PATH names its format; a file whose own name has a colon is no such thing."""
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
    doing, kind = f"dataset {name}", kind_of(path)
    if not name.strip():
        raise BadInput("--dataset", "the name is empty", _FINE, _LIST)
    if "://" in name:
        raise BadInput(doing, "it is a web address", _FINE, "Download it and pass the file.")
    if path.is_dir():
        raise _folder(doing, path)
    if path.is_file() and kind not in READERS:
        found = f"its name ends in {path.suffix!r}" if path.suffix else "its name has no ending"
        raise BadInput(doing, found, f"expected a {_KINDS} file", "Rename or convert it.")
    if path.is_file():
        if path.stat().st_size == 0:
            raise BadInput(
                doing, "the file is empty", "expected at least one row", "Check the file."
            )
        path.open("rb").close()
    elif kind in READERS or path.is_symlink() or name.startswith((".", "/", "~")):
        raise wrong_path(doing, path, _FINE)
    elif _is_like_ours(name):
        raise unknown("dataset", name, TABLE, f"Or pass a {_KINDS} file.")
    else:
        raise _elsewhere(doing, name, path)


def _is_like_ours(name: str) -> bool:
    """A misspelt name of ours is about as long: squad is not meant for qa."""
    near = get_close_matches(name, TABLE, cutoff=0.5)
    return any(abs(len(known) - len(name)) <= 2 for known in near)


def _folder(doing: str, folder: Path) -> BadInput:
    """A folder may hold what was meant."""
    files = sorted(path.name for path in folder.iterdir() if kind_of(path) in READERS)
    todo = f"Pass one of its files, such as {folder / files[0]}." if files else "Check the path."
    return BadInput(doing, "it is a folder", f"expected a {_KINDS} file", todo)


def _elsewhere(doing: str, name: str, path: Path) -> BadInput:
    """A name that is none of ours is most often a data set of the hub's, or a format of ours."""
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
    """How a name is spelt, whatever stands between its words."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _selected(rows: Iterable[Row], where: Mapping[str, str], path: Path) -> Iterator[Row]:
    """The rows with these values. If there is none, the complaint names the values that there
    are.
    """
    seen: dict[str, set[str]] = {name: set() for name in where}
    found = not where
    for row in rows:
        values = {name: row.label(name) for name in where}
        if values == where:
            found = True
            yield row
        for name, value in values.items():
            seen[name].add(value)
    for name, values_seen in seen.items():
        if values_seen and where[name] not in values_seen:
            raise unknown(f"dataset {path.name}: {name}", where[name], sorted(values_seen)[:20])
    if not found and any(seen.values()):
        wanted = " and ".join(f"{name} = {value}" for name, value in where.items())
        raise BadInput(
            f"dataset {path.name}",
            f"no row has {wanted}",
            "expected at least one; each value occurs, but never together",
        )


def _labels(
    row: Row, usual: Iterable[str], asked: Sequence[str] | None
) -> tuple[tuple[str, str], ...]:
    if asked is not None:
        return tuple((name, row.label(name)) for name in asked)
    return tuple((name, row.label(name)) for name in usual if row.cells.get(name) is not None)


def _licence(format: Format, named: bool) -> str:
    """Columns alone do not prove which dataset it is."""
    if named and format.licence:
        return format.licence
    return (
        f"unknown ({format.name} as published: {format.licence})" if format.licence else "unknown"
    )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
