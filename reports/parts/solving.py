"""Does a variant still solve what the reference solves? The tables and sentences of a gate on
tasks, a row for each deployment and task.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from harness.kernel.words.figure import size
from reports.blocks import Column, Table, percent, settled, tenths, tone, word_column
from reports.parts.task import SCORERS

Found = Mapping[str, Any]
Row = Mapping[str, Any]
_LENGTHS = ("tokens", "characters")
_OF_SPEED = 3  # the last columns: tokens of an answer, tokens per second, memory
_MOST_COLUMNS = 15  # that fit on a page of 1,280 pixels
_BROKEN = ("error", "timeout", "memory")
RIGHT_OR_WRONG = "right and wrong answers"  # `why` of a task
NOTE = (
    "Solved: right answers of all questions. Kept: the candidate's right answers over the"
    " reference's. Only reference, only candidate: questions that one of the two alone solves;"
    " p: McNemar's exact test, the chance of a difference as large if neither is better. The lower"
    " verdict is by the figure alone, without its interval."
)

NOTE_OF_SCORES = (
    "Score: the figure of all answers. Kept: the candidate's over the reference's, with the"
    " interval of a paired bootstrap. The lower verdict is by the figure alone, without its"
    " interval."
)


def of_tasks(found: Found) -> Table:
    """Return every task's reference, control and candidates, each with what it solves."""
    keys = _keys(found["tasks"])
    rows = [row for task in found["tasks"] for row in _rows(task, keys)]
    groups = [task["name"] for task in found["tasks"] for _ in _deployments(task)]
    title = f"Target {found['target']['name']}"
    return Table(title, _columns(keys), rows, NOTE, row_groups=groups)


def of_task(task: Found) -> Table:
    """Return the same of one task."""
    how = SCORERS.get(task["metric"], task["metric"].replace("_", " "))
    title, keys = f"{task['name']}: {asked(task)}, {how}", _keys([task])
    columns = _columns(keys, "solved" if _is_right_or_wrong(task) else "score")
    return Table(title, columns, list(_rows(task, keys)))


def on_page(task: Found) -> list[Table]:
    """Return the same with its note; where it would be wider than a page, speed and memory are a
    table of their own.
    """
    table = settled(replace(of_task(task), note=note(task)))
    kept = [i for i, one in enumerate(table.columns) if not one.raw]
    if len(kept) <= _MOST_COLUMNS:
        return [table]
    first = _of_columns(table, kept[:-_OF_SPEED])
    speed = _of_columns(table, [kept[0], *kept[-_OF_SPEED:]])
    return [first, replace(speed, note="")]


def _of_columns(table: Table, kept: Sequence[int]) -> Table:
    rows = [[row[i] for i in kept] for row in table.rows]
    return replace(table, columns=[table.columns[i] for i in kept], rows=rows)


def _is_right_or_wrong(task: Found) -> bool:
    """Are answers held against each other as right or wrong, not by graded scores?"""
    return bool(task["why"] == RIGHT_OR_WRONG)


def asked(task: Found) -> str:
    """Return "6 questions, 3 attempts at each"."""
    drawn = [row["draws"]["attempts"] for row in task["rows"] if row.get("draws")]
    attempts = drawn[0] if drawn else 1
    words = f"{task['answers']} questions"
    return f"{words}, {attempts} attempts at each" if attempts > 1 else words


def _keys(tasks: Sequence[Found]) -> list[str]:
    """Return the targets that anything was judged at, in percent."""
    rows = [(row, task) for task in tasks for row in task["rows"]]
    return list(dict.fromkeys(key for row, task in rows for key in _calls(row, task)))


def _columns(keys: Sequence[str], solved: str = "solved") -> list[Column]:
    return [
        *(Column(name, name, raw=True) for name in ("task", "role", "model", "variant")),
        word_column("label", ""),
        *(Column(name, name, raw=True) for name in ("status", "reason", "needed", "n")),
        *(_keeps(key) for key in keys),
        Column("kept", "kept", "%", percent, interval=True, ends=tenths),
        Column("solved", solved, "%", tenths, interval=True, optional=True),
        Column("pass_at_k", "pass@k", "%", tenths, interval=True, optional=True),
        Column("majority", "majority", "%", tenths, interval=True, optional=True),
        Column("both", "both", optional=True),
        Column("only_reference", "only reference", optional=True),
        Column("only_candidate", "only candidate", optional=True),
        Column("p_value", "p", write=_p, optional=True),
        Column("no_answer", "no answer", optional=True),
        Column("broken", "broken off", optional=True),
        Column("cut", "cut", optional=True),
        Column("tokens_per_sample", "tokens/answer", write=_tenth),
        Column("tokens_per_s", "tokens/s"),
        Column("peak_bytes", "peak memory", write=size),
    ]


def _keeps(key: str) -> Column:
    return Column(f"keeps_{key}", f"{key} %", second="by_figure", words=True, toned=tone)


def _rows(task: Found, keys: Sequence[str]) -> Iterator[list[Any]]:
    for role, row in _deployments(task):
        solved, pair, kept = row.get("solved") or {}, row.get("paired") or {}, share(row, task)
        calls = _calls(row, task) if role != "reference" else {}
        yield [
            *(task["name"], role, row["model"], row["variant"], row["label"]),
            *(row.get(name) for name in ("status", "reason", "needed")),
            row["n"],
            *(_call(calls[key]) if key in calls else None for key in keys),
            kept and (kept["value"], kept["low"], kept["high"]),
            None if solved.get("value") is None else _span(solved),
            *(_of_attempts(solved, way) for way in ("pass", "majority")),
            *(pair.get(k) for k in ("both", "only_reference", "only_candidate", "p_value")),
            *(solved.get("no_answer"), _broken(solved), solved.get("cut")),
            *(row.get(name) for name in ("tokens_per_sample", "tokens_per_s", "peak_bytes")),
        ]


def _span(figure: Row) -> tuple[Any, ...]:
    return figure["value"], figure["low"], figure["high"]


def _broken(solved: Row) -> int | None:
    """Return how many programs ended in an error or at a limit; None of answers that are none."""
    known = [solved[name] for name in _BROKEN if name in solved]
    return sum(known) if known else None


def _of_attempts(solved: Row, way: str) -> tuple[Any, ...] | None:
    """Return what all attempts give in one way; None where there is one attempt."""
    figure = (solved.get("attempts") or {}).get(way)
    return figure and _span(figure)


def _call(call: Row) -> tuple[str, str]:
    return call["status"], call["official"]


def _deployments(task: Found) -> list[tuple[str, Row]]:
    control = [("control", task["control"])] if task["control"] else []
    return [("reference", task["reference"]), *control, *(("candidate", r) for r in task["rows"])]


def _calls(row: Row, task: Found) -> Mapping[str, Row]:
    """Return the verdict at each target; none where nothing was scored."""
    found: Mapping[str, Row] = row.get("readings", {}).get(task["against"], {}).get("verdicts", {})
    return found


def share(row: Row, task: Found) -> Row | None:
    """Return the share kept that decides: of several, the least; None where nothing was scored."""
    ratios = row.get("readings", {}).get(task["against"], {}).get("ratios", ())
    known = [one for one in ratios if one["value"] is not None and one["name"] not in _LENGTHS]
    return min(known, key=lambda one: float(one["value"]), default=None)


def _p(value: float) -> str:
    return "<0.0001" if value < 0.0001 else f"{value:.2g}"


def _tenth(value: float) -> str:
    return f"{value:,.1f}"


def note(task: Found) -> str:
    """Say what the columns are."""
    return NOTE if _is_right_or_wrong(task) else NOTE_OF_SCORES


# ---- sentences


def noise(task: Found, key: str) -> str:
    """Say how many answers flip when the reference itself is batched otherwise, or drawn again, and
    whether the target is finer than that.
    """
    control, reference, found = task["control"], task["reference"], task["noise"]
    if control is None:
        return ""
    if found is None and control.get("solved"):
        return f"noise floor: not known, as {control['reason']}"
    if found is None:
        return f"the control run was not scored: {control['reason']}"
    again = f"in batches of {control['rows_in_batch']} instead of {reference['rows_in_batch']}"
    if control["rows_in_batch"] == reference["rows_in_batch"]:
        again = "once more, in batches of the same size"
    if found["is_drawn"]:
        again = "drawn again with other seeds"
    changed = f"{found['flips']} of {found['n']} answers flip between right and wrong"
    if found["flips"] is None:
        changed = f"the scores of {found['changed']} of {found['n']} questions change"
    words = f"noise floor: {reference['label']} {again}: {changed}"
    if found["is_finer"]:
        about = f"about {100 * (1 - found['finest']):.2g} % either way"
        return f"{words}, {about}; the target of {key} % is finer than that"
    return words


def verdicts(row: Row) -> str:
    """Return "word-problems PASS, subjects UNDECIDED"; nothing of a single task."""
    found = row.get("by_task", {})
    told = [f"{name} {status}" for name, status in found.items()]
    return ", ".join(told) if len(told) > 1 else ""
