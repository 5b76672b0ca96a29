"""Which entries does a page of the list show, in which order? What was asked for in the address,
and entries with their summaries in; one page out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from harness.view.index import Entry
from harness.view.summary import Summary

PAGE = 100  # entries
MOST_COMPARED = 20  # runs: a column each
SORTS = (
    "started", "name", "scenario", "model", "variant", "status", "tokens_per_s", "samples_per_s",
    "ttft_p50_ms", "tpot_p50_ms", "peak_bytes",
)  # fmt: skip
_FALLING = ("started", "tokens_per_s", "samples_per_s")  # the largest first, unless asked otherwise
_LONGEST = 200
KINDS = ("all", "runs", "studies")


class Asked(NamedTuple):
    """What the list was asked for."""

    words: str = ""
    kind: str = "all"
    status: str = ""
    sort: str = "started"
    is_reversed: bool = False
    page: int = 1

    @property
    def is_falling(self) -> bool:
        return (self.sort in _FALLING) != self.is_reversed

    def address(self, **changes: Any) -> dict[str, str]:
        """Return the parameters of an address, those that say nothing left out."""
        asked = self._replace(**changes)
        given = {
            "q": asked.words, "kind": asked.kind, "status": asked.status, "sort": asked.sort,
            "reverse": "1" if asked.is_reversed else "", "page": str(asked.page),
        }  # fmt: skip
        usual = {"kind": "all", "sort": "started", "page": "1"}
        return {name: value for name, value in given.items() if value != usual.get(name, "")}


class Summaries(Protocol):
    """Who knows what the list says of an entry."""

    def quick(self, entry: Entry) -> Summary:
        """Return it as it was read last."""
        ...

    def summary(self, entry: Entry) -> Summary:
        """Return it as it is now."""
        ...


class Line(NamedTuple):
    """An entry with its summary, how many entries are in it, and the cell of the study whose run
    it is, if that is known.
    """

    entry: Entry
    summary: Summary
    inside: int
    cell: str = ""


class Page(NamedTuple):
    """What is shown: lines of this page, how many there are in all, and how many pages."""

    lines: Sequence[Line]
    total: int
    pages: int
    number: int


def asked(parameters: Mapping[str, str]) -> Asked:
    """Read the parameters of an address; what makes no sense is left out."""
    page = parameters.get("page", "1")
    kind, sort = parameters.get("kind", "all"), parameters.get("sort", "started")
    return Asked(
        words=parameters.get("q", "")[:_LONGEST],
        kind=kind if kind in KINDS else "all",
        status=parameters.get("status", "")[:_LONGEST],
        sort=sort if sort in SORTS else "started",
        is_reversed=parameters.get("reverse", "") == "1",
        page=int(page) if page.isascii() and page.isdecimal() and len(page) < 8 else 1,
    )


def page(entries: Sequence[Entry], known: Summaries, wanted: Asked) -> Page:
    """Return the page that was asked for.

    Without words to filter by, what belongs to a study stands in it alone. Where the order is by
    time or name no more summaries are read than are shown.
    """
    inside = _counted(entries)
    found = list(_kept(entries, known, wanted))
    found = _sorted(found, known, wanted)
    pages = max(-(-len(found) // PAGE), 1)
    number = min(max(wanted.page, 1), pages)
    shown = found[(number - 1) * PAGE : number * PAGE]
    lines = [Line(entry, known.summary(entry), inside.get(entry.path, 0)) for entry in shown]
    return Page(lines, len(found), pages, number)


def children(
    entries: Iterable[Entry], known: Summaries, parent: str, cells: Mapping[str, str]
) -> list[Line]:
    """Return what is in a study, in the order in which it was made. `cells` are the names of its
    cells by the path of their run.
    """
    everything = list(entries)
    inside = _counted(everything)
    found = [entry for entry in everything if entry.parent == parent]
    found.sort(key=lambda entry: (entry.started, entry.path))
    return [
        Line(one, known.summary(one), inside.get(one.path, 0), cells.get(one.path, ""))
        for one in found
    ]


def _counted(entries: Iterable[Entry]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for entry in entries:
        if entry.parent:
            counts[entry.parent] = counts.get(entry.parent, 0) + 1
    return counts


def _kept(entries: Iterable[Entry], known: Summaries, wanted: Asked) -> Iterable[Entry]:
    words = wanted.words.casefold().split()
    is_filtered = bool(words or wanted.status or wanted.kind == "runs")
    for entry in entries:
        if entry.parent and not is_filtered:
            continue
        if wanted.kind != "all" and (entry.kind == "run") != (wanted.kind == "runs"):
            continue
        if wanted.status and known.quick(entry).status != wanted.status:
            continue
        if words and not _has_all(words, entry, known):
            continue
        yield entry


def _has_all(words: Sequence[str], entry: Entry, known: Summaries) -> bool:
    """Tell whether each word is in the path, or in what the list says of the entry."""
    missing = [word for word in words if word not in entry.path.casefold()]
    if not missing:
        return True
    said = known.quick(entry)
    text = " ".join((said.status, said.scenario, said.model, said.variant, said.note)).casefold()
    return all(word in text for word in missing)


def _sorted(entries: list[Entry], known: Summaries, wanted: Asked) -> list[Entry]:
    """Put entries into the order that was asked for; those without the figure come last."""
    if wanted.sort in ("started", "name"):
        entries.sort(key=lambda one: (getattr(one, wanted.sort), one.path))
        return entries[::-1] if wanted.is_falling else entries
    entries.sort(key=lambda one: one.started, reverse=True)
    values = {one.path: getattr(known.quick(one), wanted.sort) for one in entries}
    told = [one for one in entries if values[one.path] not in (None, "")]
    told.sort(key=lambda one: values[one.path], reverse=wanted.is_falling)
    return told + [one for one in entries if values[one.path] in (None, "")]
