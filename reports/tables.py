"""Which tables does each command have? Its JSON object in, tables out (`reports.blocks`).

A run is one row of a CSV file, with a column per figure; people get its latencies as a grid, and
the other figures below one another. The comparison's table is in `reports.pages.compare`, that of
a perplexity study in `reports.pages.likelihood`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from reports import figures
from reports.blocks import Column, Table, column

_LONG_MS = 100_000  # a latency that is told in seconds
_PERCENTILES = ("p50", "p90", "p95", "p99", "p99.9")
_ABOUT_RUN = (
    "run_id", "started_at", "scenario", "mode", "profile", "model", "variant", "dataset", "sut",
    "status", "status_reason",
)  # fmt: skip
_ROUGE = {"rouge1": "ROUGE-1", "rouge2": "ROUGE-2", "rougeL": "ROUGE-L", "rougeLsum": "ROUGE-Lsum"}


# ---- a run


def record(result: Mapping[str, Any]) -> Table:
    """Return a run as one row: what it was, its verdict, its headline figure, every figure."""
    headline, found = result["result"], figures.of_run(result)
    columns = [*(Column(name, name) for name in _ABOUT_RUN)]
    columns += [Column(name, name) for name in ("result_name", "result", "result_unit")]
    columns += [column(figure) for figure in found]
    row = [
        *(result[name] for name in _ABOUT_RUN),
        *(headline[k] for k in ("name", "value", "unit")),
    ]
    row += [figure.value(result) for figure in found]
    return Table("Run", columns, [row])


def of_run(result: Mapping[str, Any]) -> list[Table]:
    """Return the tables of a run for people: what it was, its latencies, its other figures."""
    known = ((figure, figure.value(result)) for figure in figures.of_run(result))
    rows = [
        (figure.group, figure.label, figure.text(value), figure.better)
        for figure, value in known
        if value is not None and figure.group != "Latency"
    ]
    headline = result["result"]
    if headline["value"] is not None:
        text = f"{headline['value']:.4g} {headline['unit']} ({headline['name']})"
        rows.insert(0, ("Result", "result", text, ""))
    about = ((name.replace("_", " "), str(result[name])) for name in _ABOUT_RUN if result[name])
    return [
        Table("Run", (_words("run", ""), _words("value", "value")), list(about)),
        latency(result),
        Table(
            "Figures", [_words(name, name) for name in ("of", "figure", "value", "better")], rows
        ),
    ]


def latency(result: Mapping[str, Any]) -> Table:
    """Return the latencies in milliseconds; in seconds where six digits would not fit a line."""
    percentiles = figures.asked_percentiles(result) or _PERCENTILES
    statistics = ("mean", *percentiles, "max")
    timed = {
        label: result["latency"][key]
        for key, label in figures.LATENCIES.items()
        if result["latency"][key]["n"]
    }
    in_s = any(row["max"] >= _LONG_MS for row in timed.values())
    unit, scale = ("Seconds", 1000) if in_s else ("Milliseconds", 1)
    rows = []
    for label, row in timed.items():
        rows.append([label, *(row[name] / scale for name in statistics), row["n"]])
    columns = [_words("latency", ""), *(Column(name, name) for name in (*statistics, "n"))]
    return Table(f"{unit} from the due time", columns, rows)


# ---- plan and list


def settings(values: Iterable[Any]) -> Table:
    """Return the settings of a plan: name, value, unit, who said so."""
    columns = (
        _words("setting", ""), Column("value", "value", raw=True), Column("unit", "unit", raw=True),
        _words("text", "value", people=True), Column("from", "from", words=True, style="dim"),
    )  # fmt: skip
    rows = [
        (row.name, row.value, row.unit, setting_text(row.value, row.unit), row.origin)
        for row in values
    ]
    return Table("Settings", columns, rows)


def setting_text(value: Any, unit: str) -> str:
    """Write a setting with its unit."""
    if isinstance(value, float):
        return f"{value:,.10g} {unit}".strip()
    return f"{value} {unit}".strip()


def lists(found: Mapping[str, Mapping[str, str]]) -> list[Table]:
    """Return a table per list."""
    tables = []
    for name, rows in found.items():
        title = "SUTs" if name == "suts" else name.capitalize()
        columns = (
            Column("list", "list", raw=True),
            Column("name", "name", words=True, style="bold"),
            _words("what_it_is", "what it is"),
        )
        tables.append(Table(title, columns, [(name, key, text) for key, text in rows.items()]))
    return tables


# ---- a gate


def of_gate(found: Mapping[str, Any]) -> Table:
    """Return the control and the candidates, each with its verdict and the shares it keeps."""
    rows = [*filter(None, [found["control"]]), *found["rows"]]
    columns = [
        _words("label", ""), Column("role", "role", raw=True), Column("model", "model", raw=True),
        Column("variant", "variant", raw=True), _words("status", "verdict"),
        _words("mlperf_status", "as MLPerf judges"), _words("reason", "why"),
        Column("n", "samples"), Column("identical", "identical", "%", _percent),
        Column("divergence_median", "first difference", "token"), Column("empty", "empty"),
    ]  # fmt: skip
    cells = []
    for row in rows:
        role = "control" if row is found["control"] else "candidate"
        about = [row["label"], role, row["model"], row["variant"], row["status"], row["official"]]
        figures_of = (
            row[key] for key in ("reason", "n", "identical", "divergence_median", "empty")
        )
        cells.append([*about, *figures_of])
    for reading in dict.fromkeys(name for row in rows for name in row["readings"]):
        columns += _columns_of(reading, rows)
        for row, line in zip(rows, cells, strict=True):
            line += _cells_of(reading, row, rows)
    return Table(f"Target {found['target']['name']}", columns, cells, sideways=True)


def _columns_of(reading: str, rows: Sequence[Mapping[str, Any]]) -> list[Column]:
    ratios, targets = _parts_of(reading, rows)
    columns = []
    for name in ratios:
        label = f"{_ROUGE.get(name, name)} of the {reading}"
        columns.append(Column(f"{reading}_{name}_ratio", label, "%", _percent, interval=True))
    for key in targets:
        columns.append(_words(f"{reading}_keeps_{key}", f"keeps {key} % ({reading})"))
    return columns


def _cells_of(reading: str, row: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> list[Any]:
    ratios, targets = _parts_of(reading, rows)
    part = row["readings"].get(reading, {"ratios": (), "verdicts": {}})
    own = {ratio["name"]: ratio for ratio in part["ratios"]}
    cells: list[Any] = []
    for name in ratios:
        ratio = own.get(name)
        cells.append(ratio and (ratio["value"], ratio["low"], ratio["high"]))
    return cells + [part["verdicts"].get(key, {}).get("status") for key in targets]


def _parts_of(
    reading: str, rows: Sequence[Mapping[str, Any]]
) -> tuple[dict[str, None], dict[str, None]]:
    """(names of the ratios, targets) of a reading over all rows, in order."""
    parts = [row["readings"][reading] for row in rows if reading in row["readings"]]
    ratios = dict.fromkeys(ratio["name"] for part in parts for ratio in part["ratios"])
    return ratios, dict.fromkeys(key for part in parts for key in part["verdicts"])


def _percent(share: float) -> str:
    return f"{100 * share:.2f}"


def _words(name: str, label: str, people: bool = False) -> Column:
    return Column(name, label, words=True, people=people)
