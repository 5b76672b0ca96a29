"""Which requests does a trace hold? Its shape is told by its columns:

    BurstGPT              Timestamp (s), Request tokens, Response tokens
    Azure LLM inference   TIMESTAMP (a date), ContextTokens, GeneratedTokens      (2023 and 2024)
    Mooncake              timestamp (ms), input_length, output_length, hash_ids
    Touchstone's own      arrival_s, input_tokens, output_tokens

Requests without an answer (BurstGPT's failures have 0 tokens) are left out and counted.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from accuracy.datasets.readers import READERS, kind_of, read
from accuracy.datasets.rows import Row
from harness.kernel.errors import BadInput
from harness.kernel.places import expanded, wrong_path
from scenarios.loads.lengths import MOST_TOKENS
from scenarios.loads.trace import Trace

MOST_REQUESTS = 5_000_000
_SECOND_NS = 1_000_000_000
_MOST_NS = 4 * 10**18  # the year 2096
_DATE = re.compile(r"(\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(?:\.\d{1,9})?)\d*(Z|[+-]\d\d:?\d\d)?")
_FINE = "expected a trace as a .csv, .jsonl or .parquet file"


class Shape(NamedTuple):
    """Columns of a trace, and how a moment is read, in nanoseconds."""

    name: str
    arrival: str
    input: str
    output: str
    moment_ns: Callable[[Any], int]
    blocks: str = ""


def _date(text: Any) -> int:
    """Read 2023-11-16 18:15:46.6805900, in UTC unless it says otherwise."""
    match = _DATE.fullmatch(str(text).strip())
    if not match:
        raise ValueError
    moment_ns = int(np.datetime64(match[1], "ns").astype(np.int64))
    if not match[2] or match[2] == "Z":
        return moment_ns
    minutes = 60 * int(match[2][1:3]) + int(match[2][-2:])
    return moment_ns - (-1 if match[2][0] == "-" else 1) * minutes * 60 * _SECOND_NS


def _seconds(value: Any) -> int:
    return round(float(value) * _SECOND_NS)


def _milliseconds(value: Any) -> int:
    return round(float(value) * 1e6)


SHAPES = (
    Shape("BurstGPT", "Timestamp", "Request tokens", "Response tokens", _seconds),
    Shape("Azure", "TIMESTAMP", "ContextTokens", "GeneratedTokens", _date),
    Shape(
        "Mooncake", "timestamp", "input_length", "output_length", _milliseconds, "hash_ids",
    ),
    Shape("Touchstone", "arrival_s", "input_tokens", "output_tokens", _seconds),
)  # fmt: skip


def read_trace(file: str) -> tuple[Trace, dict[str, Any]]:
    """Return the requests in the order of their arrival, and what there is to know of the file.
    Raises BadInput.
    """
    path = found(file, f"--load trace:{file}")
    rows = read(path)
    first = next(rows, None)
    if first is None:
        raise BadInput(f"trace {path.name}", "it has no rows", _FINE)
    shape = _shape(first, path.name)
    requests, left_out = _requests(chain([first], rows), shape, path.name)
    if not requests:
        raise BadInput(f"trace {path.name}", "no request in it has an answer", _FINE)
    requests.sort(key=lambda request: request[0])
    first_ns = requests[0][0]
    due_ns = np.array([request[0] - first_ns for request in requests], np.int64)
    sizes = np.array([request[1:3] for request in requests], np.int64).reshape(-1, 2)
    blocks = [request[3] for request in requests] if shape.blocks else ()
    facts = {"file": path.name, "format": shape.name, "without_answer": left_out}
    return Trace(due_ns, sizes[:, 0], sizes[:, 1], blocks), facts


def found(file: str, doing: str) -> Path:
    """Return the path of a file that can be read as a table. Raises BadInput."""
    path = expanded(Path(file))
    if not path.is_file() or kind_of(path) not in READERS:
        raise wrong_path(doing, path, _FINE)
    return path


def _shape(row: Row, name: str) -> Shape:
    for shape in SHAPES:
        if {shape.arrival, shape.input, shape.output} <= set(row.cells):
            return shape
    known = "; ".join(f"{s.name}: {s.arrival}, {s.input}, {s.output}" for s in SHAPES)
    columns = ", ".join(list(row.cells)[:12])
    raise BadInput(f"trace {name}", f"its columns are {columns}", f"expected those of {known}")


def _requests(
    rows: Iterator[Row], shape: Shape, name: str
) -> tuple[list[tuple[int, int, int, tuple[int, ...]]], int]:
    requests, left_out = list[tuple[int, int, int, tuple[int, ...]]](), 0
    for row in rows:
        if len(requests) >= MOST_REQUESTS:
            found = f"it has more than {MOST_REQUESTS:,} requests"
            raise BadInput(f"trace {name}", found, "a run cannot have more", "Cut it.")
        output = _tokens(row, shape.output)
        if output == 0:
            left_out += 1
            continue
        blocks = row.ids(shape.blocks) or () if shape.blocks else ()
        requests.append((_arrival(row, shape), max(_tokens(row, shape.input), 1), output, blocks))
    return requests, left_out


def _arrival(row: Row, shape: Shape) -> int:
    value = row.cells.get(shape.arrival)
    try:
        moment_ns = shape.moment_ns(value)
    except (TypeError, ValueError, OverflowError):
        moment_ns = _MOST_NS
    if not abs(moment_ns) < _MOST_NS:
        raise row.complain(shape.arrival, f"{value!r}"[:40], "a moment")
    return moment_ns


def _tokens(row: Row, column: str) -> int:
    value = row.cells.get(column)
    try:
        tokens = int(float(value)) if value is not None else -1
    except (TypeError, ValueError, OverflowError):
        tokens = -1
    if not 0 <= tokens <= MOST_TOKENS:
        fine = f"a number of tokens up to {MOST_TOKENS:,}"
        raise row.complain(column, f"{value!r}"[:40], fine)
    return tokens
