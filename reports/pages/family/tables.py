"""A family as tables: a row for each member and a column for each figure; then what a precision
changes, what a size buys, which figures agree, and what each column was asked. Made of family.json
alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from harness.kernel.words.judged import TABLE, Judged
from reports.blocks import Column, Table, plain, word_column

Family = Mapping[str, Any]
Row = Mapping[str, Any]
_OF_LOAD = ("tokens_per_s", "peak_bytes")
_SIZES = ("parameters", "disk_bytes", "weights_bytes")
_NOTE = (
    "Intervals are 95 %: of tasks Wilson's, over questions; of likelihoods over texts; of ROUGE"
    " over questions; of speeds over twentieths of a run. Bold: decidedly first, or not to be told"
    " from the first; each pair at 95 %, without a correction for the number of pairs."
)


def judged(column: Mapping[str, Any]) -> Judged:
    """Return a column of family.json as a figure that ranks."""
    known = TABLE.get(column["figure"])
    if known is None:
        return Judged(column["key"], column["label"], column["unit"], column["better"], "quality")
    digits = 1 if column["figure"] in ("task_solved", "rouge_ratio") else known.digits
    return known._replace(name=column["key"], label=column["label"], digits=digits)


def shown_columns(found: Family) -> list[Mapping[str, Any]]:
    """Return the columns of a table: those of one load, which most members had."""
    kept = []
    for column in found["columns"]:
        same = [one for one in found["columns"] if one["figure"] == column["figure"]]
        counts = {one["key"]: _count(found, one) for one in same}
        is_main = max(counts, key=lambda key: counts[key]) == column["key"]
        if column["figure"] not in _OF_LOAD or is_main:
            kept.append(column)
    return kept


def _count(found: Family, column: Mapping[str, Any]) -> int:
    return sum(column["key"] in row["figures"] for row in found["rows"])


def tables(found: Family) -> list[Table]:
    """Return the tables that have rows, the main one first."""
    made = [table(found), of_flips(found), of_steps(found), of_agreements(found), of_terms(found)]
    return [one for one in made if one.rows]


# ---- the members


def table(found: Family) -> Table:
    """Return the members and their figures."""
    shown = shown_columns(found)
    columns = [
        Column("member", "", words=True),
        Column("model", "model", words=True, raw=True),
        Column("variant", "variant", words=True, raw=True),
    ]
    columns += [_size(TABLE[name]) for name in _SIZES]
    columns += [_figure(found, column) for column in shown]
    rows = []
    for row in found["rows"]:
        cells = [_ends(row["figures"].get(column["key"])) for column in shown]
        rows.append([row["label"], row["model"], row["variant"],
                     *(row[name] for name in _SIZES), *cells])  # fmt: skip
    return Table("The family", columns, rows, _note(found, shown))


def _size(figure: Judged) -> Column:
    return Column(figure.name, f"{figure.label}\n{figure.unit}", "", figure.write)


def _figure(found: Family, column: Mapping[str, Any]) -> Column:
    figure, firsts = judged(column), set(_firsts(found, column["key"]))
    return Column(
        column["key"], _broken(figure), "", figure.write, interval=True,
        toned=lambda value: "strong" if value in firsts else "",
    )  # fmt: skip


def _broken(figure: Judged) -> str:
    """Return a head on two lines: a table has many columns."""
    head = figure.head
    for part in (" of ", " solved", ", ", " ("):
        before, found, rest = head.partition(part)
        if found:
            return f"{before}\n{found.strip(' ,')}{' ' * (part == ' of ')}{rest}"
    return head


def _firsts(found: Family, key: str) -> Iterator[float]:
    """Yield the values of those in the first place, where somebody is not."""
    rows = {row["label"]: row for row in found["rows"]}
    for rank in found["ranks"]:
        if rank["figure"] == key and max(rank["places"].values()) > 1:
            for label, place in rank["places"].items():
                if place == 1:
                    yield rows[label]["figures"][key]["value"]


def _ends(value: Mapping[str, Any] | None) -> tuple[Any, Any, Any] | None:
    return None if value is None else (value["value"], value["low"], value["high"])


def _note(found: Family, shown: Sequence[Mapping[str, Any]]) -> str:
    load = next((one for one in shown if one["figure"] in _OF_LOAD), None)
    if load is None:
        return _NOTE
    others = {one["of"] for one in found["columns"] if one["figure"] in _OF_LOAD} - {load["of"]}
    more = f" (family.json has those of {', '.join(sorted(others))})" if others else ""
    return f"{_NOTE} Speed and peak memory are those of {load['of']} runs{more}."


# ---- what follows


def of_flips(found: Family) -> Table:
    """Return what a precision changes of its reference's answers."""
    heads = {one["key"]: one["of"] for one in found["columns"]}
    columns = [
        word_column("task", ""), Column("lost", "lost"), Column("won", "won"),
        Column("n", "questions"), Column("p_value", "p", "", lambda p: f"{p:.2g}"),
        Column("perplexity", "perplexity, as a\nmultiple", "", lambda x: f"{x:.3f}", True,
               interval=True),
    ]  # fmt: skip
    rows = [
        [f"{one['label']}: {heads[one['figure']]}", one["lost"], one["won"], one["n"],
         one["p_value"], _ends(one["perplexity"])]
        for one in found["flips"]
    ]  # fmt: skip
    note = (
        "Beside the highest precision of the same model: questions that it alone solves (lost) and"
        " that the member alone solves (won); p is McNemar's. As many lost as won leave the share"
        " solved as it was, and yet these are other answers."
    )
    return Table("What a precision changes", columns, rows, note)


_STEPS = {
    "size": "a size up", "precision": "a precision down", "trade": "larger in less memory",
}  # fmt: skip
_CALLS = {"better": "better", "worse": "worse", "tie": "not decided", "same": "the same",
          "open": "no interval"}  # fmt: skip


def of_steps(found: Family) -> Table:
    """Return what a size up buys and a precision down costs."""
    of = {one["key"]: judged(one) for one in found["columns"]}
    columns = [
        word_column("step", ""), word_column("of", "from"), word_column("to", "to"),
        word_column("figure", "figure"), Column("change", "change", second="between"),
        word_column("call", "decided"),
    ]  # fmt: skip
    rows = []
    for one in found["steps"]:
        value = one["change"]["value"]
        cell = None if value is None else change(of[one["figure"]], one["change"])
        rows.append([_STEPS[one["kind"]], one["of"], one["to"], of[one["figure"]].label,
                     cell, _CALLS[one["call"]]])  # fmt: skip
    note = (
        "Told apart question by question or text by text where both were asked the same; of a"
        " perplexity the interval is that of its logarithm, and is not shown."
    )
    return Table("What a size up buys and a precision down costs", columns, rows, note, folded=True)


def change(figure: Judged, value: Mapping[str, Any]) -> tuple[str, str]:
    """Write a difference and its interval: ("+12.0 points", "+3.1 to +20.9")."""
    unit = "points" if figure.unit == "%" else ""
    ends = [value["low"], value["high"]]
    known = all(end is not None for end in ends)
    between = " to ".join(signed(figure, end) for end in ends) if known else ""
    return f"{signed(figure, value['value'])} {unit}".strip(), between


def signed(figure: Judged, value: float) -> str:
    text = figure.write(abs(value))
    is_nothing = not text.strip("0.,")
    return text if is_nothing else f"{'+' if value > 0 else '-'}{text}"


def of_agreements(found: Family) -> Table:
    """Return whether two figures put the members in one order."""
    heads = {one["key"]: one["label"] for one in found["columns"]}
    columns = [
        word_column("figure", "figure"), word_column("other", "and"), Column("n", "members"),
        Column("tau", "Kendall's tau", "", lambda tau: f"{tau:+.2f}"),
        Column("p_value", "p", "", lambda p: f"{p:.2g}"),
        Column("least_p", "least p", "", lambda p: f"{p:.2g}"),
    ]  # fmt: skip
    rows = [
        [heads[one["figure"]], heads[one["other"]], *(one["order"][name] for name in
         ("n", "tau", "p_value", "least_p"))]
        for one in found["agreements"]
    ]  # fmt: skip
    note = (
        "1: both put the members in the same order, the best first; -1: in opposite orders. p: the"
        " share of all orders that would be as alike, or as opposed; least p: the smallest that so"
        " few members could give. Precisions of one model are no independent members, so even a"
        " small p speaks of this family alone. Pairs with fewer than four members are left out."
    )
    return Table("Do the figures agree?", columns, rows, note)


def of_terms(found: Family) -> Table:
    """Return what each column was asked."""
    columns = [word_column("figure", "figure"), word_column("terms", "asked"),
               word_column("members", "members")]  # fmt: skip
    rows = []
    for one in found["columns"]:
        labels = [row["label"] for row in found["rows"] if one["key"] in row["figures"]]
        terms = "; ".join(f"{name}: {plain(value)}" for name, value in one["terms"].items())
        rows.append([one["label"], terms, ", ".join(labels)])
    note = "Figures stand in one column if all of this was the same."
    return Table("What was asked", columns, rows, note, folded=True)
