"""Which figures of a family stand side by side? What its members were told of in, columns out: each
has figures that compare, since they were asked the same.

Nothing is mixed: where a task was asked in two ways (other examples, another number of questions,
another file), each way is a column of its own, named by what differs; and where two folders tell
one member the same figure, the first counts and the others are named.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from harness.kernel.words.judged import TABLE, Judged
from harness.study.family.members import Member
from harness.study.family.told import OF_LOAD, Terms, Told

# In the order of the table, and how a column is headed.
_HEADS = {
    "text_perplexity": "perplexity of {of}",
    "bits_per_byte": "bits per byte of {of}",
    "mean_kld": "KL of {of}",
    "perplexity": "perplexity of the answers to {of}",
    "rougeL": "ROUGE-L of {of}",
    "rouge_ratio": "ROUGE of {of} kept",
    "task_solved": "{of} solved",
    "evaluated": "{of}",
    "evaluated_lower": "{of}",
    "tokens_per_s": "tokens/s",
    "peak_bytes": "peak memory",
}
QUALITY = tuple(name for name in _HEADS if name not in OF_LOAD)


@dataclass(frozen=True)
class Column:
    """`told` has the figure of each member by its label; `other` says what differs from the other
    columns of the same name, empty where there is no other.
    """

    key: str
    name: str
    of: str
    terms: Terms
    other: str = ""
    told: dict[str, Told] = field(default_factory=dict)

    @property
    def figure(self) -> Judged:
        """Return the figure as it ranks, with the words that head it."""
        words = _HEADS[self.name].format(of=self.of)
        label = f"{words} ({self.other})" if self.other else words
        return figure_of(self.name)._replace(name=self.key, label=label)

    @property
    def groups(self) -> list[list[str]]:
        """Return the labels that rank together, in the order of the members."""
        found: dict[str, list[str]] = {}
        for label, one in self.told.items():
            found.setdefault(one.among, []).append(label)
        return list(found.values())


def figure_of(name: str) -> Judged:
    """Return a figure by its name, those of tools as they scale them."""
    if name in TABLE:
        return TABLE[name]
    return Judged(name, name, "", "lower" if name == "evaluated_lower" else "higher", "quality")


class Twice(NamedTuple):
    """Folders that tell a member what another has told before."""

    label: str
    column: str
    used: str
    left_out: list[str]


def columns_of(members: Sequence[Member]) -> tuple[list[Column], list[Twice]]:
    """Return the columns in the order of the table, those of most members first among the ways
    in which one thing was asked; and what was told twice.
    """
    ways: dict[tuple[str, str], dict[frozenset[tuple[str, str]], list[tuple[Member, Told]]]] = {}
    for member in members:
        for one in member.told:
            about, terms = (one.name, one.of), frozenset(one.terms.items())
            ways.setdefault(about, {}).setdefault(terms, []).append((member, one))
    columns: list[Column] = []
    twice: list[Twice] = []
    order = {name: place for place, name in enumerate(_HEADS)}
    for name, of in sorted(ways, key=lambda way: order[way[0]]):
        groups = ways[name, of]
        every = [part for group in groups.values() for part in _by_prompts(group)]
        every.sort(key=lambda group: -len({member.label for member, _ in group}))
        for number, group in enumerate(every):
            key = f"{name}:{of}" + (f":{number + 1}" if number else "")
            differs = _what_differs(group, every) if len(every) > 1 else ""
            column = Column(key, name, of, _terms(group), differs)
            twice += _filled(column, group)
            columns.append(column)
    return columns, twice


Group = list[tuple[Member, Told]]


def _by_prompts(group: Group) -> Iterator[Group]:
    """Yield a group, without the answers to other token ids than those that were asked first with
    the same tokenizer, which are groups of their own.
    """
    first: dict[str, str] = {}
    parts: dict[str, Group] = {}
    for member, one in group:
        tokenizer, _, digest = one.prompts.partition(" ")
        known = first.setdefault(tokenizer, digest)
        part = "" if not digest or digest == known else digest
        terms = {**one.terms, "prompts": part} if part else one.terms
        parts.setdefault(part, []).append((member, one._replace(terms=terms)))
    yield from parts.values()


def _terms(group: Group) -> Terms:
    return group[0][1].terms


def _what_differs(group: Group, every: Sequence[Group]) -> str:
    """Say what is so in this group and otherwise in another: "shots 2, samples 60"."""
    ours, others = _terms(group), [_terms(other) for other in every]
    names = dict.fromkeys(name for terms in others for name in terms)
    apart = [name for name in names if len({terms.get(name) for terms in others}) > 1]
    return ", ".join(f"{name} {ours.get(name, 'as the first')}" for name in apart)


def _filled(column: Column, group: Group) -> Iterator[Twice]:
    """Fill a column; yield what was told more than once."""
    left: dict[str, list[str]] = {}
    for member, one in group:
        if member.label in column.told:
            left.setdefault(member.label, []).append(one.folder)
        else:
            column.told[member.label] = one
    for label, folders in left.items():
        yield Twice(label, column.key, column.told[label].folder, folders)


def of_main_load(columns: Sequence[Column]) -> list[Column]:
    """Return the columns without those of other loads than the one that most members had: a table
    has one speed.
    """
    kept: dict[str, Column] = {}
    for name in OF_LOAD:
        own = [column for column in columns if column.name == name]
        if own:
            kept[name] = max(own, key=lambda column: len(column.told))
    return [one for one in columns if one.name not in OF_LOAD or kept[one.name] is one]
