"""Which texts are scored, and what may stand before them? A dataset's rows in, texts.parquet out,
which the worker reads.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib import resources
from itertools import chain, islice
from pathlib import Path
from typing import Any, NamedTuple

from accuracy import datasets
from accuracy.datasets import entry, formats, names
from accuracy.datasets.files import absolute, check_count, check_name, labels_of, sha256
from accuracy.datasets.readers import read as read_rows
from accuracy.datasets.rows import Row
from accuracy.datasets.subset import Drawn, in_shares
from accuracy.metrics.sentences import sentences
from harness.kernel import files
from harness.kernel.errors import BadInput, unknown
from harness.likelihood.conditions import INSTRUCTIONS

_TEXT_COLUMNS, _CATEGORY_COLUMNS = (
    ("text", "article"),
    ("category", "subject"),
)  # unless they are named
_CONTEXT_SENTENCES = 3  # what follows them is scored, given the last 0, 1, 2 and 3 of them


class Wanted(NamedTuple):
    """Of which dataset what; None: the usual columns, every row."""

    dataset: str
    text_column: str | None = None
    category_column: str | None = None
    split: str | None = None
    num_samples: int | None = None
    conditions: tuple[str, ...] = ()


class Texts(NamedTuple):
    """`rows` are those of texts.parquet; `sentence_ends` are the characters after which the first
    three sentences end.
    """

    rows: list[dict[str, Any]]
    source: dict[str, Any]
    notes: list[str]


def read(wanted: Wanted) -> Texts:
    """Read the texts. Raises BadInput that names the line and the column."""
    path = _file(wanted.dataset)
    there = _of_the_split(read_rows(path), path, wanted.split)
    first = next(there, None)
    if first is None:
        fine = "expected at least one"
        raise BadInput(f"dataset {path.name}", "it has no rows", fine, "Check the file.")
    text, category = (
        _column(first, wanted.text_column, _TEXT_COLUMNS),
        _category(first, wanted.category_column),
    )
    if text is None:
        todo = "Name the column with --text-column."
        raise unknown(
            f"dataset {path.name}, {first.where}: column",
            _TEXT_COLUMNS[0],
            map(str, first.cells),
            todo,
        )
    found, drawn = _drawn(chain([first], there), wanted, category)
    check_count(path.name, len(found), wanted.num_samples, "texts")
    rows = [_row(row, i, text, category) for i, row in enumerate(found)]
    _name(rows, path)
    notes = _condition(rows, found, path, wanted.conditions)
    source: dict[str, Any] = {
        "name": wanted.dataset,
        "file": path.name,
        "sha256": sha256(path),
        "texts": len(rows),
    }
    source |= {"text_column": text, "category_column": category, "split": wanted.split}
    if drawn:
        source |= drawn.facts()
        notes.append(f"texts: {drawn}")
    return Texts(rows, source, notes)


def write(texts: Texts, path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    kinds = {name: pa.string() for row in texts.rows for name in row} | {
        "sentence_ends": pa.list_(pa.int32())
    }
    table = pa.Table.from_pylist(texts.rows, pa.schema(list(kinds.items())))
    with files.replacing(path) as file:
        pq.write_table(table, file)


# ---- rows


def _file(name: str) -> Path:
    check_name(name)
    if name in names():
        return Path(str(resources.files(datasets))) / entry(name).file
    prefix, colon, rest = absolute(name).partition(":")
    return Path(rest if colon and prefix in formats.NAMES else absolute(name))


def _of_the_split(rows: Iterator[Row], path: Path, split: str | None) -> Iterator[Row]:
    """Yield the rows of the split, all of them without one."""
    seen, taken = set[str](), 0
    for row in rows:
        if split is not None:
            _must_have(row, "split", "Leave --split out.")
            seen.add(row.label("split"))
            if row.label("split") != split:
                continue
        taken += 1
        yield row
    if seen and not taken:
        raise unknown(f"dataset {path.name}: split", split or "", seen)


def _drawn(
    rows: Iterable[Row], wanted: Wanted, category: str | None
) -> tuple[Sequence[Row], Drawn | None]:
    """Return as many of the rows as are wanted, every category with its share, and how."""
    count = wanted.num_samples
    known = entry(wanted.dataset).format.labels if wanted.dataset in names() else ()
    columns = [name for name in dict.fromkeys((category, *known)) if name]
    if count is not None and not columns:
        return list(islice(rows, count)), Drawn(count)  # the rest is not read
    there = list(rows)
    if count is None or count >= len(there):
        return there, None
    labels = [labels_of(row, columns) for row in there]
    chosen, drawn = in_shares(labels, count)
    return [there[i] for i in chosen], drawn


def _column(row: Row, named: str | None, usual: Sequence[str]) -> str | None:
    if named is not None:
        _must_have(row, named)
    return named or next((name for name in usual if name in row.cells), None)


def _category(row: Row, named: str | None) -> str | None:
    return _column(row, named, _CATEGORY_COLUMNS)


def _must_have(row: Row, column: str, todo: str = "") -> None:
    if column not in row.cells:
        raise unknown(f"dataset {row.file}, {row.where}: column", column, map(str, row.cells), todo)


def _row(row: Row, i: int, text: str, category: str | None) -> dict[str, Any]:
    """Keep an empty text too: that it was left out is counted where it is scored."""
    _must_have(row, text)
    known = {"id": row.label("id") if "id" in row.cells else f"text-{i + 1:04d}"}
    known |= {
        "category": row.label(category) if category else "",
        "text": row.text(text, empty=True),
    }
    return known | {
        name: row.cells[name] for name in ("title",) if isinstance(row.cells.get(name), str)
    }


def _name(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    times = Counter(row["id"] for row in rows)
    if twice := next((name for name, count in times.items() if count > 1), None):
        raise BadInput(
            f"dataset {path.name}",
            f"two texts have the id {twice!r}",
            "expected a different id for each, or no column id",
        )


def _condition(
    rows: list[dict[str, Any]], found: Sequence[Row], path: Path, conditions: Sequence[str]
) -> list[str]:
    """Add to each text's row what the conditions put before it; say what is missing."""
    notes = []
    if "sentences" in conditions:
        for row in rows:
            row["sentence_ends"] = _sentence_ends(row["text"])
        short = sum(not row["sentence_ends"] for row in rows)
        if short == len(rows):
            fine = f"more than {_CONTEXT_SENTENCES} sentences"
            raise BadInput(
                "--conditions sentences",
                "no text has a rest after its third sentence",
                fine,
                "Leave it out.",
            )
        if short:
            notes.append(
                f"conditions by sentences: {short} of {len(rows)} texts end with their third"
                " sentence or before it"
            )
    if "instructions" in conditions:
        there = [name for name in INSTRUCTIONS if name in found[0].cells]
        if not there:
            fine = f"expected an instruction for each text in {' or '.join(INSTRUCTIONS)}"
            raise BadInput(
                "--conditions instructions",
                f"dataset {path.name} has the columns {', '.join(map(str, found[0].cells))}",
                fine,
                "Add one of these columns, or leave instructions out.",
            )
        for row, cells in zip(rows, found, strict=True):
            row |= {name: cells.text(name) for name in there}
    return notes


def _sentence_ends(text: str) -> list[int]:
    """Return where each of the first three sentences ends; nothing if nothing follows them."""
    ends, at = [], 0
    split = sentences(text)
    if len(split) <= _CONTEXT_SENTENCES:
        return []
    for sentence in split[:_CONTEXT_SENTENCES]:
        at = text.index(sentence, at) + len(sentence)
        ends.append(at)
    return ends
