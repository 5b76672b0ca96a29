"""Which variant is best, and by what? The part `best` of a comparison, in words, as tables and as
pictures; made of compare.json alone. Decisions and sweeps have the same part, with rows of its own
(`of_part`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from harness.kernel.texts import shown
from harness.kernel.words.figure import number
from harness.kernel.words.judged import TABLE, Judged, value_of
from reports.blocks import Column, Plot, Table
from reports.plots.best import Series, Spot, front, kinds
from reports.plots.style import at_both_widths

Comparison = Mapping[str, Any]
Row = Mapping[str, Any]
_GROUPS = {
    "quality": "Quality", "speed": "Speed", "memory": "Memory", "energy": "Energy", "cost": "Cost",
}  # fmt: skip
_LEFT_OUT = ("_p90_ms", "latency_p50_ms", "latency_p99_ms", "parameters", "eval_samples_per_s")
_SAID = 3  # disagreements
NOTE = (
    "Bold: first by this figure; several where the 95 % intervals cannot tell them apart. An"
    " interval says how a run varies within itself (rates: over twentieths of it; latencies: by"
    " order statistics; losses and ROUGE: over the answers or texts; shares of right answers:"
    " Wilson's), not from run to run. Figures without one are placed by the value alone."
)
_KINDS_NOTE = (
    "By the labels of the dataset, each kind with at least five answers. Bold: first at this kind."
)


def of_part(found: Mapping[str, Any]) -> Comparison:
    """Return a decision or a sweep in the form that this file shows."""
    part = found.get("best") or {}
    return {"rows": part.get("rows", ()), "best": part}


def _of(found: Comparison) -> Mapping[str, Any]:
    """Return the part; empty where there were not two to compare."""
    part: Mapping[str, Any] = found.get("best") or {}
    return part


def _capital(label: str) -> str:
    return label[:1].upper() + label[1:]


# ---- words


def sentences(found: Comparison) -> list[str]:
    """Say who is on the front of quality and speed, and where figures disagree."""
    part = _of(found)
    if not part:
        return []
    fronts = [_front_words(one) for one in part["fronts"][:1] if one["dominated"]]
    apart = [_apart_words(one, found) for one in part["disagreements"]]
    more = len(apart) - _SAID
    rest = [f"and {more} more such disagreements: see the page"] if more > 0 else []
    return [*fronts, *apart[:_SAID], *rest]


def firsts(found: Comparison) -> list[str]:
    """Say who alone is first by which figures, a line each."""
    part = _of(found)
    by: dict[str, list[str]] = {}
    is_open = False
    for rank in part.get("ranks", ()):
        first = [label for label, place in rank["places"].items() if place == 1]
        if len(first) == 1 and not rank["figure"].endswith(_LEFT_OUT):
            by.setdefault(first[0], []).append(TABLE[rank["figure"]].label)
            is_open |= bool(rank["open"])
    by_value = " (where there is no interval, by the value alone)" if is_open else ""
    told = [f"{label} is first by {', '.join(labels)}" for label, labels in by.items()]
    return [words + by_value * (words == told[-1]) for words in told]


def _front_words(one: Mapping[str, Any]) -> str:
    quality, against = (TABLE[one[name]].label for name in ("quality", "against"))
    beaten = [
        f"{row['label']} (by {row['by']}{'' if row['sure'] else ', within chance'})"
        for row in one["dominated"]
    ]
    kept = ", ".join(one["labels"])
    return f"by {quality} and {against}, {kept} lead; beaten in both: {', '.join(beaten)}"


def _apart_words(one: Mapping[str, Any], found: Comparison) -> str:
    first, other = TABLE[one["figure"]], TABLE[one["other"]]
    most = "lowest" if first.better == "lower" else "highest"
    values = [_value(one, other, label, found) for label in (one["better"], one["label"])]
    told = " against ".join(values)
    by = f"at {one['kind']} ({other.label} {told})" if one["kind"] else f"by {other.label} ({told})"
    return f"{one['label']} has the {most} {first.label}, but {one['better']} is better {by}"


def _value(one: Mapping[str, Any], figure: Judged, label: str, found: Comparison) -> str:
    row = next(row for row in found["rows"] if row["label"] == label)
    if one["kind"]:
        return figure.text(row["kinds"][figure.name][one["kind"]][0])
    value = value_of(row, figure)
    return "-" if value is None else figure.text(value)


# ---- tables


def tables(found: Comparison, note: str = NOTE) -> list[Table]:
    """Return the figures that rank, and those by kind of task; `note` says what intervals mean."""
    part = _of(found)
    if not part:
        return []
    ranked = replace(_ranked(part["ranks"], _measured(found)), note=note)
    return [ranked, *_by_kind(part["kinds"], _measured(found))]


def _measured(found: Comparison) -> list[Row]:
    labels = found["best"]["ranks"][0]["places"] | {
        label: place for row in found["best"]["ranks"] for label, place in row["places"].items()
    }
    return [row for row in found["rows"] if row["label"] in labels]


def _ranked(ranks: Sequence[Mapping[str, Any]], rows: Sequence[Row]) -> Table:
    kept = [rank for rank in ranks if not rank["figure"].endswith(_LEFT_OUT)]
    columns = [Column("label", "")]
    for about, group in _GROUPS.items():
        for rank in kept:
            figure = TABLE[rank["figure"]]
            if figure.about == about:
                columns.append(_column(figure, rank["places"], rows, group))
    cells = [[row["label"], *(_ends(row, one.name) for one in columns[1:])] for row in rows]
    return Table("Which is best", columns, cells, sideways=True)


def _column(figure: Judged, places: Mapping[str, int], rows: Sequence[Row], group: str) -> Column:
    """Return a figure's column; who is first stands out where somebody is not."""
    is_decided = max(places.values()) > 1
    firsts = {value_of(row, figure) for row in rows if is_decided and places.get(row["label"]) == 1}
    return Column(
        figure.name, figure.label, figure.unit, figure.write, interval=True, group=group,
        toned=lambda value: "strong" if value in firsts else "",
    )  # fmt: skip


def _ends(row: Row, name: str) -> tuple[Any, Any, Any] | None:
    value = value_of(row, TABLE[name])
    if value is None:
        return None
    low, high = (row.get("intervals") or {}).get(name, (None, None))
    return value, low, high


def _by_kind(kinds: Sequence[Mapping[str, Any]], rows: Sequence[Row]) -> Iterator[Table]:
    """Yield a table per figure, a row for each kind of task."""
    labels = [row["label"] for row in rows]
    for name in dict.fromkeys(row["figure"] for row in kinds):
        of = [row for row in kinds if row["figure"] == name]
        figure = TABLE[name]
        firsts = {
            row["values"][label]["value"]
            for row in of if max(row["places"].values()) > 1
            for label, place in row["places"].items() if place == 1
        }  # fmt: skip
        columns = [Column("kind", "kind of task", words=True)]
        columns += [_of_kind(label, figure, firsts) for label in labels]
        cells = [[row["kind"], *(_kind_ends(row, label) for label in labels)] for row in of]
        yield Table(f"{_capital(figure.label)} by kind of task", columns, cells, _KINDS_NOTE)


def _of_kind(label: str, figure: Judged, firsts: set[float]) -> Column:
    return Column(
        label, label, "", figure.write, interval=True,
        toned=lambda value: "strong" if value in firsts else "",
    )  # fmt: skip


def _kind_ends(row: Mapping[str, Any], label: str) -> tuple[Any, Any, Any] | None:
    value = row["values"].get(label)
    return None if value is None else (value["value"], value["low"], value["high"])


# ---- pictures


def pictures(found: Comparison) -> list[Plot]:
    """Return a picture of each front, and of the kinds of task against speed."""
    part = _of(found)
    if not part:
        return []
    rows = _measured(found)
    drawn = [_front(one, rows) for one in part["fronts"]]
    return [plot for plot in (*drawn, *_kinds(part["kinds"], rows)) if plot.svg]


def _front(one: Mapping[str, Any], rows: Sequence[Row]) -> Plot:
    quality, against = TABLE[one["quality"]], TABLE[one["against"]]
    beaten = {row["label"]: row["by"] for row in one["dominated"]}
    labels = [*one["labels"], *beaten]
    spots = [
        _spot(row, against, quality, row["label"] in beaten)
        for row in rows
        if row["label"] in labels
    ]
    svg = at_both_widths(front, spots, against, quality)
    title = f"{_capital(quality.label)} against {against.label}"
    return Plot(title, svg, _front_note(quality, against, beaten))


def _front_note(quality: Judged, against: Judged, beaten: Mapping[str, str]) -> str:
    sides = ["up" if quality.better == "higher" else "down"]
    sides.append("to the right" if against.better == "higher" else "to the left")
    note = f"{' and '.join(sides).capitalize()} is better. The line joins those that no other beats"
    note += " in both (the Pareto front); bars are 95 % intervals."
    if beaten:
        told = ", ".join(f"{label} by {by}" for label, by in beaten.items())
        note += f" Grey: beaten in both: {told}."
    return note


def _spot(row: Row, across: Judged, up: Judged, is_beaten: bool) -> Spot:
    def ends(figure: Judged) -> list[float]:
        return _drawn(_ends(row, figure.name) or (None,) * 3, figure)

    return Spot(shown(row["label"]), ends(across), ends(up), is_beaten)


def _drawn(ends: Iterable[float | None], figure: Judged) -> list[float]:
    """Return value, low and high in the figure's unit; NaN for what is not known."""
    return [math.nan if end is None else end / figure.per_unit for end in ends]


def _kinds(kinds_of: Sequence[Mapping[str, Any]], rows: Sequence[Row]) -> Iterator[Plot]:
    """Yield a picture per figure: each kind of task, the fastest variant first."""
    speeds = {row["label"]: value_of(row, TABLE["tokens_per_s"]) or 0.0 for row in rows}
    labels = sorted(speeds, key=lambda label: -speeds[label])
    for name in dict.fromkeys(row["figure"] for row in kinds_of):
        figure = TABLE[name]
        of = [row for row in kinds_of if row["figure"] == name]
        series = [_series(label, of, figure, speeds[label]) for label in labels]
        svg = at_both_widths(kinds, [shown(row["kind"]) for row in of], series, figure)
        note = "With the speed of each variant, the fastest first; bars are 95 % intervals."
        yield Plot(f"{_capital(figure.label)} by kind of task, and speed", svg, note)


def _series(
    label: str, of: Sequence[Mapping[str, Any]], figure: Judged, tokens_per_s: float
) -> Series:
    ends = [row["values"].get(label, {}).values() or (None,) * 3 for row in of]
    speed = f", {number(tokens_per_s)} tokens/s" if tokens_per_s else ""
    return Series(shown(label) + speed, [_drawn(one, figure) for one in ends])
