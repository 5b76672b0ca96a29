"""What went wrong on a task, as a sentence, as tables and as answers side by side?

`found` is what `accuracy.tasks.errors` returns, of one run or of a candidate held against its
reference.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from harness.kernel.words.figure import number
from reports.beside import Beside, Example, Piece, Side
from reports.blocks import Block, Column, Table, pairs, tenths, word_column

Found = Mapping[str, Any]
# The verb of each kind for one answer and for several.
_SAID = {
    "arithmetic slip": ("is an arithmetic slip", "are arithmetic slips"),
    "slip and method": ("has a slip and a wrong method", "have a slip and a wrong method"),
    "wrong method": ("follows a wrong method", "follow a wrong method"),
    "no steps": ("shows no steps", "show no steps"),
    "wrong choice": ("is a wrong choice", "are wrong choices"),
    "wrong answer": ("is wrong", "are wrong"),
    "not in the form": ("is right in another form", "are right in another form"),
    "no final answer": ("has no final answer", "have no final answer"),
    "cut": ("was cut by the limit", "were cut by the limit"),
    "loop": ("ends in a loop", "end in a loop"),
    "empty": ("is empty", "are empty"),
}
_MEANINGS = {
    "arithmetic slip": "an equation does not hold; calculated rightly, the result would be right",
    "slip and method": "an equation does not hold; the result would be wrong all the same",
    "wrong method": "every equation holds, and the result is wrong",
    "no steps": "a wrong number without an equation",
    "wrong choice": "another of the given choices",
    "wrong answer": "another answer than the expected one",
    "not in the form": "the right answer, not in the form that is asked for",
    "no final answer": "it ends without one",
    "cut": "the limit on new tokens ended it before a final answer",
    "loop": "it ends in a loop, without a final answer",
    "empty": "no text",
}
_FORM = {
    "empty": "empty",
    "unmarked": "no final answer in the form asked for",
    "unmarked_right": "of these right all the same",
    "cut": "cut by the limit",
    "cut_with_answer": "of these with a final answer",
    "loops": "end in a loop",
    "went_on": "went on beyond the stop",
}
_MOST_GROUPS = 15  # before the table is folded
_NOTED = 0.01  # p of letters taken too often that is worth a sentence


def is_paired(found: Found) -> bool:
    """Is it a candidate held against its reference?"""
    return "candidate" in found


# ---- sentences


def sentence(found: Found) -> str:
    """Say what went wrong; nothing where nothing did."""
    if is_paired(found):
        return _of_two(found)
    if not found or not found["wrong"]:
        return ""
    said = [_kinds(found["wrong"], "wrong answer", found["kinds"]), *_lettered(found["places"])]
    said += _worse(found["groups"], "have more wrong answers", "has more wrong answers")
    return " ".join(filter(None, said))


def _of_two(found: Found) -> str:
    names = [found[side]["label"] for side in ("candidate", "reference")]
    lost, gained = found["lost"], found["gained"]
    if not lost + gained:
        return f"{names[0]} has the same questions right as {names[1]}."
    said = [
        f"{names[0]} lost {_counted(lost, 'question')} that {names[1]} solves and gained"
        f" {gained:,} that it does not."
    ]
    if lost:
        said.append(_kinds(lost, "lost answer", found["lost_kinds"]))
    if found["flips"]:
        flips, tosses = found["flips"]["flips"], found["flips"]["coin_tosses"]
        said.append(f"Of {_counted(flips, 'flip')}, {tosses:,} had a margin below the noise.")
    said += _worse(found["groups"], "suffer more", "suffers more")
    return " ".join(filter(None, said))


def _kinds(n: int, what: str, kinds: Sequence[Found]) -> str:
    parts = [f"{one['n']:,} {_SAID[one['kind']][one['n'] != 1]}" for one in kinds]
    if {one["kind"] for one in kinds} == {"wrong choice"}:
        return ""
    listed = " and ".join(filter(None, (", ".join(parts[:-1]), parts[-1])))
    return f"Of {_counted(n, what)} {listed}."


def _lettered(places: Found | None) -> Iterator[str]:
    """Say which letter is taken too often, where that is clear."""
    if not places or places["p"] is None or places["p"] >= _NOTED:
        return
    most = max(places["places"], key=lambda one: one["wrong"] - one["expected"])
    yield (
        f"Choice {most['place']} is taken too often: in {most['wrong']:,} wrong answers, where"
        f" {number(most['expected'])} would be even (p {_chance(places['p'])})."
    )


def _worse(groups: Sequence[Found], several: str, one: str) -> Iterator[str]:
    names = [f"“{row['group']}”" for row in groups if row["is_worse"]]
    if names:
        verb = one if len(names) == 1 else several
        others = "the other questions, beyond chance"
        yield f"{', '.join(names)} {verb} than {others}."


def _counted(n: int, what: str) -> str:
    return f"{n:,} {what}{'s' * (n != 1)}"


# ---- blocks


def blocks(found: Found) -> list[Block]:
    """Return what a page shows; nothing where nothing went wrong."""
    made = _paired_blocks(found) if is_paired(found) else _run_blocks(found)
    return [one for one in made if one is not None]


def _run_blocks(found: Found) -> list[Block | None]:
    if not found or not found["n"]:
        return []
    return [
        _kinds_table(found) if found["wrong"] else None,
        _form_table(found),
        _groups_table(found, "Wrong answers by group", _WRONG) if found["wrong"] else None,
        _places_table([found["places"]], [found["label"]]),
        _margins_table(found),
        _examples(found, "Wrong answers, some of each kind", [found["label"]]),
    ]


def _paired_blocks(found: Found) -> list[Block | None]:
    names = [found[side]["label"] for side in ("reference", "candidate")]
    places = [found["places"][side] for side in ("reference", "candidate")]
    title = f"Lost and gained by {names[1]}, by group"
    return [
        _both_kinds_table(found, names),
        _both_forms_table(found, names),
        _groups_table(found, title, _NET) if found["lost"] + found["gained"] else None,
        _flips_table(found),
        _places_table(places, names),
        _examples(found, f"{names[1]} beside {names[0]}", names),
    ]


def _kinds_table(found: Found) -> Table:
    columns = (
        Column("kind", "kind of error", words=True, second="meaning"),
        Column("n", "wrong answers"),
        Column("share", "share", "%", tenths, interval=True),
    )
    rows = [[_meant(one["kind"]), one["n"], _span(one)] for one in found["kinds"]]
    return Table("Wrong answers by kind of error", columns, rows, _steps_note(found["steps"]))


def _both_kinds_table(found: Found, names: Sequence[str]) -> Table | None:
    sides = [_by_kind(found[side]["kinds"]) for side in ("reference", "candidate")]
    lost = _by_kind(found["lost_kinds"])
    kinds = [kind for kind in _SAID if any(kind in of for of in (*sides, lost))]
    if not kinds:
        return None
    columns = (
        Column("kind", "kind of error", words=True, second="meaning"),
        *(Column(name, f"wrong, {name}") for name in names),
        Column("lost", "lost"),
    )
    rows = [[_meant(kind), *(of.get(kind, 0) for of in (*sides, lost))] for kind in kinds]
    note = f"Lost: right by {names[0]}, wrong by {names[1]}; the kind is that of {names[1]}."
    return Table("Wrong answers by kind of error", columns, rows, note)


def _meant(kind: str) -> tuple[str, str]:
    return kind, _MEANINGS[kind]


def _by_kind(kinds: Sequence[Found]) -> dict[str, int]:
    return {one["kind"]: one["n"] for one in kinds}


def _steps_note(steps: Found | None) -> str:
    if not steps:
        return ""
    said = (
        f"{_counted(steps['equations'], 'equation')} in {_counted(steps['answers'], 'answer')}"
        f" were checked by exact arithmetic; {steps['wrong_equations']:,} do not hold."
    )
    if steps["right_despite_slip"]:
        said += f" Right in spite of one: {_counted(steps['right_despite_slip'], 'answer')}."
    if steps["with_reference"]:
        methods = _counted(steps["with_reference"], "answer")
        reached = steps["reached_reference_step"]
        said += (
            f" An intermediate result of the solution appears in {reached:,} of {methods} with a"
            " wrong method."
        )
    return said


_FORM_NOTE = "Of all answers, right ones too."


def _form_table(found: Found) -> Table | None:
    rows = [
        (words, f"{found['form'][name]:,}") for name, words in _FORM.items() if found["form"][name]
    ]
    return pairs("Form of the answers", rows, _FORM_NOTE) if rows else None


def _both_forms_table(found: Found, names: Sequence[str]) -> Table | None:
    forms = [found[side]["form"] for side in ("reference", "candidate")]
    rows = [
        [words, *(form[name] for form in forms)]
        for name, words in _FORM.items()
        if any(form[name] for form in forms)
    ]
    columns = (word_column("form", "answers that"), *(Column(name, name) for name in names))
    return Table("Form of the answers", columns, rows, _FORM_NOTE) if rows else None


_WRONG = (
    Column("wrong", "wrong"),
    Column("share", "share", "%", tenths, interval=True),
)
_NET = (
    Column("lost", "lost"),
    Column("gained", "gained"),
    Column("net", "net loss", "%", tenths, interval=True),
)
_GROUPS_NOTE = (
    "p: how often chance alone, dealing the same {what} to the groups at random, makes a group"
    " stand out from the others as far (exact, corrected for the number of groups by Holm's"
    " method). Intervals: 95 %."
)


def _groups_table(found: Found, title: str, figures: Sequence[Column]) -> Table | None:
    groups = sorted(
        found["groups"], key=lambda one: (one["column"], one["p"] is None, one["p"] or 0)
    )
    if not groups:
        return None
    columns = (
        word_column("group", "group"),
        Column("n", "questions"),
        *figures,
        Column("p", "p", "", _chance, toned=lambda p: "bad" if p < 0.05 else ""),
    )
    rows = [[one["group"], one["n"], *_cells(one, figures), one["p_corrected"]] for one in groups]
    what = "flips" if figures is _NET else "wrong answers"
    meaning = "Net loss: lost less gained, of its questions; " if figures is _NET else ""
    return Table(
        title, columns, rows, meaning + _GROUPS_NOTE.format(what=what),
        row_groups=[one["column"] for one in groups], folded=len(groups) > _MOST_GROUPS,
    )  # fmt: skip


def _cells(group: Found, figures: Sequence[Column]) -> list[Any]:
    return [_span(group, one.name) if one.interval else group[one.name] for one in figures]


def _span(row: Found, name: str = "share") -> tuple[Any, Any, Any] | None:
    return None if row[name] is None else (row[name], row["low"], row["high"])


def _chance(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"{p:.3f}" if p < 0.1 else f"{p:.2f}"


def _places_table(places: Sequence[Found | None], names: Sequence[str]) -> Table | None:
    """Return how often each choice was taken, beside how often it is right."""
    known = [(name, one) for name, one in zip(names, places, strict=True) if one]
    if not known:
        return None
    columns = [word_column("place", "choice"), Column("right", "is right")]
    for name, _ in known:
        columns += [
            Column(f"{name}_chosen", f"taken by {name}"),
            Column(f"{name}_wrong", "taken wrongly"),
            Column(f"{name}_expected", "if even", write=number),
        ]
    rows = []
    for k, first in enumerate(known[0][1]["places"]):
        row = [first["place"], first["right"]]
        for _, one in known:
            own = one["places"][k] if k < len(one["places"]) else None
            row += [own and own[cell] for cell in ("chosen", "wrong", "expected")]
        rows.append(row)
    tests = [
        f"{name}: chi-square {number(one['chi_square'])}, p {_chance(one['p'])}"
        for name, one in known
        if one["p"] is not None
    ]
    note = "If even: as many wrong answers, had each wrong choice been taken equally often."
    return Table("Choices by place", columns, rows, " ".join([note, "; ".join(tests)]).strip())


def _margins_table(found: Found) -> Table | None:
    if not found["margins"]:
        return None
    rows = [
        (f"{which} answers", "{1} ({0} to {2})".format(*map(number, quartiles)))
        for which, quartiles in found["margins"].items()
        if quartiles
    ]
    note = (
        f"How much likelier the right choice is than the best wrong one, or less likely where the"
        f" answer is wrong, in {found['margin_unit']}: median and quartiles."
    )
    return pairs("Margins", rows, note)


def _flips_table(found: Found) -> Table | None:
    flips = found["flips"]
    if not flips:
        return None
    unit = found["margin_unit"]
    columns = (
        word_column("margin", f"reference's margin, {unit}"),
        Column("n", "questions"),
        Column("lost", "lost"),
        Column("gained", "gained"),
    )
    rows = [[_range(one), one["n"], one["lost"], one["gained"]] for one in flips["bins"]]
    note = (
        f"Noise, the usual change of a margin between the two: {number(flips['noise'])} {unit}. The"
        f" first row is below it: such flips are coin tosses."
    )
    return Table("Flips by margin", columns, rows, note)


def _range(one: Found) -> str:
    low = number(one["low"])
    return f"{low} and more" if one["high"] is None else f"{low} to {number(one['high'])}"


# ---- examples


def _examples(found: Found, title: str, names: Sequence[str]) -> Beside | None:
    examples = [_example(one, names, found["margin_unit"]) for one in found["examples"]]
    note = "Question and answers are shortened."
    if is_paired(found):
        note += " Words that only one of the answers has are marked."
    return Beside(title, examples, note) if examples else None


def _example(one: Found, names: Sequence[str], unit: str) -> Example:
    below = f"expected: {one['expected']}"
    if "was" in one:
        below = f"{one['was']} · {below}"
    if "parts_at" in one:
        below += f" · the answers part at word {one['parts_at'] + 1:,}"
    sides = [_side(name, answer, unit) for name, answer in zip(names, one["answers"], strict=True)]
    return Example(f"{one['index']}", one["question"], one["labels"], below, sides)


def _side(name: str, answer: Found, unit: str) -> Side:
    kind = answer["kind"]
    read = f" · read: {answer['answer']}" if answer["answer"] else ""
    if answer["margin"] is not None:
        read += f" · margin {number(answer['margin'])} {unit}"
    return Side(
        head=f"{name} · {kind}{read}",
        pieces=[Piece(*piece) for piece in answer["text"]],
        tone="good" if kind == "right" else "bad",
        below=answer["says"],
    )
