"""Which tables does each command have? Its JSON object in, tables out (`reports.blocks`).

A run is one row of a CSV file, with a column per figure; people get its latencies as a grid, and
the other figures below one another. The tables of a comparison are in `reports.pages.compare`,
those of a perplexity study in `reports.pages.likelihood.tables`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from harness.kernel.stats import percentile_name
from harness.kernel.words.figure import Figure, number, size
from reports import figures
from reports.blocks import Column, Table, column, percent, tenths, tone, word_column
from reports.parts import solving
from reports.scores import OF_100

_LONG_MS = 100_000  # a latency that is told in seconds
_PERCENTILES = ("p50", "p90", "p95", "p99", "p99.9")
_ABOUT_RUN = (
    "run_id", "started_at", "scenario", "mode", "profile", "model", "variant", "dataset", "sut",
    "status", "status_reason",
)  # fmt: skip
_KINDS = {"rouge1": "ROUGE-1", "rouge2": "ROUGE-2", "rougeL": "ROUGE-L", "rougeLsum": "ROUGE-Lsum"}
ROUGE = _KINDS | {f"multilingual_{kind}": name for kind, name in _KINDS.items()}
READINGS = {
    "published": "ROUGE against the dataset's answers, % of MLPerf's published figures",
    "dataset": "ROUGE against the dataset's answers, % of the reference's",
    "reference": "ROUGE against the reference's own texts, % (the reference itself: 100)",
}
OUTPUTS = "Outputs"
Result = Mapping[str, Any]
Row = Mapping[str, Any]


# ---- a run


def record(result: Result) -> Table:
    """Return a run as one row: what it was, its verdict, its headline figure, every figure."""
    headline, found = result["result"], figures.of_run(result)
    columns = [Column(name, name) for name in (*_ABOUT_RUN, "result_name", "result", "result_unit")]
    columns += [column(figure) for figure in found]
    row = [result[name] for name in _ABOUT_RUN]
    row += [headline[key] for key in ("name", "value", "unit")]
    row += [figure.value(result) for figure in found]
    return Table("Run", columns, [row])


def of_run(result: Result) -> list[Table]:
    """Return the tables of a run for people: what it was, its latencies, its other figures."""
    about = [(name.replace("_", " "), str(result[name])) for name in _ABOUT_RUN if result[name]]
    rows = []
    for figure in (*figures.headline(result), *figures.of_run(result)):
        value = figure.value(result)
        if value is not None and figure.group != "Latency":
            rows.append((figure.group, figure.label, figure.text(value), figure.better))
    heads = ("of", "figure", "value", "better")
    return [
        Table("Run", (word_column("run", ""), word_column("value", "value")), about),
        latency(result),
        Table("Figures", [word_column(name, name) for name in heads], rows),
    ]


def latency(result: Result, usual: Sequence[str] = _PERCENTILES) -> Table:
    """Return the latencies in milliseconds; in seconds where six digits would not fit a line.

    Beside them stands how far the driver's own delays raised the percentile that is judged.
    """
    statistics = ("mean", *(figures.asked_percentiles(result) or usual), "max")
    timed = {
        label: result["latency"][key]
        for key, label in figures.LATENCIES.items()
        if result["latency"][key]["n"]
    }
    in_s = any(row["max"] >= _LONG_MS for row in timed.values())
    unit, scale = ("Seconds", 1000) if in_s else ("Milliseconds", 1)
    judged = percentile_name(result["settings"]["run"]["percentile"])
    errors = {
        figures.LATENCIES[key]: row.get(judged)
        for key, row in result.get("driver_error", {}).items()
    }
    rows = []
    for label, row in timed.items():
        error = errors.get(label)
        error = None if error is None else error / scale
        rows.append([label, *(row[name] / scale for name in statistics), error, row["n"]])
    columns = [
        word_column("latency", ""),
        *(Column(name, name, write=_time) for name in statistics),
    ]
    columns.append(Column(f"driver_error_{judged}", f"±{judged}", write=_error, optional=True))
    return Table(f"{unit} from the due time", [*columns, Column("n", "n")], rows)


def _time(value: float) -> str:
    """Write a time without digits below 0.1 us (or 0.1 ms, of seconds)."""
    return number(round(value, 4))


def _error(value: float) -> str:
    """Write an error to two digits: more would say more than is known."""
    return number(float(f"{value:.2g}"))


def brief(result: Result) -> list[tuple[str, str]]:
    """Return the figures for a small screen: a line per group, and one per figure declared from
    outside.
    """
    lines: dict[str, list[tuple[Figure, Any]]] = {}
    known = [(figure, figure.value(result)) for figure in figures.headline(result)]
    groups = (figure.group for figure in figures.of_run(result))
    for name in dict.fromkeys((*figures.GROUPS, *groups)):
        known += figures.known(name, result)
    for figure, value in known:
        label = figure.label if figure.brief is None else figure.group.lower()
        if figure.brief != "":
            lines.setdefault(label, []).append((figure, value))
    return [(label, _line(pairs)) for label, pairs in lines.items()]


def _line(pairs: Sequence[tuple[Figure, Any]]) -> str:
    words, are_scores = [], all(figure.unit == OF_100 for figure, _ in pairs)
    for figure, value in pairs:
        text = figure.write(value) if are_scores else figure.text(value)
        words.append((figure.brief or "{}").format(text))
    return ", ".join(words) + (" (out of 100)" if are_scores else "")


_SEQUENTIAL = (
    "Short runs widen the range and saturate the system; whole ones confirm a rate and bound it"
    " from above. A run that cannot hold any more is ended (docs/capacity.md)."
)
_DOUBLED = "The highest rate that holds: doubled until one does not, then bisected."
_HELD = (
    "A rate holds if all limits are kept and at least 95 % of it is delivered. This page shows the"
    " best run."
)


def search(steps: Iterable[Row]) -> Table:
    """Return the rates that were tried for the highest one that holds."""
    steps = list(steps)
    columns = (
        Column("step", "step"), Column("target_qps", "queries/s"),
        Column("purpose", "to", words=True, optional=True),
        Column("queries", "queries", optional=True), Column("delivered_qps", "delivered"),
        Column("held", "held", words=True, toned=tone), word_column("run", "run"),
    )  # fmt: skip
    rows = []
    for i, step in enumerate(steps, 1):
        optional = (step.get(name) for name in ("purpose", "queries", "delivered_qps"))
        rows.append((i, step["target_qps"], *optional, step_text(step), step["folder"]))
    is_ours = any(step.get("purpose") for step in steps)
    note = f"{_SEQUENTIAL if is_ours else _DOUBLED} {_HELD}"
    return Table("Search", columns, rows, note)


def step_text(step: Row) -> str:
    """Say whether a rate held, or what did not."""
    why = step.get("why", () if step["limits_kept"] else ("limits",))
    return "no: " + ", ".join(name.replace("_", " ") for name in why) if why else "yes"


def division(found: Row) -> Table:
    """Return the settings that keep a run out of the closed division."""
    rows = []
    for row in found["differs"]:
        rows.append((row["name"], *(setting_text(row[k], row["unit"]) for k in ("value", "asked"))))
    heads = {"setting": "setting", "value": "this run", "asked": "the closed division needs"}
    columns = [word_column(name, head) for name, head in heads.items()]
    note = (
        "Closed: model, dataset, generation limits and rules are the profile's. Being stricter than"
        " the profile is allowed."
    )
    return Table(f"{found['name'].capitalize()} division", columns, rows, note)


# ---- plan and list


def settings(values: Iterable[Row]) -> Table:
    """Return the settings of a run: name, value, unit, who said so."""
    columns = (
        word_column("setting", "setting"), Column("value", "value", raw=True),
        Column("unit", "unit", raw=True), word_column("text", "value", people=True),
        Column("from", "from", words=True, tone="soft"),
    )  # fmt: skip
    rows = []
    for row in values:
        text = setting_text(row["value"], row["unit"])
        rows.append((row["name"], row["value"], row["unit"], text, row["origin"]))
    return Table("Settings", columns, rows, folded=True)


def setting_text(value: Any, unit: str) -> str:
    """Write a setting with its unit."""
    if isinstance(value, float):
        return f"{value:,.10g} {unit}".strip()
    return f"{value} {unit}".strip()


def lists(found: Mapping[str, Mapping[str, str]]) -> list[Table]:
    """Return a table per list."""
    columns = (
        Column("list", "list", raw=True),
        Column("name", "name", words=True, tone="strong"),
        word_column("what_it_is", "what it is"),
    )
    tables = []
    for name, rows in found.items():
        title = "SUTs" if name == "suts" else name.capitalize()
        tables.append(Table(title, columns, [(name, key, text) for key, text in rows.items()]))
    return tables


# ---- a gate


def of_audit(found: Row) -> Table:
    """Return the verdicts of an audit, a row each."""
    columns = [Column(name, name) for name in ("rule", "status", "detail", "remedy")]
    rows = [[verdict[column.name] for column in columns] for verdict in found["verdicts"]]
    return Table("Audit", columns, rows)


def of_gate(found: Row) -> Table:
    """Return the control and the candidates, each with its verdict, the shares it keeps and its
    outputs (`blocks.by_group` tells these apart); of a gate on tasks, what each of them solves.
    """
    if found.get("tasks"):
        return solving.of_tasks(found)
    rows = [*filter(None, [found["control"]]), *found["rows"]]
    heads = {"status": "verdict", "mlperf_status": "as MLPerf judges", "reason": "why"}
    columns = [
        word_column("label", ""),
        *(Column(name, name, raw=True) for name in ("role", "model", "variant")),
        *(Column(k, head, words=True, group="Verdict") for k, head in heads.items()),
    ]
    cells = []
    for row in rows:
        role = "control" if row is found["control"] else "candidate"
        about = (row[key] for key in ("model", "variant", "status", "official", "reason"))
        cells.append([row["label"], role, *about])
    for reading in READINGS:
        if any(reading in row["readings"] for row in rows):
            columns += _columns_of(reading, rows, reading_title(found, reading))
            for row, line in zip(rows, cells, strict=True):
                line += _cells_of(reading, row, rows)
    columns += [
        Column("n", "samples", group=OUTPUTS),
        Column("identical", "identical", "%", percent, group=OUTPUTS),
        Column("divergence_median", "first difference (median)", "token", group=OUTPUTS),
        Column("empty", "empty", group=OUTPUTS),
    ]
    for row, line in zip(rows, cells, strict=True):
        line += [row[key] for key in ("n", "identical", "divergence_median", "empty")]
    return Table(f"Target {found['target']['name']}", columns, cells, sideways=True)


def of_speed(found: Row) -> Table:
    """Return how fast the reference, the control and the candidates answered, and what they
    weighed.
    """
    reference = found["reference"]
    rows = [reference, *filter(None, [found["control"]]), *found["rows"]]
    columns = (
        word_column("label", ""), Column("tokens_per_s", "tokens/s"),
        Column("speed_ratio", "of the reference's", "%", tenths),
        Column("tokens_per_sample", "tokens/answer", write=_tenth, optional=True),
        Column("peak_bytes", "peak memory", write=size),
    )  # fmt: skip
    cells = []
    for row in rows:
        speed, own = row.get("tokens_per_s"), reference.get("tokens_per_s")
        ratio = speed / own if speed and own else None
        length = row.get("tokens_per_sample") if found.get("tasks") else None
        cells.append((row["label"], speed, ratio, length, row.get("peak_bytes")))
    note = "The speed is that of the accuracy run: all questions at once, once."
    return Table("Speed and memory", columns, cells, note)


def _tenth(value: float) -> str:
    return f"{value:,.1f}"


def reading_title(found: Row, reading: str) -> str:
    """Return the title of a reading, with the metric that it was made with."""
    is_multilingual = found.get("metric") == "multilingual_rouge"
    return READINGS[reading].replace("ROUGE", "Multilingual ROUGE" if is_multilingual else "ROUGE")


def _columns_of(reading: str, rows: Sequence[Row], group: str) -> list[Column]:
    ratios, targets = _parts_of(reading, rows)
    columns = []
    for name in ratios:
        key, label = f"{reading}_{name}_ratio", ROUGE.get(name, name)
        columns.append(Column(key, label, "", percent, interval=True, ends=tenths, group=group))
    for key in targets:
        name = f"{reading}_keeps_{key}"
        columns.append(
            Column(name, f"{key} %", second="mlperf", words=True, toned=tone, group=group)
        )
    return columns


def _cells_of(reading: str, row: Row, rows: Sequence[Row]) -> list[Any]:
    ratios, targets = _parts_of(reading, rows)
    part = row["readings"].get(reading, {"ratios": (), "verdicts": {}})
    own = {ratio["name"]: ratio for ratio in part["ratios"]}
    cells: list[Any] = []
    for name in ratios:
        ratio = own.get(name)
        cells.append(ratio and (ratio["value"], ratio["low"], ratio["high"]))
    for key in targets:
        call = part["verdicts"].get(key)
        cells.append(call and (call["status"], call["official"]))
    return cells


def _parts_of(reading: str, rows: Sequence[Row]) -> tuple[dict[str, None], dict[str, None]]:
    """Return (names of the ratios, targets) of a reading over all rows, in order."""
    parts = [row["readings"][reading] for row in rows if reading in row["readings"]]
    ratios = dict.fromkeys(ratio["name"] for part in parts for ratio in part["ratios"])
    return ratios, dict.fromkeys(key for part in parts for key in part["verdicts"])
