"""A dataset is a table with a column of prompts, in a file of some kind. Every complaint names the
file, line and column.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from importlib.resources import files
from itertools import chain, islice
from pathlib import Path
from typing import Any, NamedTuple

from accuracy.datasets import TABLE, formats
from accuracy.datasets.formats import Format
from accuracy.datasets.readers import READERS, kind_of
from accuracy.datasets.rows import Row
from accuracy.datasets.subset import Drawn, in_shares
from harness.errors import BadInput, unknown
from harness.types import Sample

_KINDS = ", ".join(list(READERS)[:-1]) + f" or {list(READERS)[-1]}"  # ".jsonl, ... or .pkl.gz"


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
    rows = iter(READERS[kind_of(path)](path))
    first = next(rows, None)
    if first is None:
        raise BadInput(f"dataset {path.name}", "it has no rows", "at least one is needed")
    columns_given = prompt_column is not None or reference_column is not None
    format = formats.TABLE if columns_given and not named else formats.fitting(first, named)
    columns = Columns(prompt_column, reference_column, max_new_tokens)
    samples, drawn = _samples(chain([first], rows), format, columns, num_samples)
    check_count(name, len(samples), num_samples)
    source: dict[str, Any] = {
        "name": name,
        "file": path.name,
        "format": format.name,
        "sha256": _sha256(path),
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
    except (
        OSError,
        RuntimeError,
        ValueError,
    ) as error:  # no such user, a name too long, a zero byte
        raise BadInput(
            f"dataset {name[:80]}", str(error)[:80], f"a {_KINDS} file", "Check the path."
        ) from None


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
        and "/" not in prefix
        and (prefix in formats.NAMES or not Path(name).exists())
    ):
        formats.of_name(prefix)
        return prefix, Path(rest)
    return "", Path(name)


def _check_file(name: str, path: Path) -> None:
    looks_like_file = "/" in name or kind_of(path) in READERS
    if not looks_like_file and not path.exists():
        raise unknown("dataset", name, TABLE, f"Or give the path of a {_KINDS} file.")
    if not path.is_file():
        raise BadInput(
            f"dataset {name}", "there is no such file", f"a {_KINDS} file", "Check the path."
        )
    if kind_of(path) not in READERS:
        raise BadInput(
            f"dataset {name}",
            f"{path.suffix or 'no ending'!r} is not known",
            f"known: {', '.join(READERS)}",
        )
    if path.stat().st_size == 0:
        raise BadInput(f"dataset {name}", "the file is empty", "at least one row is needed")


def labels_of(row: Row, columns: Iterable[str]) -> tuple[tuple[str, str], ...]:
    """Return (column, value) of those of the columns that the row has a value in."""
    return tuple((name, row.label(name)) for name in columns if row.cells.get(name) is not None)


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
