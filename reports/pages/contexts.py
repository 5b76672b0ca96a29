"""What is a context worth? The same tokens scored without it and with it, as a table per kind of
condition.

A table says exactly which tokens are scored and given what, as perplexity.json does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from reports.pages.words import Subject, figure, measured, shown, three_places

TITLES = {
    "sentences": "Given the sentences right before it",
    "instructions": "Given an instruction",
}
_ALONE = "the text alone"  # what an instruction is held against
Named = tuple[str, Subject]  # a subject and its label
Row = Mapping[str, Any]


class Cell(NamedTuple):
    """Perplexity; what it gains in nats per token over the row without context, with the interval;
    the ratio of the two perplexities. Empty where there is nothing.
    """

    perplexity: str = ""
    gain: str = ""
    between: str = ""
    ratio: str = ""


class Table(NamedTuple):
    """`statements` say what is scored and what each row is given."""

    title: str
    labels: list[str]
    rows: list[tuple[str, list[Cell]]]
    statements: list[str]


def tables(subjects: Sequence[Named]) -> list[Table]:
    """Return a table for each kind of condition that was measured."""
    found = []
    for kind, title in TITLES.items():
        told = [
            (label, own) for label, own in ((text, of_kind(s, kind)) for text, s in subjects) if own
        ]
        if told:
            labels = [label for label, _ in told]
            found.append(Table(title, labels, list(_rows(told)), list(_statements(told))))
    return found


def of_kind(subject: Subject, kind: str) -> dict[str, Row]:
    """Return the conditions of a kind by name, in their order."""
    rows = (subject.get("conditions") or {}).items()
    return {name: row for name, row in rows if row.get("kind") == kind}


def _rows(told: Sequence[tuple[str, Mapping[str, Row]]]) -> Iterator[tuple[str, list[Cell]]]:
    names = list(dict.fromkeys(name for _, own in told for name in own))
    if all(own[name].get("base") for _, own in told for name in own):
        yield _ALONE, [_base_cell(next(iter(own.values()))) for _, own in told]
    for name in names:
        yield name, [_cell(own.get(name)) for _, own in told]


def _base_cell(row: Row) -> Cell:
    return Cell(shown(measured(row.get("base_figures"), "perplexity"), figure)[0])


def _cell(row: Row | None) -> Cell:
    if row is None:
        return Cell()
    perplexity = shown(measured(row, "perplexity"), figure)[0]
    gain, between = shown(measured(row, "gain_nats"), three_places)
    ratio = measured(row, "perplexity_ratio")
    return Cell(perplexity, gain, between, f"{ratio.value:.3f}x" if ratio else "")


def _statements(told: Sequence[tuple[str, Mapping[str, Row]]]) -> Iterator[str]:
    """One line each; a line names its subjects where they differ."""
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
