"""How well was a task solved? As a sentence and as a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from reports.blocks import Column, Table, word_column

Result = Mapping[str, Any]
SCORERS = {
    "number": "final number",
    "number_strict": "final number, marked as such",
    "strict_match": "lm-eval's strict-match",
    "strict_match_cot": "lm-eval's strict-match",
    "flexible_extract": "lm-eval's flexible-extract",
    "letter": "letter",
    "bleu": "BLEU",
    "chrf": "chrF",
    "token_f1": "token F1",
    "mlperf_scores": "MLPerf's scores",
    "boxed": "boxed or final answer",
    "boxed_strict": "boxed answer",
    "math_verify": "answer, by algebra",
    "plain_match": "exact match",
    "alias_match": "exact match, articles apart",
    "likelihood": "likeliest choice",
    "likelihood_per_char": "likeliest choice, per character",
    "runs": "tests passed",
    "likelihood_per_byte": "likeliest choice, per byte",
}
_COUNTS = ("right", "wrong", "no_answer", "error", "timeout", "memory")


def sentence(result: Result) -> str:
    """Say which share of the questions was solved; nothing without a task."""
    found = result.get("task") or {}
    if not found:
        return ""
    scorer, figure = found["scorer"], found["scores"][found["scorer"]]
    shots = f"{found['shots']} example{'s' * (found['shots'] != 1)}"
    how = f"by {SCORERS.get(scorer, scorer.replace('_', ' '))}, {shots}"
    if figure["value"] is None:
        why = "nothing was scored"
        if scorer == "runs":
            why = "the programs were not run; pass --run-code sandboxed"
        return f"Task {found['name']}: {why}."
    if figure["low"] is not None:
        how = f"{_percent(figure['low'])} to {_percent(figure['high'])} %; {how}"
    times = (found.get("attempts") or {}).get("attempts", 1)
    solved = f"{_percent(figure['value'])} % of {figure['n']:,} questions solved ({how})"
    if times > 1:
        share = f"{_percent(figure['value'])} % of the answers are right"
        solved = f"{share}, {times} to each of {figure['n']:,} questions ({how})"
    without = "that are no Python" if scorer == "runs" else "without a final answer"
    unread = f", {figure['no_answer']:,} {without}" if figure["no_answer"] else ""
    return f"Task {found['name']}: {solved}{unread}{_broken(figure)}."


def _broken(figure: Mapping[str, Any]) -> str:
    """Say how programs failed that did not just give a wrong result."""
    words = {
        "error": "stopped by an error",
        "timeout": "not ended in time",
        "memory": "out of memory",
    }
    return "".join(f", {figure[name]:,} {word}" for name, word in words.items() if figure.get(name))


def scores(result: Result) -> Table | None:
    """Return each scorer's figure and that of each group; None without a task."""
    found = result.get("task") or {}
    if not found:
        return None
    figures = found["scores"].items()
    counts = [name for name in _COUNTS if any(name in one for _, one in figures)]
    columns = (
        word_column("what", ""),
        Column("value", "solved", "%", in_tenths, interval=True),
        *(Column(name, name.replace("_", " ")) for name in counts),
        Column("n", "n"),
    )
    rows = [(SCORERS.get(name, name), *_cells(one, counts)) for name, one in figures]
    rows += [(f"{one['column']}: {one['group']}", *_cells(one, counts)) for one in found["groups"]]
    note = f"Intervals: 95 %.{_sandbox(found)}"
    return Table(f"Task {found['name']}", columns, rows, note=note)


def _sandbox(task: Mapping[str, Any]) -> str:
    """Say how programs were run, if any were."""
    known = task.get("sandbox")
    if not known:
        return ""
    most = f"{known['seconds']:g} s and {known['memory_bytes'] / 2**20:g} MiB each"
    return f" Programs ran {known['mode']} ({', '.join(known['protections'])}), at most {most}."


def _cells(figure: Mapping[str, Any], counts: Sequence[str]) -> tuple[Any, ...]:
    span = None if figure["value"] is None else span_of(figure)
    return (span, *(figure.get(name, 0) for name in (*counts, "n")))


def span_of(figure: Mapping[str, Any]) -> tuple[float | None, ...]:
    """Return a share and the ends of its interval in percent; None for an end that is unknown."""
    ends = (figure["value"], figure["low"], figure["high"])
    return tuple(None if end is None else 100 * end for end in ends)


def in_tenths(percent: float) -> str:
    """Write percent with one decimal: the intervals of shares are wider than any further one."""
    return f"{percent:.1f}"


def _percent(share: float | None) -> str:
    return "?" if share is None else in_tenths(100 * share)
