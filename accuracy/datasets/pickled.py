"""A pickle, read as data: its names are looked up in a list, nothing is imported, nothing is
called.

A pickle is a program for a small stack machine, and `pickle.load` runs it with all of Python at
hand. The machine here makes numbers, texts, bytes, tuples, lists and dicts. A name must stand in
`PARTS`, and what the pickle would make by calling it is noted down as `Made(part, args, state)`: a
description, which `frames` understands.
"""

from __future__ import annotations

import gzip
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.kernel.errors import BadInput

MOST_BYTES = 2**30  # of the pickle, unpacked: MLPerf's OpenOrca has about 0.2e9
MOST_EXPANSION = 100  # of a packed one, from 64 MiB on: text shrinks to a third or a tenth
MOST_STEPS = (
    50_000_000  # of its program: MLPerf's OpenOrca has about 15e6, nearly all of them token ids
)
MOST_PARTS = 5_000_000  # lists, dicts and tuples; things remembered; open marks

PARTS: dict[tuple[str, str], str] = {
    ("pandas", "DataFrame"): "frame",
    ("pandas.core.frame", "DataFrame"): "frame",
    ("pandas.core.internals.managers", "BlockManager"): "manager",
    ("pandas._libs.internals", "_unpickle_block"): "block",
    ("builtins", "slice"): "slice",
    ("__builtin__", "slice"): "slice",
    ("pandas.core.indexes.base", "_new_Index"): "index",
    ("pandas", "Index"): "labels",
    ("pandas.core.indexes.base", "Index"): "labels",
    ("pandas.core.indexes.numeric", "Int64Index"): "labels",
    ("pandas", "RangeIndex"): "range",
    ("pandas.core.indexes.range", "RangeIndex"): "range",
    ("pandas", "StringDtype"): "dtype of texts",
    ("pandas.core.arrays.string_", "StringDtype"): "dtype of texts",
    ("pandas._libs.arrays", "__pyx_unpickle_NDArrayBacked"): "backed texts",
    ("pandas.arrays", "StringArray"): "texts",
    ("pandas.core.arrays.string_", "StringArray"): "texts",
    ("pandas.arrays", "ArrowStringArray"): "packed texts",
    ("pandas.core.arrays.string_arrow", "ArrowStringArray"): "packed texts",
    ("pandas", "NA"): "missing",
    ("pandas._libs.missing", "NA"): "missing",
    ("pyarrow.lib", "_restore_array"): "arrow array",
    ("pyarrow.lib", "type_for_alias"): "arrow type",
    ("pyarrow.lib", "py_buffer"): "arrow buffer",
    ("numpy", "ndarray"): "array class",
    ("numpy", "dtype"): "dtype",
    ("numpy.core.multiarray", "_reconstruct"): "array",
    ("numpy._core.multiarray", "_reconstruct"): "array",
    ("numpy.core.numeric", "_frombuffer"): "buffer array",
    ("numpy._core.numeric", "_frombuffer"): "buffer array",
    ("numpy.core.multiarray", "scalar"): "scalar",
    ("numpy._core.multiarray", "scalar"): "scalar",
    ("_codecs", "encode"): "bytes",  # how protocol 2 writes bytes
    ("builtins", "bytes"): "bytes",
    ("__builtin__", "bytes"): "bytes",
    ("builtins", "bytearray"): "bytes",
    ("__builtin__", "bytearray"): "bytes",
}


@dataclass(slots=True, eq=False)
class Made:
    """What the pickle says would come of calling a part; without arguments, the part itself."""

    part: str
    args: tuple[Any, ...] | None = None
    state: Any = None


class Refused(Exception):
    """Says what was found."""


def bytes_of(path: Path) -> bytes:
    doing, packed = f"dataset {path.name}", path.name.endswith(".gz")
    size = path.stat().st_size
    limit = min(MOST_BYTES, max(2**26, MOST_EXPANSION * size)) if packed else MOST_BYTES
    try:
        with gzip.open(path) if packed else path.open("rb") as file:
            data = b"" if size > MOST_BYTES else file.read(limit + 1)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise BadInput(
            doing, f"{error}", "expected a file packed by gzip", "Correct the file."
        ) from None
    except OSError as error:
        raise BadInput(doing, error.strerror or str(error), "a readable file") from None
    if size > MOST_BYTES or len(data) > limit:
        found = (
            f"it unpacks to more than {limit >> 20} MiB" if packed else f"it has {size >> 20} MiB"
        )
        raise BadInput(
            doing, found, f"pickles of at most {limit >> 20} MiB are read", "Save it as Parquet."
        )
    return data


# ---- the machine


class Machine:
    """Runs the program; `step_at` is the byte of the step it is at, None once it has ended."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0
        self.step_at: int | None = 0
        self._stack: list[Any] = []
        self._marks: list[int] = []
        self._memo: dict[int, Any] = {}
        self._containers = 0

    def run(self) -> Any:
        data, stack = self._data, self._stack
        for _ in range(MOST_STEPS):
            at = self._at
            code = data[at]
            if code == _BYTE:  # first the three that token ids are made of
                stack.append(data[at + 1])
                self._at = at + 2
            elif code == _TWO_BYTES:
                stack.append(data[at + 1] | data[at + 2] << 8)
                self._at = at + 3
            elif code == _FOUR_BYTES:
                self._at = at + 1
                stack.append(int.from_bytes(self._take(4), "little", signed=True))
            elif code == _STOP:
                self.step_at = None
                return stack.pop()
            else:
                self.step_at, self._at = at, at + 1
                _STEPS.get(code, Machine._unknown)(self)
        raise Refused(f"a program of more than {MOST_STEPS} steps")

    def _unknown(self) -> None:
        import pickletools

        names = {op.code: f"the instruction {op.name}" for op in pickletools.opcodes}
        raise Refused(names.get(chr(self._data[self._at - 1]), "no pickle's instruction"))

    def _take(self, size: int) -> bytes:
        piece = self._data[self._at : self._at + size]
        if len(piece) < size:
            raise Refused("an end in the middle")
        self._at += size
        return piece

    def _sized(self, width: int) -> bytes:
        return self._take(int.from_bytes(self._take(width), "little"))

    def _line(self) -> str:
        end = self._data.index(b"\n", self._at, self._at + 300)
        return self._take(end + 1 - self._at)[:-1].decode("utf-8", "replace")

    def _push(self, value: Any) -> None:
        self._stack.append(value)

    def _container(self, value: Any) -> None:
        self._containers += 1
        if self._containers > MOST_PARTS:
            raise Refused(f"more than {MOST_PARTS} lists, dicts and tuples")
        self._stack.append(value)

    def _since_mark(self) -> list[Any]:
        start = self._marks.pop()
        values = self._stack[start:]
        del self._stack[start:]
        return values

    # Steps

    def _protocol(self) -> None:
        if (version := self._take(1)[0]) > 5:
            raise Refused(f"pickle protocol {version}")

    def _frame(self) -> None:
        self._take(8)

    def _mark(self) -> None:
        self._marks.append(len(self._stack))
        if len(self._marks) > MOST_PARTS:
            raise Refused(f"more than {MOST_PARTS} open marks")

    def _text(self, width: int) -> None:
        self._push(self._sized(width).decode("utf-8", "surrogatepass"))

    def _raw(self, width: int) -> None:
        self._push(self._sized(width))

    def _long(self) -> None:
        self._push(int.from_bytes(self._sized(1), "little", signed=True))

    def _float(self) -> None:
        self._push(struct.unpack(">d", self._take(8))[0])

    def _tuple_of(self, size: int) -> None:
        values = tuple(self._stack[-size:])
        del self._stack[-size:]
        if len(values) != size:
            raise Refused("a tuple of things that are not there")
        self._container(values)

    def _marked_tuple(self) -> None:
        self._container(tuple(self._since_mark()))

    def _append(self, values: list[Any]) -> None:
        if type(self._stack[-1]) is not list:
            raise Refused("an item for what is no list")
        self._stack[-1].extend(values)

    def _set(self, values: list[Any]) -> None:
        if type(self._stack[-1]) is not dict or len(values) % 2:
            raise Refused("an item for what is no dict")
        if any(type(key) is not str for key in values[::2]):
            raise Refused("a dict with keys that are no texts")
        self._stack[-1].update(zip(values[::2], values[1::2], strict=True))

    def _set_one(self) -> None:
        value, key = self._stack.pop(), self._stack.pop()
        self._set([key, value])

    def _get(self, width: int) -> None:
        self._push(self._memo[int.from_bytes(self._take(width), "little")])

    def _put(self, width: int) -> None:
        self._remember(int.from_bytes(self._take(width), "little"))

    def _memoize(self) -> None:
        self._remember(len(self._memo))

    def _remember(self, number: int) -> None:
        self._memo[number] = self._stack[-1]
        if len(self._memo) > MOST_PARTS:
            raise Refused(f"more than {MOST_PARTS} things to remember")

    def _global(self) -> None:
        self._named(self._line(), self._line())

    def _stack_global(self) -> None:
        name, module = self._stack.pop(), self._stack.pop()
        self._named(module, name)

    def _instance(self) -> None:
        self._named(self._line(), self._line())
        raise Refused("the instruction INST")

    def _named(self, module: Any, name: Any) -> None:
        if type(module) is not str or type(name) is not str:
            raise Refused("a name that is no text")
        if (module, name) not in PARTS:
            raise Refused(f"it asks for {ascii(f'{module}.{name}'[:100])[1:-1]}")
        self._push(Made(PARTS[module, name]))

    def _call(self) -> None:
        args, part = self._stack.pop(), self._stack.pop()
        if type(part) is not Made or part.args is not None or type(args) is not tuple:
            raise Refused("a call of what is no part of a frame")
        self._container(_plain_bytes(args) if part.part == "bytes" else Made(part.part, args))

    def _build(self) -> None:
        state, made = self._stack.pop(), self._stack[-1]
        if type(made) is not Made or made.args is None or made.state is not None:
            raise Refused("a state for what has none")
        made.state = state


_STOP, _BYTE, _TWO_BYTES, _FOUR_BYTES = b".KMJ"
_STEPS: dict[int, Callable[[Machine], None]] = {
    ord(code): step
    for code, step in {
        "\x80": Machine._protocol,
        "\x95": Machine._frame,
        "(": Machine._mark,
        "N": lambda m: m._push(None),
        "\x88": lambda m: m._push(True),
        "\x89": lambda m: m._push(False),
        "\x8a": Machine._long,
        "G": Machine._float,
        "\x8c": lambda m: m._text(1),
        "X": lambda m: m._text(4),
        "\x8d": lambda m: m._text(8),
        "C": lambda m: m._raw(1),
        "B": lambda m: m._raw(4),
        "\x8e": lambda m: m._raw(8),
        "\x96": lambda m: m._raw(8),
        ")": lambda m: m._push(()),
        "\x85": lambda m: m._tuple_of(1),
        "\x86": lambda m: m._tuple_of(2),
        "\x87": lambda m: m._tuple_of(3),
        "t": Machine._marked_tuple,
        "]": lambda m: m._container([]),
        "a": lambda m: m._append([m._stack.pop()]),
        "e": lambda m: m._append(m._since_mark()),
        "}": lambda m: m._container({}),
        "s": Machine._set_one,
        "u": lambda m: m._set(m._since_mark()),
        "h": lambda m: m._get(1),
        "j": lambda m: m._get(4),
        "q": lambda m: m._put(1),
        "r": lambda m: m._put(4),
        "\x94": Machine._memoize,
        "c": Machine._global,
        "\x93": Machine._stack_global,
        "i": Machine._instance,
        "R": Machine._call,
        "\x81": Machine._call,
        "b": Machine._build,
    }.items()
}


def _plain_bytes(args: tuple[Any, ...]) -> bytes:
    match args:
        case ():
            return b""
        case (bytes() as data,):
            return data
        case (str() as text, "latin1" | "latin-1"):
            return text.encode("latin-1")
    raise Refused("bytes of a kind that no array is made of")
