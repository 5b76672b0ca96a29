"""The kinds of file: each reader makes rows of one, lazily, and names the place of whatever it
cannot read.
"""

from __future__ import annotations

import codecs
import csv
import io
import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from accuracy.datasets import folders, packed, parquet
from accuracy.datasets.rows import Row, malformed
from harness.kernel.errors import BadInput
from harness.kernel.foreign.own_files import too_large
from harness.kernel.foreign.parsed import check_depth, loads
from harness.kernel.machine.memory import available_bytes
from harness.kernel.places import wrong_path
from harness.kernel.texts import other_kind


def kind_of(path: Path) -> str:
    """Return the ending that says how a file is read, or the file's own ending. All kinds but
    Parquet, which is packed by itself, may be packed by gzip.
    """
    kind = Path(path.name.removesuffix(packed.ENDING)).suffix
    is_packed = path.name.endswith(packed.ENDING)
    return kind if kind in READERS and not (is_packed and kind == parquet.ENDING) else path.suffix


def read(path: Path) -> Iterator[Row]:
    """Yield the rows of a file, or of a folder of files. Raises BadInput."""
    if path.is_dir():
        return _read_folder(path)
    return _read_file(path)


def _read_file(path: Path) -> Iterator[Row]:
    """Yield the rows of a file, unless something else came in its place. Raises BadInput."""
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES).lstrip().lower()
    except OSError as error:
        raise _unreadable(path, error) from None
    for mark, kind, todo in _STAND_INS:
        if head.startswith(mark):
            raise BadInput(
                f"dataset {path.name}", f"it is {kind}", "expected the file itself", todo
            )
    yield from READERS[kind_of(path)](path)


_HEAD_BYTES = 512
_STAND_INS = (
    (b"version https://git-lfs.github.com/", "a pointer of Git LFS", "Fetch it: git lfs pull."),
    (b"<!doctype html", "a web page", "Download the file itself."),
)


def _read_folder(folder: Path) -> Iterator[Row]:
    """Yield the rows of all files, one after another, each with its file's path in the folder."""
    columns: tuple[str, frozenset[str]] | None = None
    for path in folders.tables(folder):
        name = str(path.relative_to(folder))
        kind = kind_of(path)
        try:
            for row in _read_file(path):
                columns = columns or (name, frozenset(row.cells))
                if kind == parquet.ENDING and columns[1] != frozenset(row.cells):
                    found = f"its columns are {', '.join(row.cells)}"
                    raise malformed(name, "the file", found, f"those of {columns[0]}")
                yield replace(row, file=name)
        except BadInput as error:
            doing, found, fine, todo = error.facts
            above = f"folder {path.parent}: " if name != path.name else ""
            raise BadInput(above + doing, found, fine, todo) from None


def _read_jsonl(path: Path) -> Iterator[Row]:
    fine, is_first = "one JSON object per line", True
    for number, line in enumerate(_lines(path), 1):
        if not line.strip():
            continue
        if is_first and line.lstrip().startswith("["):
            doing, todo = f"dataset {path.name}", "Let its name end in .json."
            raise BadInput(doing, "the file is a JSON list", f"expected {fine}", todo)
        is_first = False
        try:
            cells = loads(line.rstrip("\r\n"))  # else the end of a line counts as column 1
        except json.JSONDecodeError as error:
            raise malformed(
                path.name, f"line {number}, column {error.colno}", error.msg, fine
            ) from None
        except (
            ValueError,
            RecursionError,
        ) as error:  # a number of thousands of digits, thousands of brackets
            raise malformed(path.name, f"line {number}", str(error), fine) from None
        if not isinstance(cells, dict):
            raise malformed(
                path.name, f"line {number}, column 1", f"a JSON {type(cells).__name__}", fine
            )
        yield Row(path.name, f"line {number}", cells)


def _read_json(path: Path) -> Iterator[Row]:
    """Read object by object, so that each has its line, and a complaint about the last does not
    hide the first: those of a list, or such as stand one after another, of which there may be one.
    """
    text, fine = _text(path), "a JSON list of objects"
    decoder, at, line, counted = json.JSONDecoder(), 0, 1, 0

    def skip(expected: str) -> str:
        """Move past white space to one of these characters."""
        nonlocal at
        at = _SPACE.match(text, at).end()  # type: ignore[union-attr]
        found = text[at : at + 1]
        if not found or found not in expected:
            raise malformed(
                path.name, _place(text, at), f"{found!r}" if found else "the end of the file", fine
            )
        return found

    is_list = skip("[{") == "["
    at += is_list
    if is_list and skip("]{") == "]":
        return
    while True:
        skip("{")
        line += text.count("\n", counted, at)
        counted = at
        try:
            cells, at = decoder.raw_decode(text, at)
            check_depth(cells)
        except json.JSONDecodeError as error:
            raise malformed(
                path.name, f"line {error.lineno}, column {error.colno}", error.msg, fine
            ) from None
        except (ValueError, RecursionError) as error:
            raise malformed(path.name, f"line {line}", str(error), fine) from None
        yield Row(path.name, f"line {line}", cells)
        if not is_list:
            if _SPACE.fullmatch(text, at):
                return
        elif skip(",]") == "]":
            break
        at += is_list
    if rest := text[at + 1 :].lstrip():
        raise malformed(path.name, _place(text, len(text) - len(rest)), "Extra data", fine)


_SPACE = re.compile(r"[ \t\r\n]*")


def _place(text: str, at: int) -> str:
    return f"line {text.count(chr(10), 0, at) + 1}, column {at - text.rfind(chr(10), 0, at)}"


def _read_csv(path: Path) -> Iterator[Row]:
    csv.field_size_limit(2**31 - 1)
    lines = list(_lines(path))
    reader = csv.reader(lines, strict=True, delimiter=_delimiter(lines))
    header: list[str] = []
    known: dict[str, str] = {}
    try:
        for fields in reader:
            where = f"line {reader.line_num}"
            if not header and len(fields) == 6 and fields[-1] in tuple("ABCD"):
                header, known = ["question", *"ABCD", "answer"], _subject(path)
            elif not header:
                header = [name.strip() for name in fields]
                if twice := {name for name in header if header.count(name) > 1}:
                    raise malformed(
                        path.name,
                        where,
                        f"column {min(twice)!r} twice",
                        "a header of different names",
                    )
                continue
            if fields and len(fields) != len(header):
                found = f"{len(fields)} field{'s' * (len(fields) > 1)}"
                raise malformed(
                    path.name,
                    f"{where}, column {len(fields)}",
                    found,
                    f"{len(header)} as in the header",
                )
            if fields:
                yield Row(path.name, where, {**dict(zip(header, fields, strict=True)), **known})
    except csv.Error as error:
        raise malformed(
            path.name, f"line {reader.line_num}", str(error), "a CSV table with a header"
        ) from None


def _delimiter(lines: Iterable[str]) -> str:
    """Return what stands between the names of a header: semicolons or tabs where it has no comma,
    as spreadsheets write them in countries whose numbers have one.
    """
    header = next((line for line in lines if line.strip()), "")
    return next((mark for mark in ",;\t" if mark in header), ",")


def _subject(path: Path) -> dict[str, str]:
    """Return the subject. MMLU's own files have no header, and their names say what they are about:
    abstract_algebra_test.csv.
    """
    stem = path.name.partition(".")[0]
    match = re.fullmatch(r"(.+)_(test|val|dev)", stem)
    return {"subject": match[1], "split": match[2]} if match else {"subject": stem}


def _read_txt(path: Path) -> Iterator[Row]:
    """Read texts. TinyStories' stories end with <|endoftext|>; in any other file every line that is
    not blank is a text.
    """
    try:
        with packed.opened(path) as file:
            head = file.read(_BLOCK_BYTES)
            _must_be_text(path, head)
            file.seek(0)
            yield from _texts(path, file, _mark_between(head))
    except OSError as error:
        raise _unreadable(path, error) from None


def _mark_between(head: bytes) -> bytes:
    """Return what ends a text. Old Macs ended lines with a carriage return."""
    if _END_OF_TEXT in head:
        return _END_OF_TEXT
    return b"\r" if b"\r" in head and b"\n" not in head else b"\n"


def _texts(path: Path, file: BinaryIO, mark: bytes) -> Iterator[Row]:
    at, line, rest = (
        0,
        1,
        b"",
    )  # `rest` has not been given out yet, `at` and `line` are where it starts
    while True:
        block = file.read(_BLOCK_BYTES)
        *pieces, rest = (rest + block).split(mark)
        for piece in pieces if block else [*pieces, rest]:
            yield from _piece(path, piece, at, line)
            at, line = (
                at + len(piece) + len(mark),
                line + piece.count(b"\n") + (mark != _END_OF_TEXT),
            )
        if len(rest) > _LONGEST_BYTES:
            raise malformed(path.name, f"line {line}", "a text of more than 64 MiB", "shorter ones")
        if not block:
            return


def _piece(path: Path, piece: bytes, at: int, line: int) -> Iterator[Row]:
    try:
        text = piece.decode("utf-8-sig" if at == 0 else "utf-8")
    except UnicodeDecodeError as error:
        at += error.start + 3 * (at == 0 and piece.startswith(codecs.BOM_UTF8))
        raise malformed(path.name, f"byte {at}", "not UTF-8", "UTF-8 text") from None
    if body := text.strip():
        line += text[: text.index(body)].count("\n")
        yield Row(path.name, f"line {line}", {"text": body})


_END_OF_TEXT = b"<|endoftext|>"
_BLOCK_BYTES, _LONGEST_BYTES = 2**20, 2**26
_COPIES = 4  # of a file that is read whole: its bytes, its text, its lines, its rows


def _read_pickle(path: Path) -> Iterator[Row]:
    from accuracy.datasets.frames import rows

    for number, cells in enumerate(rows(path), 1):
        yield Row(path.name, f"row {number}", cells)


READERS: dict[str, Callable[[Path], Iterator[Row]]] = {
    ".jsonl": _read_jsonl,
    ".json": _read_json,
    ".csv": _read_csv,
    parquet.ENDING: parquet.rows,
    ".txt": _read_txt,
    ".pkl": _read_pickle,
}


def _lines(path: Path) -> Iterator[str]:
    yield from io.StringIO(_text(path), newline="")


def _text(path: Path) -> str:
    """Return the whole text: a file that is decoded in blocks would name a byte of its block."""
    most = available_bytes() // _COPIES
    try:
        with packed.opened(path) as file:
            data = file.read(most + 1)
    except OSError as error:
        raise _unreadable(path, error) from None
    if len(data) > most:
        raise too_large(path, most)
    _must_be_text(path, data)
    try:
        return data.decode().removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise malformed(path.name, f"byte {error.start}", "not UTF-8", "UTF-8 text") from None


def _must_be_text(path: Path, data: bytes) -> None:
    if kind := other_kind(data):
        found, fine = f"the file is {kind}", "expected text in UTF-8"
        raise BadInput(f"dataset {path.name}", found, fine, "Convert it.")


def _unreadable(path: Path, error: OSError) -> BadInput:
    fine = "expected a file that can be read"
    return wrong_path(f"dataset {path.name}", path, fine, f"The system says: {error.strerror}.")
