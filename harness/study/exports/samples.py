"""What do CSV and Parquet files hold of a comparison? A row per sample of all its runs, and beside
it a row per figure of each.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.kernel.words import judged
from harness.loaded.columns import columns_of
from reports.blocks import harmless

Row = Mapping[str, Any]
_ABOUT = ("model", "variant", "status", "run")


def samples_table(runs: Sequence[tuple[str, Path]]) -> Any:
    """Return the samples of runs, each by its label, as one table of pyarrow. Raises BadInput."""
    import pyarrow as pa

    from harness.engine import runlog

    tables = []
    for label, folder in runs:
        columns = columns_of(runlog.read_log(folder)[0])
        n = len(columns["sample_id"])
        made = {name: _column(values) for name, values in columns.items()}
        tables.append(pa.table({"run": pa.repeat(pa.scalar(harmless(label)), n), **made}))
    return pa.concat_tables(tables) if tables else pa.table({"run": pa.array([], pa.string())})


def _column(values: Any) -> Any:
    """Return a column: words harmless to spreadsheets, and null for what is no number."""
    import pyarrow as pa

    if values.dtype == object:
        known = {word: harmless(word) for word in set(values)}
        return pa.array([known[word] for word in values], pa.string())
    return pa.array(values, from_pandas=True)


def figures_table(found: Row) -> Any:
    """Return the figures of the runs of a comparison and how they differ from the baseline."""
    import pyarrow as pa

    rows = [{name: harmless(value) for name, value in row.items()} for row in _figures(found)]
    names = list(dict.fromkeys(name for row in rows for name in row))
    return pa.table({name: pa.array([row.get(name) for row in rows]) for name in names})


def _figures(found: Row) -> Iterator[dict[str, Any]]:
    effects = {
        (effect["label"], row["name"]): row
        for effect in found.get("effects", ())
        for row in effect["figures"]
    }
    for row in found["rows"]:
        about = {"label": row["label"]} | {name: row.get(name) for name in _ABOUT}
        for figure in judged.TABLE.values():
            if (value := judged.value_of(row, figure)) is not None:
                effect = effects.get((row["label"], figure.name))
                yield about | {"figure": figure.name, "value": value} | _of_effect(effect)
    for effect in found.get("effects", ()):
        for row in effect["figures"]:
            is_row = any(one["label"] == effect["label"] for one in found["rows"])
            if not is_row or row["name"] not in judged.TABLE:
                about = {"label": effect["label"], **dict.fromkeys(_ABOUT)}
                yield about | {"figure": row["name"], "value": row["after"]} | _of_effect(row)


def _of_effect(effect: Row | None) -> dict[str, Any]:
    if effect is None:
        return dict.fromkeys(
            ("baseline_value", "is_ratio", "change", "low", "high", "p_corrected", "verdict")
        )
    change = effect["change"]
    return {
        "baseline_value": effect["before"], "is_ratio": effect["is_ratio"],
        "change": change["value"], "low": change["low"], "high": change["high"],
        "p_corrected": effect["p_corrected"], "verdict": effect["verdict"],
    }  # fmt: skip
