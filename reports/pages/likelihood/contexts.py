"""What is a context worth? The same tokens scored without it and with it, as a table per kind of
condition.

A table says exactly which tokens are scored and given what, as perplexity.json does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from reports.blocks import Column, Table
from reports.pages.likelihood.words import Subject, figure, measured, shown, three_places

TITLES = {
    "sentences": "Given the sentences right before it",
    "instructions": "Given an instruction",
}
_ALONE = "the text alone"  # what an instruction is held against
Named = tuple[str, Subject]  # a subject and its label
Row = Mapping[str, Any]


class Context(NamedTuple):
    """`statements` say what is scored and what each row is given; `gaining` are the rows that are
    held against the first.
    """

    table: Table
    labels: list[str]
    gaining: list[str]
    statements: list[str]


def contexts(subjects: Sequence[Named]) -> list[Context]:
    """Return a table for each kind of condition that was measured."""
    found = []
    for kind, title in TITLES.items():
        told = [(label, of_kind(subject, kind)) for label, subject in subjects]
        told = [(label, own) for label, own in told if own]
        if told:
            found.append(_context(title, told))
    return found


def _context(title: str, told: Sequence[tuple[str, Mapping[str, Row]]]) -> Context:
    labels = [label for label, _ in told]
    columns = [Column("given", "", words=True)]
    columns += [Column(label, label, second="gain") for label in labels]
    rows = list(_rows(told))
    gaining = [name for name, *cells in rows if any(cell and cell[1] for cell in cells)]
    table = Table(f"{title}: perplexity, nats gained per token", columns, rows)
    return Context(table, labels, gaining, list(_statements(told)))


def of_kind(subject: Subject, kind: str) -> dict[str, Row]:
    """Return the conditions of a kind by name, in their order."""
    rows = (subject.get("conditions") or {}).items()
    return {name: row for name, row in rows if row.get("kind") == kind}


def _rows(told: Sequence[tuple[str, Mapping[str, Row]]]) -> Iterator[list[Any]]:
    names = list(dict.fromkeys(name for _, own in told for name in own))
    if all(own[name].get("base") for _, own in told for name in own):
        bases = [next(iter(own.values())).get("base_figures") for _, own in told]
        yield [_ALONE, *((_perplexity(base), "") for base in bases)]
    for name in names:
        yield [name, *(_cell(own.get(name)) for _, own in told)]


def _perplexity(row: Row | None) -> str | None:
    return shown(measured(row, "perplexity"), figure)[0] or None


def _cell(row: Row | None) -> tuple[str | None, str] | None:
    """Return a perplexity, and small what it gains over the row without context."""
    if row is None:
        return None
    gain, around = shown(measured(row, "gain_nats"), three_places)
    ratio = measured(row, "perplexity_ratio")
    first = [f"{gain} nats" if gain else "", f"{ratio.value:.3f}x" if ratio else ""]
    lines = [" · ".join(filter(None, first)), around]
    return _perplexity(row), "\n".join(filter(None, lines))


def _statements(told: Sequence[tuple[str, Mapping[str, Row]]]) -> Iterator[str]:
    """Yield a line each; a line names its subjects where they differ."""
    yield from _said("scored", told, _scored)
    names = list(dict.fromkeys(name for _, own in told for name in own))
    if all(own[name].get("base") for _, own in told for name in own):
        yield f"{_ALONE}: no instruction and no chat template; the gains are held against it"
    for name in names:
        having = [(label, {name: own[name]}) for label, own in told if name in own]
        yield from _said(name, having, _given)


def _scored(own: Mapping[str, Row]) -> str:
    row = next(iter(own.values()))
    return f"{row.get('scored', '')} ({row['texts']:,} texts, {row['tokens']:,} tokens)"


def _given(own: Mapping[str, Row]) -> str:
    return str(next(iter(own.values())).get("given", ""))


def _said(
    what: str,
    told: Sequence[tuple[str, Mapping[str, Row]]],
    words: Callable[[Mapping[str, Row]], str],
) -> Iterator[str]:
    of: dict[str, list[str]] = {}
    for label, own in told:
        of.setdefault(words(own), []).append(label)
    for line, labels in of.items():
        yield f"{what}: {line}" if len(of) == 1 else f"{what} ({', '.join(labels)}): {line}"
