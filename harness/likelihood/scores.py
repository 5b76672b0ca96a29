"""What did the process of a subject leave? Its parts become tokens.parquet, and that the scores of
each text under each condition.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from accuracy.likelihood.divergence import Positions
from accuracy.likelihood.figures import TextScores
from harness.kernel import files
from harness.kernel.foreign import parsed
from harness.kernel.foreign.arrays import read_arrays
from harness.kernel.foreign.tables import read_table
from harness.kernel.types import short_name
from harness.likelihood.conditions import PLAIN
from sut.likelihood.job import is_whole

_OWN = ("position", "token_id", "start", "end", "nll_nats", "correct")
_COMPARED = (
    "kld",
    "kld_low",
    "kld_high",
    "kld_error",
    "same_top",
    "p_reference",
    "p",
    "nll_reference",
    "rest",
)
_POSITIONS = ("kld", "kld_low", "kld_high", "kld_error", "same_top", "nll_reference", "rest")
Row = dict[str, Any]


class Read(NamedTuple):
    """A subject's file and its scores, by condition; `compared` are the plain texts' positions
    beside the reference's, by id. No two subjects of a folder have one label.
    """

    label: str
    row: Row
    scores: dict[str, list[TextScores]]
    compared: dict[str, Positions]

    @property
    def plain(self) -> list[TextScores]:
        return self.scores.get(PLAIN, [])

    @property
    def done(self) -> bool:
        return bool(self.row["status"] == "DONE" and self.plain)


# ---- what is there


def is_kept(folder: Path, row: Row, recorded: bool) -> bool:
    """Say whether all that was kept of a subject can still be read: its tokens and, if others are
    to be compared with it, the distributions of each text. A power cut may leave less.
    """
    tokens = _tokens(folder / "tokens.parquet")
    if row.get("status") != "DONE" or tokens is None or not tokens.num_rows:
        return False
    if not recorded:
        return True
    plain = zip(tokens["text"].to_pylist(), tokens["condition"].to_pylist(), strict=True)
    texts = {text for text, condition in plain if condition == PLAIN}
    files = list((folder / "distributions").glob("*.npz"))
    return len(files) >= len(texts) and all(map(is_whole, files))


def _tokens(file: Path) -> Any:
    """Return the table of a subject's tokens; None if it is missing or damaged."""
    import pyarrow as pa

    try:
        return read_table(file).combine_chunks()
    except (OSError, pa.ArrowException):
        return None


# ---- parts to one table


def gather(place: Path, folder: Path) -> Row:
    """Join the parts there are into tokens.parquet; say how much was scored and how long it
    took.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    made = [part for part in sorted((folder / "parts").glob("*.npz")) if is_whole(part)]
    if not made:
        return {}
    ids = read_table(place / "texts.parquet", ["id"])["id"].to_pylist()
    parts = []
    for file in made:
        name, part = file.stem[7:].replace("-", " "), read_arrays(file)
        parts.append((name, ids[int(file.stem[:6])], part))
    parts.sort(
        key=lambda part: part[0] != PLAIN
    )  # stable: the plain texts first, each condition's in their order
    lengths = [len(columns["token_id"]) for _, _, columns in parts]
    table: Row = {
        "text": pa.array(np.repeat(np.array([text for _, text, _ in parts], object), lengths)),
        "condition": pa.array(
            np.repeat(np.array([condition for condition, _, _ in parts], object), lengths)
        ),
        "begins_at": np.repeat(
            np.array([columns["begins_at"] for _, _, columns in parts], np.int32), lengths
        ),
    }
    table |= {name: np.concatenate([columns[name] for _, _, columns in parts]) for name in _OWN}
    for name in _COMPARED:
        if any(name in columns for _, _, columns in parts):
            table[name] = _or_null([columns.get(name) for _, _, columns in parts], lengths)
    with files.replacing(folder / "tokens.parquet") as out:
        pq.write_table(pa.table(table), out, compression="zstd")
    seconds = sum(float(columns["seconds"]) for _, _, columns in parts)
    return {
        "seconds": round(seconds, 3),
        "tokens_per_s": round(sum(lengths) / seconds, 2) if seconds else None,
    }


def _or_null(columns: Sequence[NDArray[Any] | None], lengths: Sequence[int]) -> Any:
    """Return null for a condition, which has no figures beside the reference."""
    import pyarrow as pa

    kind = next(column.dtype for column in columns if column is not None)
    there = np.repeat([column is not None for column in columns], lengths)
    pairs = zip(columns, lengths, strict=True)
    values = np.concatenate(
        [np.zeros(length, kind) if column is None else column for column, length in pairs]
    )
    return pa.array(values, mask=~there)


def read(place: Path, texts: Mapping[str, Mapping[str, Any]]) -> list[Read]:
    """Read every subject that was begun, in order; one whose row is damaged is measured anew by
    --resume, and is left out until then.
    """
    kept: dict[Path, Row] = {}
    for file in sorted(place.glob("[0-9][0-9]_*/subject.json")):
        with suppress(OSError, ValueError):
            kept[file.parent] = parsed.read_json(file)
    found = []
    for (folder, row), label in zip(kept.items(), _labels(list(kept.values())), strict=True):
        scores, compared = _scores(folder / "tokens.parquet", texts)
        found.append(Read(label, row, scores, compared))
    return found


def _labels(rows: Sequence[Row]) -> list[str]:
    """Name each by model and variant, numbered where two models have one name."""
    plain = [f"{short_name(str(row['model']))} {row['variant']}" for row in rows]
    times, seen = Counter(plain), Counter[str]()
    labels = []
    for label in plain:
        seen[label] += 1
        labels.append(f"{label} ({seen[label]})" if times[label] > 1 else label)
    return labels


def _scores(
    file: Path, texts: Mapping[str, Mapping[str, Any]]
) -> tuple[dict[str, list[TextScores]], dict[str, Positions]]:
    scores: dict[str, list[TextScores]] = {}
    compared: dict[str, Positions] = {}
    table = _tokens(file)
    if table is None:
        return scores, compared
    keys = [table[name].dictionary_encode().combine_chunks() for name in ("condition", "text")]
    codes = [
        key.indices.to_numpy() if hasattr(key, "indices") else key.chunk(0).indices.to_numpy()
        for key in keys
    ]
    names = [
        (key if hasattr(key, "dictionary") else key.chunk(0)).dictionary.to_pylist() for key in keys
    ]
    bounds = [
        0,
        *(np.flatnonzero((np.diff(codes[0]) != 0) | (np.diff(codes[1]) != 0)) + 1).tolist(),
        len(table),
    ]
    columns = {name: table[name].to_numpy() for name in (*_OWN, "begins_at")}
    extra = {name: table[name] for name in _POSITIONS if name in table.column_names}
    for first, end in pairwise(bounds):
        condition, text = names[0][codes[0][first]], names[1][codes[1][first]]
        row = {name: column[first:end] for name, column in columns.items()}
        document = texts[text]["text"]
        scores.setdefault(condition, []).append(
            TextScores(
                text_id=text,
                category=texts[text]["category"],
                token_ids=row["token_id"],
                starts=row["start"],
                ends=row["end"],
                nll_nats=row["nll_nats"],
                correct=row["correct"],
                num_bytes=len(document[int(row["begins_at"][0]) :].encode()),
            )
        )
        if condition == PLAIN and extra and extra["kld"][first].is_valid:
            beside = {name: column[first:end].to_numpy() for name, column in extra.items()}
            compared[text] = Positions(nll_variant=row["nll_nats"], **beside)
    return scores, compared
