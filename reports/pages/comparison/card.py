"""How does a comparison stand in a model card? One row per variant, the columns that were asked
for, plain figures: what the README of a model shows under "Results".

    | Model             | Trainable parameters | Loss   | Perplexity | Tokens/s |
    |:------------------|---------------------:|-------:|-----------:|---------:|
    | smollm2-135m fp32 |               134.5M | 2.7318 |      15.36 |    140.1 |

A CSV file gets every digit and the ends of the intervals.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from harness.kernel.errors import BadInput, unknown
from harness.kernel.words.judged import TABLE, Judged
from reports.blocks import Column, Table
from reports.pages.comparison.columns import GROUPS, value

Comparison = Mapping[str, Any]
_HEADS = {  # as cards have them, where our own tables say less or more
    "trainable_parameters": "trainable parameters",
    "disk_bytes": "size on disk",
    "weights_bytes": "weights in memory",
    "eval_loss": "loss",
    "perplexity": "perplexity",
}
_WORDS = ("model", "variant", "precision", "status", "run")


def columns_of(text: str | None) -> list[str]:
    """Return the names in a list of columns; none where nothing was asked for. Raises BadInput for
    an unknown one, naming the nearest.
    """
    if text is None:
        return []
    names = [name.strip() for name in text.split(",")]
    known = [*_known(), *(name for figure in TABLE.values() for name in figure.also)]
    for name in names:
        if not name:
            found, fine = f"{text!r} has an empty name", "expected names such as perplexity"
            raise BadInput("--columns", found, fine, "Remove the extra comma.")
        if name not in known:
            raise unknown("--columns", name, _known())
    return list(dict.fromkeys(map(_own_name, names)))


def _own_name(name: str) -> str:
    also = {other: figure.name for figure in TABLE.values() for other in figure.also}
    return name if name in _known() else also[name]


def _known() -> dict[str, Column]:
    """Return every column by name: those of comparisons and those of figures that rank."""
    of_tables = {one.name: one for members in GROUPS.values() for one in members}
    ranked = {name: _column(figure) for name, figure in TABLE.items()}
    words = {name: Column(name, name, words=True) for name in _WORDS}
    return words | ranked | of_tables


def _column(figure: Judged) -> Column:
    return Column(figure.name, figure.label, figure.unit, figure.write)


def card(found: Comparison, names: Sequence[str]) -> Table:
    """Return the table of a model card with these columns, which `columns_of` has checked."""
    known = _known()
    columns = [Column("label", "Model", words=True)]
    columns += [_headed(known[name], found) for name in names]
    rows = [[_model(row), *(value(row, name) for name in names)] for row in found["rows"]]
    return Table("", columns, rows)


def _model(row: Mapping[str, Any]) -> str:
    """Name a variant with its model, once."""
    model, label = str(row["model"]), str(row["label"])
    return label if label.startswith(model) else f"{model} {label}"


def _headed(column: Column, found: Comparison) -> Column:
    """Return a column with a head for itself: no group stands above it that would say more."""
    label = _HEADS.get(column.name, column.label.strip())
    if column.name == "peak_bytes":
        on_gpu = [row["conditions"].get("device", "") for row in found["rows"]]
        is_gpu = any(on_gpu) and all(d.startswith("cuda") for d in on_gpu if d)
        label = "GPU memory" if is_gpu else "peak memory"
    return replace(column, label=label[:1].upper() + label[1:], optional=False, group="")
