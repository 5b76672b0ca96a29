"""Datasets: JSONL, CSV and Parquet files, as a run and as the perplexity laboratory read them."""

from __future__ import annotations

import csv
import datetime
import decimal
import io
import json
import os
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

from accuracy.datasets.files import load_dataset
from harness.likelihood import texts as perplexity_texts
from harness.likelihood.texts import Wanted
from tests.fuzz.inputs import ODD_NUMBERS, ODD_TEXTS, bent, odd, raw, rotten, torn

_ROWS: tuple[dict[str, Any], ...] = (
    {"question": "What?", "answer": "That."},
    {"question": "Which?", "answer": "#### 4", "subject": "maths", "kind": "number"},
    {"text": "Once upon a time. There was. A test. It ended.", "category": "story", "split": "a"},
    {"article": "Long news.", "summary": "Short."},
    {"prompt": "Say", "completion": "said", "vague": "x", "specific": "y", "paraphrased": "z"},
    {"input": "i", "output": "o", "tok_input": [1, 2, 3]},
    {"question": "Q", "choices": ["a", "b", "c", "d"], "answer": 2},
    {"question": "Q", "choices": {"text": ["a", "b"], "label": ["A", "B"]}, "answerKey": "A"},
    {"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "ho"}]},
)
_FORMATS = ("gsm8k", "mmlu", "openorca", "arc", "xsum", "cnn_dailymail", "table", "nonsense")
Send = Callable[[Random], None]


def _reads(place: Path, write: Callable[[Random], tuple[str, bytes]]) -> Send:
    os.chdir(place)

    def send(rng: Random) -> None:
        ending, data = write(rng)
        file = place / f"{rng.choice(('d', 'qa', '[x]', 'a:b', 'é', '$x'))}{ending}"
        file.write_bytes(data)
        try:
            _read(file, rng)
        finally:
            file.unlink()

    return send


def _read(file: Path, rng: Random) -> None:
    column = rng.choice((None,) * 12 + ("question", "text", rng.choice(ODD_TEXTS)))
    count = rng.choice((None,) * 8 + (1, 2, 10**9))
    if rng.random() < 0.3:
        conditions = rng.choice(((), (), ("sentences",), ("instructions",)))
        split = rng.choice((None,) * 9 + ("a", ""))
        perplexity_texts.read(Wanted(str(file), column, None, split, count, conditions))
        return
    reference = rng.choice((None,) * 12 + ("answer", rng.choice(ODD_TEXTS)))
    prefix = f"{rng.choice(_FORMATS)}:" if rng.random() < 0.15 else ""
    load_dataset(f"{prefix}{file}", 32, count, column, reference)


def _rows(rng: Random) -> list[Any]:
    rows: list[Any] = [dict(rng.choice(_ROWS)) for _ in range(1)] * rng.choice((1, 2, 5))
    rows = [dict(row) for row in rows]
    if rng.random() < 0.5:
        at = rng.randrange(len(rows))
        rows[at] = bent(rows[at], rng)
    if rng.random() < 0.1:
        rows.insert(rng.randrange(len(rows) + 1), odd(rng))
    if rng.random() < 0.1:
        rows.append(dict(rng.choice(_ROWS)))
    return rows


def jsonl(place: Path) -> Send:
    def write(rng: Random) -> tuple[str, bytes]:
        rows = _rows(rng)
        as_list = rng.random() < 0.1
        lines = [json.dumps(row, ensure_ascii=rng.random() < 0.5) for row in rows]
        text = json.dumps(rows) if as_list else "\n".join(lines) + "\n"
        if rng.random() < 0.3:
            text = torn(text, rng)
        if rng.random() < 0.02:
            text += "[" * 200_000 + "\n"
        if rng.random() < 0.02:
            text += '{"question": ' + "9" * 5_000 + "}\n"
        data = raw(text)
        ending = ".json" if as_list else rng.choice((".jsonl",) * 9 + (".json",))
        return ending, rotten(data, rng) if rng.random() < 0.2 else data

    return _reads(place, write)


def comma_separated(place: Path) -> Send:
    def write(rng: Random) -> tuple[str, bytes]:
        rows = [row for row in _rows(rng) if isinstance(row, dict)] or [{}]
        out = io.StringIO()
        writer = csv.writer(out, delimiter=rng.choice(",,,,;\t"))
        writer.writerow(rows[0])
        for row in rows:
            writer.writerow(map(str, row.values()))
        text = out.getvalue()
        if rng.random() < 0.6:
            text = torn(text, rng)
        if rng.random() < 0.02:
            text += '"' + "x" * 300_000
        data = raw(text)
        encoded = rng.random()
        if encoded < 0.05:
            data = text.encode("utf-16", errors="surrogatepass")
        ending = rng.choice((".csv",) * 8 + (".tsv", ".csv.gz"))
        return ending, rotten(data, rng) if rng.random() < 0.2 else data

    return _reads(place, write)


def parquet(place: Path) -> Send:
    def write(rng: Random) -> tuple[str, bytes]:
        data = _parquet(rng)
        if rng.random() < 0.4:
            data = rotten(data, rng)
        return rng.choice((".parquet",) * 30 + (".jsonl", ".csv")), data

    return _reads(place, write)


def _parquet(rng: Random) -> bytes:
    """Return a file of a few rows, some of whose columns have types that no prompt has."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    first = rng.choice(_ROWS)
    n = rng.choice((0, 1, 2, 5))
    columns = {}
    for name, value in first.items():
        columns[name if rng.random() < 0.95 else rng.choice(ODD_TEXTS)] = [value] * n
    for _ in range(rng.choice((0, 1, 1, 2))):
        name = rng.choice((*first, rng.choice(ODD_TEXTS)))
        columns[name] = _column(rng, n)
    arrays, names = [], []
    for name, values in columns.items():
        try:
            arrays.append(values if isinstance(values, pa.Array) else pa.array(values))
            names.append(raw(name).decode(errors="replace"))
        except (pa.ArrowException, OverflowError, ValueError, TypeError):
            continue  # no table can hold it
    if names and rng.random() < 0.05:  # the same name twice
        arrays, names = [*arrays, arrays[0]], [*names, names[0]]
    out = io.BytesIO()
    table = pa.Table.from_arrays(arrays, names)
    try:
        pq.write_table(table, out, compression=rng.choice(("zstd", "snappy", "none")))
    except (pa.ArrowException, NotImplementedError):  # a type that Parquet lacks
        return b"PAR1"
    return out.getvalue()


def _column(rng: Random, n: int) -> Any:
    import pyarrow as pa

    day = datetime.date(2026, 11, 27)
    makers: tuple[Callable[[], Any], ...] = (
        lambda: [None] * n,
        lambda: [rng.choice(ODD_NUMBERS[:12]) for _ in range(n)],
        lambda: [float(rng.choice(ODD_NUMBERS)) for _ in range(n)],
        lambda: [rng.choice((True, None)) for _ in range(n)],
        lambda: [rng.choice((b"\xff\x00", b"text")) for _ in range(n)],
        lambda: [day] * n,
        lambda: [datetime.datetime(1, 1, 1)] * n,
        lambda: [decimal.Decimal("1.50")] * n,
        lambda: [{"a": 1, "b": [None]}] * n,
        lambda: [[["x"], []]] * n,
        lambda: pa.array(["x"] * n).dictionary_encode(),
        lambda: pa.array([1] * n, pa.duration("ns")),
        lambda: pa.array([2**62] * n, pa.timestamp("ns")),
        lambda: pa.array([2**62] * n, pa.timestamp("s")),
        lambda: pa.array([None, *["x"] * (n - 1)][:n], pa.large_string()),
        lambda: [rng.choice([t for t in ODD_TEXTS if t.isprintable()]) for _ in range(n)],
    )  # fmt: skip
    return rng.choice(makers)()
