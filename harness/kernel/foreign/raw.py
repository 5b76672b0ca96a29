"""Are the raw records of a run what a recorder writes: whole numbers without gaps, within bounds,
and facts of the right types? What is not is refused here, before sums are made of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

from harness.kernel.errors import BadInput
from harness.kernel.foreign import declared
from harness.kernel.log import RunLog
from harness.kernel.types import FINISHES, End

_TEXTS = ("run_id", "started_at", "measured_at", "target_qps_origin")
_AS_IN_RESULT = {"sut": "sut_facts", "memory": "memory", "driver": "driver", "missing": "missing"}
_SUMS = ("nll_nats", "tokens", "correct", "samples", "seconds", "left_out")
_LISTS = ("token_ids", "token_ns", "token_delay_ns")
_WORDS = ("text", "error")
_FINE = {str: "a text", int: "a whole number", dict: "an object"}


def check_columns(table: Any, whole: tuple[str, ...]) -> None:
    """Refuse a samples.parquet (a pyarrow table) whose columns `whole` are no whole numbers, or
    have gaps. Raises TypeError.
    """
    import pyarrow as pa

    for name in whole:
        column = table[name]
        if not pa.types.is_integer(column.type) or column.null_count:
            raise TypeError(f"column {name} is no column of whole numbers")
    for name in set(_LISTS) & set(table.column_names):
        _check_lists(table[name])
    for name in set(_WORDS) & set(table.column_names):
        kind = table[name].type
        if str(kind) not in ("string", "large_string", "null"):
            raise TypeError(f"column {name} is no column of texts")


def _check_lists(column: Any) -> None:
    import pyarrow as pa

    kind = column.type
    is_list = pa.types.is_list(kind) or pa.types.is_large_list(kind)
    if not is_list or not pa.types.is_integer(kind.value_type) or column.null_count:
        raise TypeError("a column of lists of whole numbers is none")
    if any(chunk.flatten().null_count for chunk in column.chunks):
        raise TypeError("a list has a gap")


def check_bounds(log: RunLog, doing: str) -> None:
    """Refuse numbers by which other columns are counted, where they are none that a run gives: a
    query of 2**31 would cost gigabytes. Raises BadInput.
    """
    n = len(log)
    bounds: dict[str, tuple[Any, int]] = {
        "query_id": (log.query_id, n - 1),
        "index": (log.index, 2**31 - 1),
        "finish": (log.finish, len(FINISHES) - 1),
        "tokens": (log.tokens, 2**31 - 1),
    }
    for name, (column, most) in bounds.items():
        if n and not (column.min() >= 0 and column.max() <= most):
            found = f"{name} goes from {column.min()} to {column.max()}"
            fine = f"expected 0 to {most}"
            raise BadInput(doing, found, fine, "Restore the file, or run again.")


def check_facts(meta: Any, doing: str) -> None:
    """Refuse facts of other types than a run writes into the metadata of its samples.parquet.
    Raises BadInput, KeyError or TypeError.
    """
    declared.check_depth(meta, doing)
    facts = meta["facts"]
    for name, part in _AS_IN_RESULT.items():
        if name in facts:
            declared.hold(facts[name], "result", doing, part, f"facts.{name}")
    _check(doing, "facts", {name: facts.get(name, "") for name in _TEXTS}, str)
    _check(doing, "facts.notes", dict(enumerate(facts.get("notes", []))), str)
    _check(doing, "facts.log_hashes", facts.get("log_hashes", {}), str)
    _check(doing, "timed_out", meta.get("timed_out", {}), int)
    evaluation = facts.get("evaluation", {})
    _check(doing, "facts", {"evaluation": evaluation}, dict)
    if isinstance(evaluation, dict) and evaluation.get("broke") and "problem" not in evaluation:
        raise KeyError("problem")
    _check(doing, "facts.evaluation", _known(evaluation, *_SUMS), (int, float))
    _check(doing, "facts.evaluation", _known(evaluation, "problem"), str)
    objects = {name: facts.get(name, {}) for name in ("gpus", "load")}
    _check(doing, "facts", objects, dict)
    _check(doing, "facts", {"clock_start_ns": facts.get("clock_start_ns", 0)}, int)
    _check(doing, "", {"end_reason": meta["end_reason"]}, str)
    for anomaly in meta["anomalies"]:
        sample, kind, detail = anomaly
        _check(doing, "anomalies", {"sample": sample}, int)
        _check(doing, "anomalies", {"kind": kind, "detail": detail}, str)
    if meta["end"] not in get_args(End):
        raise TypeError("a run ends in other ways")


def _known(values: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: values[name] for name in names if name in values}


def _check(doing: str, within: str, values: Mapping[Any, Any], kind: Any) -> None:
    for name, value in values.items():
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            found = f"{within}.{name}".lstrip(".") + f" is {ascii(value)[:60]}"
            fine = f"expected {_FINE.get(kind, 'a number')}"
            raise BadInput(doing, found, fine, "Restore the file, or run again.")
