"""Which member of a family is good at what? Finished folders of any kind in, one object out: a row
for each model and precision, a column for each figure that compares, and what follows from them.

Nothing is run. Runs, and the runs of comparisons, gates, sweeps and decisions, tell tasks, ROUGE
and speed; measurements of perplexity tell likelihoods and divergences; evaluations what a tool has
found.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.engine import runlog
from harness.engine.pieces import noted
from harness.kernel import files
from harness.kernel.clock import utc_now
from harness.kernel.errors import BadInput
from harness.kernel.foreign.own_files import check_folder
from harness.kernel.protocols import Say
from harness.study.comparison.likelihoods import is_one
from harness.study.family.columns import Column, Twice, columns_of
from harness.study.family.members import Member, members_of
from harness.study.family.rouge import with_rouge
from harness.study.family.standing import Standing, agreements, disagreements, places
from harness.study.family.steps import flips, steps
from harness.study.family.told import FACTS, Reading, of_run, of_texts
from harness.study.family.tools import is_evaluation, of_tools
from harness.study.finished import name_and_place, runs_of

SCHEMA, KIND = "touchstone.family/1", "family"
FILE = "family.json"
Row = dict[str, Any]


def run(folders: Sequence[Path], output_dir: Path, say: Say) -> tuple[Row, Path]:
    """Return (the family, its folder with family.json and family.html). Raises BadInput."""
    readings, passed = _read(folders, say)
    say("setting them side by side")
    found = family(readings)
    found["notes"] += [f"{folder} is a family itself and was left out" for folder in passed]
    place = runlog.create(output_dir, f"{utc_now():%Y%m%dT%H%M%SZ}_{KIND}")
    found["folder"] = str(place)
    _keep(found, place)
    return found, place


def exit_code(found: Mapping[str, Any]) -> int:
    """Return 0: whoever is behind, the family was shown."""
    return 0


# ---- reading


def _read(folders: Sequence[Path], say: Say) -> tuple[list[Reading], list[Path]]:
    """Return what the folders tell, and which of them are families. Raises BadInput."""
    if not folders:
        fine = "expected folders of runs, gates, comparisons or measurements of perplexity"
        todo = "For example: harness family runs/GATE runs/PERPLEXITY."
        raise BadInput("family", "no folder is named", fine, todo)
    readings: list[Reading] = []
    passed, seen = list[Path](), set[Path]()
    for folder in folders:
        name, place = name_and_place(folder)
        if (place / FILE).is_file():
            passed.append(place)
        elif is_one(place):
            say(f"reading {place}")
            check_folder(place)
            readings += of_texts(place, name)
        elif is_evaluation(place):
            readings += of_tools(place, name)
        else:
            for run in runs_of(place):
                if run.folder.resolve() not in seen:
                    say(f"reading {run.folder}")
                    seen.add(run.folder.resolve())
                    readings.append(of_run(run.folder, name))
    return readings, passed


# ---- the object


def family(readings: Sequence[Reading]) -> Row:
    """Return family.json, but for its folder. Raises BadInput where there are not two members."""
    members = members_of(readings)
    if len(members) < 2:
        what = f"{members[0].label} of {members[0].model}" if members else "nobody"
        fine = "expected at least two members: models, or precisions of one"
        raise BadInput("family", f"these folders tell of {what} alone", fine, "Name more folders.")
    with_rouge(members)
    columns, twice = columns_of(members)
    standing = Standing()
    return {
        "schema": SCHEMA,
        "columns": [_column(column) for column in columns],
        "rows": [_row(one, columns) for one in members],
        "ranks": [
            {"figure": column.key, "among": among, "places": row.places, "open": row.open}
            for column in columns
            for among, row in places(standing, column)
        ],
        "disagreements": [one._asdict() for one in disagreements(standing, columns)],
        "agreements": [
            {**one._asdict(), "order": one.order._asdict()} for one in agreements(columns)
        ],
        "steps": [
            {**one._asdict(), "change": one.change._asdict()}
            for one in steps(standing, columns, members)
        ],
        "flips": [
            {**one._asdict(), "perplexity": one.perplexity._asdict()}
            for one in flips(standing, columns, members)
        ],
        "ways": list(_ways(columns)),
        "twice": [one._asdict() for one in twice],
        "notes": list(_notes(members, columns, twice)),
    }


def _column(column: Column) -> Row:
    figure = column.figure
    return {
        "key": column.key, "figure": column.name, "of": column.of, "label": figure.label,
        "unit": figure.unit, "better": figure.better, "terms": dict(column.terms),
        "other": column.other,
    }  # fmt: skip


def _row(member: Member, columns: Sequence[Column]) -> Row:
    facts = member.facts
    return {
        "label": member.label,
        "model": member.model,
        "variant": member.variant,
        "reference": member.reference.label if member.reference else "",
        **{name: facts[name] for name in FACTS},
        "figures": {
            column.key: {
                **column.told[member.label].value._asdict(),
                "n": column.told[member.label].n,
                "among": column.told[member.label].among,
                "folder": column.told[member.label].folder,
            }
            for column in columns
            if member.label in column.told
        },
        "problems": member.problems,
        "folders": list(dict.fromkeys(one.folder for one in member.readings)),
    }


def _ways(columns: Sequence[Column]) -> Iterator[Row]:
    """Yield the ways in which one thing was asked, where there are several."""
    for column in columns:
        if column.other:
            yield {
                "figure": column.name, "of": column.of, "column": column.key,
                "other": column.other, "labels": list(column.told),
            }  # fmt: skip


# ---- notes


def _notes(
    members: Sequence[Member], columns: Sequence[Column], twice: Sequence[Twice]
) -> Iterator[str]:
    yield from _of_ways(columns)
    heads = {column.key: column.figure.label for column in columns}
    for one in twice:
        left = ", ".join(one.left_out)
        yield f"{heads[one.column]} of {one.label} is that of {one.used}; left out: {left}"
    for member in members:
        yield from (f"{member.label}: {problem}" for problem in member.problems)
        if not any(member.label in column.told for column in columns):
            yield f"{member.label} has no figure: none of its folders tells one"
    yield from _of_tokenizers(columns)
    names = {column.name for column in columns}
    if not names & {"task_solved", "rougeL", "evaluated", "evaluated_lower"}:
        yield "no answers are known, so nothing shows whether likelihoods and tasks agree"
    elif not names & {"text_perplexity", "perplexity"}:
        yield "no likelihoods are known, so nothing shows whether they and the tasks agree"


def _of_ways(columns: Sequence[Column]) -> Iterator[str]:
    """Say what was asked in several ways, once for all figures of one thing."""
    said = dict.fromkeys(
        (column.of, tuple((one.other, tuple(one.told)) for one in columns
                          if (one.name, one.of) == (column.name, column.of)))
        for column in columns if column.other
    )  # fmt: skip
    for of, ways in said:
        told = "; ".join(f"{other} ({', '.join(labels)})" for other, labels in ways)
        yield f"{of} was asked in {len(ways)} ways, which do not compare: {told}"


def _of_tokenizers(columns: Sequence[Column]) -> Iterator[str]:
    per_token = [one for one in columns if one.name in ("text_perplexity", "perplexity")]
    if any(len(one.groups) > 1 for one in per_token):
        yield (
            "the models have different tokenizers: their perplexities do not rank, bits per byte do"
        )


# ---- the files


def _keep(found: Row, place: Path) -> None:
    from reports.pages.family import page

    files.write_json(place / FILE, found)
    with noted("family.html"):
        page.write(place, found)
