"""The rows of a pickled table, from what the pickle says would be made: a pandas frame, or a list
of dicts.

Frames of pandas 1.5 to 3, arrays of numpy 1 and 2, pickle protocols 2 to 5. Neither library's own
unpickling takes part: arrays are rebuilt from their bytes, shape and a type out of twelve, and
everything must have the size that it says.
"""

from __future__ import annotations

import math
import pickle
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accuracy.datasets.pickled import Made, Program, Refused, bytes_of
from accuracy.datasets.rows import NOT_READ
from harness.kernel.errors import BadInput

MOST_COLUMNS, MOST_ROWS, MOST_VALUES = 10_000, 2_000_000, 100_000_000


def rows(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the rows of the table. Raises BadInput."""
    program = Program(bytes_of(path))
    try:
        for number, row in enumerate(_Table().rows(program.load())):
            if number == MOST_ROWS:
                raise Refused(f"more than {MOST_ROWS} rows")
            yield row
    except (Refused, *_BROKEN) as error:
        found = f"a broken pickle ({type(error).__name__})"
        if isinstance(error, Refused):
            found = str(error)
        where = "" if program.step_at is None else f", byte {program.step_at}"
        raise BadInput(f"dataset {path.name}{where}", found, _FINE, _TODO) from None


_BROKEN = (
    LookupError, ValueError, TypeError, OverflowError, MemoryError, AttributeError,
    struct.error, pickle.UnpicklingError,
)  # fmt: skip
_ELSEWHERE = "packed texts that are not where it says"
_FINE = "only plain arrays and frames are read, for a pickle may run any program"
_TODO = "If you trust it, open it in pandas and save it as Parquet."


class _Table:
    """What the pickle left, understood. What a pickle says once it may use a thousand times:
    `_left` counts every use.
    """

    def __init__(self) -> None:
        self._left = MOST_VALUES

    def rows(self, value: Any) -> Iterator[dict[str, Any]]:
        if type(value) is list and all(type(row) is dict for row in value):
            for row in value:
                yield {name: self._cell(cell) for name, cell in row.items()}
            return
        columns = self._columns(value)
        for cells in zip(*columns.values(), strict=True):
            yield {name: self._cell(cell) for name, cell in zip(columns, cells, strict=True)}

    def _columns(self, frame: Any) -> dict[str, list[Any]]:
        match frame:
            case Made(
                "frame", (), {"_mgr": Made("manager", (tuple() as blocks, [labels, _]), None)}
            ):
                pass
            case Made("frame"):
                raise Refused("a pandas frame of another build")
            case _:
                raise Refused("neither a pandas frame nor a list of dicts")
        names, found = self._labels(labels), dict[int, list[Any]]()
        for block in blocks:
            match block:
                case Made("block", (values, places, int()), None):
                    columns = self._block(values)
                    found.update(zip(self._places(places, len(columns)), columns, strict=True))
                case _:
                    raise Refused("a frame without blocks")
        if sorted(found) != list(range(len(names))) or len(set(names)) != len(names):
            raise Refused("a frame whose columns are not all there, or twice")
        if len({len(column) for column in found.values()}) > 1:
            raise Refused("a frame with columns of different lengths")
        return {name: found[place] for place, name in enumerate(names)}

    def _labels(self, index: Any) -> list[str]:
        match index:
            case Made("index", (Made("labels"), {"data": data}), None):
                names = []
                for name in self._one_column(data):
                    names.append(str(name) if isinstance(name, str | int) else "")
                return names
            case Made(
                "index",
                (Made("range"), {"start": int(start), "stop": int(stop), "step": int(step)}),
                None,
            ):
                if len(span := range(start, stop, step)) <= MOST_COLUMNS:
                    return [str(number) for number in span]
        raise Refused("column names of a kind that is not read")

    def _places(self, places: Any, count: int) -> list[int]:
        """Return which columns of the frame a block holds."""
        match places:
            case Made("slice", (int(start), int(stop), int() | None as step), None):
                if len(span := range(start, stop, step or 1)) == count:
                    return list(span)
            case Made("array" | "buffer array"):
                found = self._one_column(places)
                if len(found) == count and all(type(place) is int for place in found):
                    return found
        raise Refused("a block of another number of columns than it says")

    def _block(self, values: Any) -> list[list[Any]]:
        """Return the columns; an array of texts is one."""
        match values:
            case Made("array" | "buffer array"):
                dimensions, found = self._array(values)
                return found if dimensions == 2 else [found]
        return [self._one_column(values)]

    def _one_column(self, values: Any) -> list[Any]:
        match values:
            case Made("array" | "buffer array"):
                dimensions, found = self._array(values)
                if dimensions == 1:
                    return found
            case Made("backed texts", _, tuple() as state):
                for part in state:
                    if isinstance(part, Made) and part.part in ("array", "buffer array"):
                        return self._one_column(part)
            case Made("packed texts", (), {"_pa_array": Made("arrow array", (packed,), None)}):
                return self._packed_texts(packed)
        raise Refused("a column of a kind that is not read")

    def _array(self, made: Made) -> tuple[int, list[Any]]:
        """Return one dimension and its values, or two and a list per row."""
        match made:
            case Made(
                "array",
                _,
                (int(), tuple() as shape, dtype, bool(by_column), bytes() | list() as data),
            ):
                order = "F" if by_column else "C"
            case Made(
                "buffer array", (bytes() as data, dtype, tuple() as shape, "C" | "F" as order), None
            ):
                pass
            case _:
                raise Refused("an array without data")
        if len(shape) not in (1, 2) or not all(type(n) is int and n >= 0 for n in shape):
            raise Refused("an array of neither one nor two dimensions")
        if len(shape) == 2 and shape[0] > MOST_COLUMNS:
            raise Refused(f"more than {MOST_COLUMNS} columns")
        kind, count = _dtype(dtype), math.prod(shape)
        self._spend(count)
        if isinstance(data, bytes) and kind != "O" and len(data) == count * np.dtype(kind).itemsize:
            values = np.frombuffer(data, kind)
            values = values.reshape(shape, order="F" if order == "F" else "C")
            return len(shape), values.tolist()
        if isinstance(data, list) and kind == "O" and len(data) == count:
            if len(shape) == 1:
                return 1, data
            height, width = shape
            return 2, [data[i * width : (i + 1) * width] for i in range(height)]
        raise Refused("an array of another size than it says")

    def _packed_texts(self, packed: Any) -> list[str | None]:
        """Read Arrow's layout: where each text starts, all texts in a row, and a bit for each that
        is there.
        """
        match packed:
            case (
                Made("arrow type", (str(kind),)),
                int(length),
                int(),
                int(offset),
                [valid, starts, texts],
                [],
                None,
            ):
                pass
            case _:
                raise Refused("texts packed in another way")
        width = {"string": "<i4", "large_string": "<i8"}.get(kind)
        if width is None or length < 0 or offset < 0:
            raise Refused("texts packed in another way")
        self._spend(offset + length)
        end = offset + length
        ends = np.frombuffer(_buffer(starts), width)[offset : end + 1].astype(np.int64)
        there = np.ones(length, np.uint8)
        if valid:
            bits = np.frombuffer(_buffer(valid)[: (end + 7) // 8], np.uint8)
            there = np.unpackbits(bits, bitorder="little")[offset:end]
        if length and not len(ends) - 1 == len(there) == length:
            raise Refused(_ELSEWHERE)
        return _texts(_buffer(texts), ends, there) if length else []

    def _cell(self, value: Any) -> Any:
        """Return a text, a number, a list; None where nothing is."""
        match value:
            case float():
                return None if value != value else value
            case str() | list():
                self._spend(len(value) if isinstance(value, list) else len(value) // 16)
                return value
            case int() | None:
                return value
            case tuple():
                return self._cell(list(value))
            case Made("missing", None):
                return None
            case Made("array" | "buffer array"):
                return self._array(value)[1]
            case Made("scalar", (dtype, bytes() as data), None) if (kind := _dtype(dtype)) != "O":
                return self._cell(np.frombuffer(data, kind, count=1)[0].item())
        return NOT_READ

    def _spend(self, count: int) -> None:
        self._left -= count
        if self._left < 0:
            raise Refused(f"a table of more than {MOST_VALUES} values")


def _texts(data: bytes, ends: NDArray[np.int64], there: NDArray[np.uint8]) -> list[str | None]:
    """Return each text, from where one ends and the next begins; None where none is there."""
    if ends[0] < 0 or (np.diff(ends) < 0).any():
        raise Refused(_ELSEWHERE)
    texts: list[str | None] = []
    for bit, start, end in zip(there.tolist(), ends[:-1].tolist(), ends[1:].tolist(), strict=True):
        texts.append(data[start:end].decode() if bit else None)
    return texts


_KINDS = ("b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8")


def _dtype(made: Any) -> str:
    match made:
        case Made("dtype", ("O8" | "O", *_), _):
            return "O"
        case Made(
            "dtype", (str(kind), *_), (int(), "<" | ">" | "|" | "=" as order, None, None, None, *_)
        ) if kind in _KINDS:
            return f"{order}{kind}"
        case Made("dtype", (str(kind), *_)):
            raise Refused(f"an array of {ascii(kind[:10])[1:-1]}")
    raise Refused("an array of no type")


def _buffer(made: Any) -> bytes:
    match made:
        case None:
            return b""
        case Made("arrow buffer", (bytes() as data,), None):
            return data
    raise Refused("texts packed in another way")
