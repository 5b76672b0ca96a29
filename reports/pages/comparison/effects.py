"""What did the tests of a comparison find? Sentences for the screen, tables for the page, Markdown
and CSV.

All is made from `effects` and `limits` of compare.json.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.text import Text

from harness.kernel.words.figure import number, size
from reports.blocks import STYLES, Column, Table, as_text, word_column

Found = Mapping[str, Any]
Row = Mapping[str, Any]
_MOST = 10_000_000  # samples or runs that anybody would make
_SHOWN = 4  # figures in a sentence
TONES = {
    "better": "good", "worse": "bad", "PASS": "good", "FAIL": "bad", "INCONCLUSIVE": "open",
    "no difference shown": "soft", "not tested": "soft",
}  # fmt: skip
_NOTE = (
    "Change: from {baseline}, with a 95 % interval. Better or worse: the data show a difference,"
    " corrected for the number of figures (Holm): among pairs in which nothing differs, at most one"
    " in twenty is said to differ in anything. Smallest change: what these data would have shown in"
    " 80 % of all cases. {unit}"
)
_OF_SAMPLES = (
    "One run a side: parts of the run are compared, so that the interval covers how a figure varies"
    " within a run, and not from run to run; repeats (--baseline A1,A2) cover both."
)
_OF_RUNS = "Several runs on a side: the runs are the units."


# ---- in words


def sentences(found: Found) -> list[str]:
    """Return a line on each limit, or without any a line on each run that was tested."""
    limits = found.get("limits")
    if limits:
        return [headline(found), *map(term_text, limits["terms"])]
    return [text for effect in found.get("effects", ()) if (text := _summary(effect))]


def headline(found: Found) -> str:
    """Return the verdict on all limits together; "" without any."""
    limits = found.get("limits")
    return f"{limits['status']} ({_count(limits)})" if limits else ""


def fails(found: Found) -> bool:
    """Does a limit fail?"""
    return bool((found.get("limits") or {}).get("status") == "FAIL")


def refusals(found: Found) -> list[str]:
    """Say which runs were not tested at all, and why."""
    told = []
    for effect in found.get("effects", ()):
        if effect["refused"]:
            told.append(f"{effect['label']} is not tested: {effect['refused']}")
    return list(dict.fromkeys(told))


def lines(found: Found) -> list[Text]:
    """Return the sentences for a terminal; that of a verdict has its colour."""
    told = []
    for line in sentences(found):
        word = line.partition(":")[0].partition(" ")[0]
        told.append(as_text(line, STYLES[TONES.get(word, "soft")]))
    return [*told, *(as_text(line, STYLES["open"]) for line in refusals(found))]


def _count(limits: Row) -> str:
    statuses = [term["status"] for term in limits["terms"]]
    words = {"PASS": "kept", "FAIL": "exceeded", "INCONCLUSIVE": "undecided"}
    counts = [f"{statuses.count(s)} {word}" for s, word in words.items() if s in statuses]
    return f"limits of changes: {', '.join(counts)}"


def term_text(term: Row) -> str:
    """Say what became of one limit, and what would decide it."""
    words = f"{term['status']}: {term['limit']} of {term['label']}"
    if term["before"] is None:
        return f"{words}: {term['why']}"
    words += f": {change_text(term)}"
    if reason := term["why"] or _needed(term):
        words += f"; {reason}"
    return words


def _needed(term: Row) -> str:
    """Say how many samples or runs would decide an undecided limit."""
    needed, have = term["needed"], term["size"]
    if term["status"] != "INCONCLUSIVE" or needed is None:
        return ""
    what = "samples a run" if term["needed_unit"] == "samples" else "runs a side"
    if needed > _MOST:
        return f"no number of {what} would decide it: the change is too close to the limit"
    if needed <= have:
        return f"as many {what} again would probably decide it"
    return f"about {needed:,} {what} (now {have:,}) would decide it"


def _summary(effect: Row) -> str:
    """Say by what a run differs from the baseline."""
    if effect["refused"]:
        return ""
    by_verdict: dict[str, list[Row]] = {}
    for row in effect["figures"]:
        by_verdict.setdefault(row["verdict"], []).append(row)
    parts = []
    for verdict in ("worse", "better"):
        if rows := by_verdict.get(verdict):
            shown = [f"{row['label']} {_brief(row)}" for row in rows[:_SHOWN]]
            more = f" and {len(rows) - _SHOWN} more" if len(rows) > _SHOWN else ""
            parts.append(f"{verdict} in {', '.join(shown)}{more}")
    alike = len(by_verdict.get("no difference shown", ()))
    if not parts and not alike:
        return ""
    if alike:
        parts.append(f"no difference shown in {alike} figure{'s' * (alike != 1)}")
    return f"{effect['label']} beside {effect['baseline']}: {'; '.join(parts)}"


def _brief(row: Row) -> str:
    return _one(row["change"]["value"], row)


# ---- figures as people read them


def change_text(row: Row) -> str:
    """Write a change with its interval: "+5.2 % (+3.1 to +7.3)"."""
    value, low, high = (row["change"][end] for end in ("value", "low", "high"))
    if value is None:
        return "-"
    text = _one(value, row)
    if low is None or high is None:
        return text
    if low == high:
        return f"{text} exactly" if value else "none"
    return f"{text} ({_bare(low, row)} to {_bare(high, row)})"


def _one(value: float, row: Row) -> str:
    if row["is_ratio"]:
        return f"{_bare(value, row)} %"
    if row["unit"] == "B":
        return f"{'+' if value >= 0 else '-'}{size(abs(value))}"
    return f"{_bare(value, row)} {row['unit']}".strip()


def _bare(value: float, row: Row) -> str:
    if row["is_ratio"]:
        percent = 100 * value
        return f"{percent:+.2f}" if abs(percent) < 10 else f"{percent:+.1f}"
    if row["unit"] == "B":
        return f"{'+' if value >= 0 else '-'}{size(abs(value))}"
    return f"{'+' if value >= 0 else '-'}{number(abs(value))}"


def value_text(value: float | None, row: Row) -> str:
    """Write one side's value with its unit."""
    if value is None:
        return "-"
    return size(value) if row["unit"] == "B" else f"{number(value)} {row['unit']}".strip()


# ---- tables

_ENDS = ("value", "low", "high")


def limits_table(found: Found) -> Table:
    """Return a row for each limit and run."""
    limits = found.get("limits") or {"terms": ()}
    columns = [
        word_column("label", "run"),
        word_column("limit", "fails if"),
        Column("status", "verdict", words=True, toned=_tone),
        Column("before_text", "baseline", people=True),
        Column("after_text", "this run", people=True),
        Column("change_text", "change", people=True),
        *_raw("before", "after", "is_ratio"),
        *_raw(*(f"change_{end}" for end in _ENDS)),
        *_raw("needed", "needed_unit", "reason"),
    ]
    rows = [_limit_row(term) for term in limits["terms"]]
    return Table("Limits of changes", columns, rows)


def _limit_row(term: Row) -> list[Any]:
    ends = [term["change"][end] for end in _ENDS]
    sides = [value_text(term[side], term) for side in ("before", "after")]
    return [
        term["label"], term["limit"], term["status"], *sides, change_text(term),
        term["before"], term["after"], term["is_ratio"], *ends,
        term["needed"], term["needed_unit"], term["why"],
    ]  # fmt: skip


def effects_table(found: Found) -> Table:
    """Return a row for each figure of each run that was tested, headed by the run."""
    effects = [effect for effect in found.get("effects", ()) if not effect["refused"]]
    columns = [
        Column("label", "run", raw=True),
        word_column("figure_text", "figure", people=True),
        Column("before_text", "baseline", people=True),
        Column("after_text", "this run", people=True),
        Column("change_text", "change", people=True),
        Column("verdict", "verdict", words=True, toned=_tone),
        Column("smallest_text", "smallest change", people=True),
        *_raw("figure", "unit", "before", "after", "is_ratio"),
        *_raw(*(f"change_{end}" for end in _ENDS)),
        *_raw("p", "p_corrected", "smallest", "why"),
    ]
    rows, groups = [], []
    for effect in effects:
        for row in effect["figures"]:
            rows.append(_effect_row(effect["label"], row))
            groups.append(_head(effect))
    return Table("Differences", columns, rows, _note(effects), row_groups=groups)


def _effect_row(label: str, row: Row) -> list[Any]:
    smallest = f"±{_one(row['smallest'], row)[1:]}" if row["smallest"] else "-"
    ends = [row["change"][end] for end in _ENDS]
    return [
        label, row["label"], value_text(row["before"], row), value_text(row["after"], row),
        change_text(row), row["verdict"], smallest,
        row["name"], row["unit"], row["before"], row["after"], row["is_ratio"], *ends,
        row["p"], row["p_corrected"], row["smallest"], row["why"],
    ]  # fmt: skip


def _head(effect: Row) -> str:
    before, after = effect["runs"]
    return f"{_side(effect['label'], after)} beside {_side(effect['baseline'], before)}"


def _side(label: str, runs: int) -> str:
    return label if runs == 1 else f"{label} ({runs} runs)"


def _note(effects: Sequence[Row]) -> str:
    if not effects:
        return ""
    units = {effect["unit"] for effect in effects}
    unit = " ".join(text for name, text in _UNITS.items() if name in units)
    return _NOTE.format(baseline=effects[0]["baseline"], unit=unit)


_UNITS = {"samples": _OF_SAMPLES, "runs": _OF_RUNS}


def _raw(*names: str) -> Iterator[Column]:
    for name in names:
        yield Column(name, name, raw=True)


def _tone(word: str) -> str:
    return TONES.get(word, "open")
