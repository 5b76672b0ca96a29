"""A dataset is a table with a column of prompts: JSONL, CSV or Parquet. Every complaint names the file, line and column."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from accuracy.datasets import TABLE
from harness.errors import BadInput, unknown
from harness.types import Sample

Row = tuple[str, dict[str, Any]]  # where it stands ("line 7"), what it holds


@dataclass(frozen=True, slots=True)
class Loaded:
    """Samples and where they came from (name, SHA-256, licence)."""

    samples: list[Sample]
    source: dict[str, Any]


def load_dataset(
    name: str,
    max_new_tokens: int,
    num_samples: int | None = None,
    prompt_column: str | None = None,
    reference_column: str | None = None,
) -> Loaded:
    """An embedded dataset by name or a file by path; the first `num_samples` rows. Raises BadInput."""
    if name in TABLE:
        entry = TABLE[name]
        path = Path(str(files("accuracy.datasets") / entry.file))
        prompt, reference, labels, licence = entry.prompt, entry.reference, entry.labels, "Apache-2.0"
    else:
        path = Path(name).expanduser()
        _check_file(name, path)
        prompt, reference, labels, licence = "prompt", "reference", (), "unknown"
    samples: list[Sample] = []
    for where, row in _READERS[path.suffix](path):
        if num_samples is not None and len(samples) == num_samples:
            break
        answer = _text(path, where, row, reference_column or reference, required=reference_column is not None)
        samples.append(
            Sample(
                index=len(samples),
                prompt=_text(path, where, row, prompt_column or prompt, required=True) or "",
                reference=answer,
                max_new_tokens=max_new_tokens,
                labels=tuple((key, str(row[key])) for key in labels if key in row),
            )
        )
    if not samples:
        raise BadInput(f"dataset {path.name}", "it has no rows", "at least one is needed")
    if num_samples is not None and len(samples) < num_samples:
        raise BadInput(
            f"dataset {name}", f"it has {len(samples)} samples", f"--num-samples {num_samples} asks for more", "Lower it."
        )
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return Loaded(samples, {"name": name, "file": path.name, "sha256": digest, "licence": licence, "rows": len(samples)})


def check_name(name: str) -> None:
    """Refuse what is neither an embedded dataset nor an existing file of a known kind."""
    if name in TABLE:
        return
    try:
        _check_file(name, Path(name).expanduser())
    except (OSError, RuntimeError, ValueError) as error:  # no such user, a name too long, a zero byte
        raise BadInput(
            f"dataset {name[:80]}", str(error)[:80], "a .jsonl, .csv or .parquet file", "Check the path."
        ) from None


def _check_file(name: str, path: Path) -> None:
    looks_like_file = "/" in name or path.suffix in _READERS
    if not looks_like_file and not path.exists():
        raise unknown("dataset", name, TABLE, "Or give the path of a .jsonl, .csv or .parquet file.")
    if not path.is_file():
        raise BadInput(f"dataset {name}", "there is no such file", "a .jsonl, .csv or .parquet file", "Check the path.")
    if path.suffix not in _READERS:
        raise BadInput(f"dataset {name}", f"{path.suffix or 'no ending'!r} is not known", f"known: {', '.join(_READERS)}")
    if path.stat().st_size == 0:
        raise BadInput(f"dataset {name}", "the file is empty", "at least one row is needed")


def _read_jsonl(path: Path) -> Iterator[Row]:
    for number, line in enumerate(_lines(path), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line.rstrip("\r\n"))  # else the end of a line counts as column 1
        except json.JSONDecodeError as error:
            raise _malformed(path, f"line {number}, column {error.colno}", error.msg, "one JSON object per line") from None
        except (ValueError, RecursionError) as error:  # a number of thousands of digits, thousands of brackets
            raise _malformed(path, f"line {number}", str(error), "one JSON object per line") from None
        if not isinstance(row, dict):
            found = f"a JSON {type(row).__name__}"
            raise _malformed(path, f"line {number}, column 1", found, "one JSON object per line")
        yield f"line {number}", row


def _read_csv(path: Path) -> Iterator[Row]:
    csv.field_size_limit(2**31 - 1)
    reader = csv.reader(_lines(path), strict=True)
    header: list[str] = []
    try:
        for fields in reader:
            where = f"line {reader.line_num}"
            if not header:
                header = [name.strip() for name in fields]
                if twice := {name for name in header if header.count(name) > 1}:
                    raise _malformed(path, where, f"column {min(twice)!r} twice", "a header of different names")
            elif fields and len(fields) != len(header):
                found = f"{len(fields)} field{'s' * (len(fields) > 1)}"
                raise _malformed(path, f"{where}, column {len(fields)}", found, f"{len(header)} as in the header")
            elif fields:
                yield where, dict(zip(header, fields, strict=True))
    except csv.Error as error:
        raise _malformed(path, f"line {reader.line_num}", str(error), "a CSV table with a header") from None


def _read_parquet(path: Path) -> Iterator[Row]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise _malformed(path, "the file", str(error).splitlines()[0], "a Parquet table") from None
    texts = [pa.types.is_string(t) or pa.types.is_large_string(t) for t in table.schema.types]
    for number in range(len(table)):  # a date beyond our calendar is none of our business: only texts are read
        row = {
            name: table[name][number].as_py() if text else _NOT_TEXT
            for name, text in zip(table.column_names, texts, strict=True)
        }
        yield f"row {number + 1}", row


_NOT_TEXT = object()
_READERS = {".jsonl": _read_jsonl, ".csv": _read_csv, ".parquet": _read_parquet}


def _lines(path: Path) -> Iterator[str]:
    try:
        text = path.read_bytes().decode()  # at once: a file decoded in blocks would name a byte of its block
    except UnicodeDecodeError as error:
        raise _malformed(path, f"byte {error.start}", "not UTF-8", "UTF-8 text") from None
    except OSError as error:
        raise BadInput(f"dataset {path.name}", error.strerror or str(error), "a readable file") from None
    yield from io.StringIO(text.removeprefix("\ufeff"), newline="")


def _text(path: Path, where: str, row: dict[str, Any], column: str, required: bool) -> str | None:
    if column not in row:
        if required:
            raise unknown(
                f"dataset {path.name}, {where}: column", column, map(str, row), "Pass --prompt-column or --reference-column."
            )
        return None
    value = row[column]
    if isinstance(value, str) and (value.strip() or not required):
        if any("\ud800" <= character <= "\udfff" for character in value):
            raise _malformed(path, f"{where}, column {column!r}", "half of a surrogate pair", "Unicode text")
        return value
    if value is None and not required:
        return None
    names = {str: "an empty text", type(None): "nothing", object: "something that is not text"}
    found = names.get(type(value), f"a value of type {type(value).__name__}")
    raise _malformed(path, f"{where}, column {column!r}", found, "text")


def _malformed(path: Path, where: str, found: str, fine: str) -> BadInput:
    return BadInput(f"dataset {path.name}, {where}", found, f"expected {fine}", "Correct the file.")
