"""What do more attempts at a question buy? As a sentence and as a table over the attempts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from harness.kernel.words.figure import number
from reports.blocks import Column, Table
from reports.parts.task import in_tenths, span_of

Result = Mapping[str, Any]
Row = Mapping[str, Any]
WAYS = {
    "pass": "pass@k",
    "majority": "majority",
    "likelihood": "likeliest",
    "verifier": "verifier",
}


def sentence(result: Result) -> str:
    """Say what all attempts give beside one, and what they cost; nothing for greedy answers."""
    found = _attempts(result)
    if not found:
        return ""
    how = f"at temperature {number(found['temperature'])}"
    if found["top_p"] < 1:
        how += f" and top-p {number(found['top_p'])}"
    n = found["attempts"]
    if n == 1:
        return f"Answers were drawn once each, {how}."
    if not found["at"]:
        return f"{n} attempts at each question, {how}: no question has all its answers."
    one, last = found["at"][0], found["at"][-1]
    said = {
        "majority": "the most frequent answer",
        "likelihood": "the one that the model finds likeliest",
        "verifier": "the one that the verifier rates highest",
    }
    shares = [f"{words} {_percent(last[way])}" for way, words in said.items() if way in last]
    return (
        f"{n} attempts {how}: a single one solves {_percent(found['average'])} of the questions, at"
        f" least one of {n} (pass@{n}) {_percent(last['pass'])}, {', '.join(shares)}. A question"
        f" takes {_cost(last)}, with one attempt {_cost(one)}."
    )


def table(result: Result) -> Table | None:
    """Return a row for each number of attempts; None where there is one alone."""
    found = _attempts(result)
    if not found or found["attempts"] == 1 or not found["at"]:
        return None
    ways = {way: words for way, words in WAYS.items() if way in found["at"][0]}
    columns = (
        Column("k", "attempts\nk"),
        Column("tokens", "tokens per\nquestion"),
        Column("seconds", "seconds per\nquestion"),
        *(Column(way, words, "%", in_tenths, interval=True) for way, words in ways.items()),
        *(_per_solved(way, words) for way, words in ways.items()),
    )
    rows = [
        (
            row["k"],
            row["tokens"],
            row["seconds"],
            *(span_of(row[way]) for way in ways),
            *(row[way]["tokens_per_solved"] for way in ways),
        )
        for row in found["at"]
    ]
    return Table("Accuracy against attempts", columns, rows, note=_note(found))


def beside(rows: Sequence[Row]) -> Table | None:
    """Return the runs of a comparison by what all their attempts gave; None where none has any."""
    known = [row for row in rows if row.get("attempts")]
    if not known:
        return None
    lasts = [row["attempts"]["at"][-1] for row in known]
    ways = {way: words for way, words in WAYS.items() if any(way in last for last in lasts)}
    columns = (
        Column("label", "", words=True),
        Column("attempts", "attempts\nk"),
        Column("average", "one\nattempt", "%", in_tenths, interval=True),
        *(Column(way, words, "%", in_tenths, interval=True) for way, words in ways.items()),
        Column("tokens", "tokens per\nquestion"),
        Column("seconds", "seconds per\nquestion"),
    )
    lines = [
        (
            row["label"],
            last["k"],
            span_of(row["attempts"]["average"]),
            *(span_of(last[way]) if way in last else None for way in ways),
            last["tokens"],
            last["seconds"],
        )
        for row, last in zip(known, lasts, strict=True)
    ]
    return Table("Several attempts", columns, lines, note="Intervals: 95 %, over questions.")


def _per_solved(way: str, words: str) -> Column:
    return Column(f"{way}_tokens_per_solved", f"tokens per\nsolved, {words}")


def _note(found: Row) -> str:
    """Say how the figures are made, and what is missing in them."""
    n = found["attempts"]
    told = [
        "pass@k: at least one of k attempts is right; the others take one answer of k: the most"
        " frequent one, or the one that the model finds likeliest per token"
        + (", or that --verifier rates highest." if "verifier" in found["at"][0] else "."),
        f"Intervals: 95 %, over {found['questions']:,} questions.",
    ]
    if found["incomplete"]:
        told.append(f"{found['incomplete']:,} questions without all {n} answers are left out.")
    if found["ties"]:
        told.append(f"{found['ties']:,} of the votes over all {n} were ties: the first answer won.")
    told.append("Seconds are those of this run, whose attempts shared batches.")
    return " ".join(told)


def _attempts(result: Result) -> Row:
    found: Row = (result.get("task") or {}).get("attempts") or {}
    return found


def _percent(figure: Row) -> str:
    return "?" if figure["value"] is None else f"{in_tenths(100 * figure['value'])} %"


def _cost(row: Row) -> str:
    return f"{number(row['tokens'])} tokens and {number(row['seconds'])} s"
