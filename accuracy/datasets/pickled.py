"""A pickle, read as data: names are looked up in a table, nothing is imported, nothing is called.

A pickle is a program for a small stack machine, and `pickle.load` runs it with all of Python at
hand. The reader here lets it make numbers, texts, bytes, tuples, lists and dicts. A name must be
in `PARTS`, and what the pickle would make by calling it is noted as `Made(part, args, state)`: a
description, which `frames` understands.
"""

from __future__ import annotations

import io
import itertools
import pickle
import pickletools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from accuracy.datasets import packed
from harness.kernel.errors import BadInput

MOST_BYTES = 2**30  # of the pickle, unpacked: MLPerf's OpenOrca has about 0.2e9
MOST_EXPANSION = 100  # of a packed one, from 64 MiB on: text shrinks to a third or a tenth
MOST_STEPS = 50_000_000  # MLPerf's OpenOrca has about 15e6, nearly all of them token ids
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
    """Return the pickle in a file, unpacked; raise BadInput where it is too large or torn."""
    doing = f"dataset {path.name}"
    size = path.stat().st_size
    is_packed = path.name.endswith(packed.ENDING)
    limit = MOST_BYTES
    if is_packed:
        limit = min(MOST_BYTES, max(2**26, MOST_EXPANSION * size))
    try:
        with packed.opened(path) as file:
            data = b"" if size > MOST_BYTES else file.read(limit + 1)
    except OSError as error:
        raise BadInput(doing, error.strerror or str(error), "a readable file") from None
    if size > MOST_BYTES or len(data) > limit:
        mib = limit >> 20
        found = f"it unpacks to more than {mib} MiB" if is_packed else f"it has {size >> 20} MiB"
        fine = f"pickles of at most {mib} MiB are read"
        raise BadInput(doing, found, fine, "Save it as Parquet.")
    return data


class Program(pickle._Unpickler):
    """Runs a pickle; `step_at` is the byte of the step it is at, None once it has ended.

    This is the standard library's reader in pure Python with fewer instructions: none that imports
    or calls, none that hashes anything but a text, none that makes room before it has read.
    """

    pop_mark: Callable[[], list[Any]]

    def __init__(self, data: bytes) -> None:
        file = io.BytesIO(data)
        super().__init__(file)
        self.read, self.readline, self._tell = file.read, file.readline, file.tell
        self.step_at: int | None = 0
        self.stack: list[Any] = []
        self.append = self.stack.append
        self.metastack: list[list[Any]] = []  # what lies below each open mark
        self.memo: dict[int, Any] = {}
        self.containers = itertools.count(1)

    def load(self) -> Any:
        """Return what the program leaves; raise Refused, or an error of a broken pickle."""
        read, tell = self.read, self._tell
        for _ in range(MOST_STEPS):
            self.step_at = tell()
            code = read(1)[0]
            if code == _STOP:
                self.step_at = None
                return self.stack.pop()
            _STEPS[code](self)
        raise Refused(f"a program of more than {MOST_STEPS} steps")

    def find_class(self, module: str, name: str) -> Made:
        """Return the description of a part of a frame, and of nothing else."""
        if (module, name) not in PARTS:
            raise Refused(f"it asks for {ascii(f'{module}.{name}'[:100])[1:-1]}")
        return Made(PARTS[module, name])

    def _instantiate(self, *_: Any) -> None:
        raise Refused("the instruction INST")

    def _protocol(self) -> None:
        if (version := self.read(1)[0]) > 5:
            raise Refused(f"pickle protocol {version}")

    def _frame(self) -> None:
        self.read(8)

    def _set_one(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self._set([key, value])

    def _set(self, values: list[Any]) -> None:
        if type(self.stack[-1]) is not dict or len(values) % 2:
            raise Refused("an item for what is no dict")
        if any(type(key) is not str for key in values[::2]):
            raise Refused("a dict with keys that are no texts")
        self.stack[-1].update(zip(values[::2], values[1::2], strict=True))

    def _call(self) -> None:
        args, part = self.stack.pop(), self.stack.pop()
        if type(part) is not Made or part.args is not None or type(args) is not tuple:
            raise Refused("a call of what is no part of a frame")
        self.append(_bytes(args) if part.part == "bytes" else Made(part.part, args))

    def _build(self) -> None:
        state, made = self.stack.pop(), self.stack[-1]
        if type(made) is not Made or made.args is None or made.state is not None:
            raise Refused("a state for what has none")
        made.state = state


def _bytes(args: tuple[Any, ...]) -> bytes:
    match args:
        case ():
            return b""
        case (bytes() as data,):
            return data
        case (str() as text, "latin1" | "latin-1"):
            return text.encode("latin-1")
    raise Refused("bytes of a kind that no array is made of")


# ---- the instructions


Step = Callable[[Program], None]


class _Steps(dict[int, Step]):
    def __missing__(self, code: int) -> Step:
        names = {op.code: f"the instruction {op.name}" for op in pickletools.opcodes}
        raise Refused(names.get(chr(code), "no pickle's instruction"))


def _within_limit(step: Step, count: Callable[[Program], int], what: str) -> Step:
    def limited(program: Program) -> None:
        step(program)
        if count(program) > MOST_PARTS:
            raise Refused(f"more than {MOST_PARTS} {what}")

    return limited


_STOP = pickle.STOP[0]
_STANDARD: dict[int, Any] = dict(pickle._Unpickler.dispatch)
_STEPS = _Steps({code: _STANDARD[code] for code in b"(N\x88\x89\x8aGKMJ\x8cX\x8dCB\x8e"})
_STEPS |= {code: _STANDARD[code] for code in b")\x85\x86\x87t]ae}hjqr\x94c\x93i"}
_STEPS |= {
    pickle.PROTO[0]: Program._protocol,
    pickle.FRAME[0]: Program._frame,
    pickle.BYTEARRAY8[0]: _STANDARD[pickle.BINBYTES8[0]],
    pickle.SETITEM[0]: Program._set_one,
    pickle.SETITEMS[0]: lambda program: program._set(program.pop_mark()),
    pickle.REDUCE[0]: Program._call,
    pickle.NEWOBJ[0]: Program._call,
    pickle.BUILD[0]: Program._build,
}
for _codes, _count, _what in (
    (b"]}t\x85\x86\x87R\x81", lambda program: next(program.containers), "lists, dicts and tuples"),
    (b"qr\x94", lambda program: len(program.memo), "things to remember"),
    (b"(", lambda program: len(program.metastack), "open marks"),
):
    _STEPS |= {code: _within_limit(_STEPS[code], _count, _what) for code in _codes}
