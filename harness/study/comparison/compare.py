"""Which variant is fastest, smallest, best, and may their figures stand side by side? Run folders
in, one object out.

The runs of a series of variants are made first, one after the other, each model in a process of its
own; a variant that fails becomes a row that says why, and the others go on. The first row is the
reference of every ratio.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from accuracy.gate.readings import Scorer, score_here
from harness import registry
from harness.cost.priced import priced
from harness.cost.terms import Terms
from harness.engine import runlog
from harness.engine.pieces import noted
from harness.kernel import files
from harness.kernel.clock import utc_now
from harness.kernel.errors import BadInput
from harness.kernel.protocols import Say
from harness.kernel.types import short_name
from harness.kernel.words.variant import named
from harness.live.watch import watching
from harness.result.device import slower
from harness.result.integrity import seal
from harness.running.start import fetch
from harness.study import loop
from harness.study.cells import MEANT, cells_of, deployment, numbered, varied
from harness.study.comparison import ranking, testing
from harness.study.comparison import verdict as compare_verdict
from harness.study.comparison.conditions import ENERGY
from harness.study.comparison.evidence import NONE, Evidence, gather, of_raw
from harness.study.comparison.likelihoods import is_one, joined, other_texts, subjects_of
from harness.study.comparison.ranking import known_of
from harness.study.comparison.rows import FIGURES, ROUGE, Row, failed_row, read_whole, row_of
from harness.study.comparison.sameness import other_prompts, other_weights
from harness.study.comparison.testing import Asked
from harness.study.effects.figures import Figure
from harness.study.scoring import scorer_of
from harness.study.study import Cell, Ended, Study, begin, tell_how_to_go_on

SCHEMA, KIND = "touchstone.compare/1", "compare"
_READERS = 2  # runs that are read side by side: more would be held in memory at once


def compare(
    rows: Sequence[Row],
    evidence: Sequence[Evidence] = (),
    names: Sequence[str] = (),
    varied: Sequence[str] = (),
    asked: Asked = testing.NOTHING,
    scorer: Scorer = score_here,
) -> dict[str, Any]:
    """One object with a verdict, whether the runs may be compared, and the rows with labels and
    ratios. `evidence` is that of each row; without any the figures stand alone. Without `names`
    each is called by its variant. Conditions of settings that were `varied` may differ. `asked`
    says what is tested and what an hour costs, `scorer` how the answers are scored.
    """
    given = names
    if names:
        names = [_called(name, row) for name, row in zip(names, rows, strict=True)]
    else:
        names = labels([(row["model"], row["variant"]) for row in rows])
    known = dict(zip(names, evidence, strict=False))
    keeping = compare_verdict.keeping_of(names, known, scorer)
    labelled: list[Row] = [
        {"label": label, "precision": "", **row, **_ratios(row, rows[0])}
        | compare_verdict.kept_facts(keeping[label], row is rows[0])
        | known_of(row, known.get(label, NONE), keeping[label])
        for label, row in zip(names, rows, strict=True)
    ]
    per_hour = asked.per_hour
    labelled = [
        row | priced(row, per_hour, name)
        for name, row in zip(given or names, labelled, strict=True)
    ]
    measured = [row for row in labelled if row["conditions"]]
    differences = [
        *_differences(measured, varied),
        *other_prompts(measured),
        *other_weights(measured),
        *other_texts(labelled),
    ]
    return {
        "schema": SCHEMA,
        "comparable": not differences,
        "differences": differences,
        "verdict": compare_verdict.judge(labelled, known, keeping),
        "best": ranking.of_rows(labelled, known, keeping),
        **testing.tests(labelled, known, _with_varied(asked, varied)),
        "rows": labelled,
        **_notes(labelled),
        **({"price_per_hour": per_hour.to_json()} if per_hour else {}),
    }


def _with_varied(asked: Asked, varied: Sequence[str]) -> Asked:
    """Return it so that hardware may differ where the user varied it."""
    return asked._replace(across_hardware=asked.across_hardware or "device" in varied)


def _called(name: str, row: Row) -> str:
    """Return the name of a cell, with what the variant's own name does not tell."""
    return named(name, str(row.get("precision") or ""))


def _notes(rows: Sequence[Row]) -> dict[str, list[str]]:
    """Say which runs were edited, of which nobody can tell, and which variants are slower than
    they should be; nothing if there are none.
    """
    notes = [f"{row['label']}: {row['edited']}" for row in rows if row.get("edited")]
    if unsealed := [row["label"] for row in rows if row.get("seal") == "not sealed"]:
        notes.append(f"{seal.UNSEALED} ({', '.join(unsealed)})")
    notes += _doubtful(rows)
    found = {"notes": notes, "slower": slower.notes(rows)}
    return {name: said for name, said in found.items() if said}


def _doubtful(rows: Sequence[Row]) -> list[str]:
    """Say which runs are shaky, and why: the serious doubts of each."""
    found = []
    for row in rows:
        serious = [one["words"] for one in row.get("doubts", ()) if one["severity"] == "serious"]
        if serious:
            more = f"; and {len(serious) - 1} more" if len(serious) > 1 else ""
            found.append(f"{row['label']} is shaky: {serious[0]}{more}")
    return found


def _ratios(row: Row, reference: Row) -> dict[str, float | None]:
    """By the figures alone; the answers, where they are known, tell more."""
    return {
        "speed_ratio": _ratio(row, reference, "tokens_per_s"),
        "weights_ratio": _ratio(row, reference, "weights_bytes"),
        "rouge_ratio": _rouge_ratio(row, reference),
        "tokens_ratio": None,
    }


def exit_code(found: Mapping[str, Any]) -> int:
    """0 only if every variant has a valid run, they may be compared, and the limits are kept."""
    if found["interrupted"]:
        return 130
    is_valid = found["comparable"] and all(row["status"] == "VALID" for row in found["rows"])
    return 0 if is_valid and testing.are_kept(found) else 1


def _ratio(row: Row, reference: Row, key: str) -> float | None:
    return row[key] / reference[key] if row[key] is not None and reference[key] else None


def _rouge_ratio(row: Row, reference: Row) -> float | None:
    """The kind that lost most, as a share of the reference's."""
    ratios = [_ratio(row, reference, kind) for kind in ROUGE]
    return min(r for r in ratios if r is not None) if None not in ratios else None


def labels(of: Sequence[tuple[str, str]]) -> list[str]:
    """For (model, variant) each: the variant; with its model where these differ, with a number
    where that is not enough.
    """
    several = len({model for model, _ in of}) > 1
    names = [f"{model} {variant}" if several else variant for model, variant in of]
    return numbered(names)


def _differences(rows: Sequence[Row], varied: Sequence[str]) -> list[str]:
    """Name each condition that is not the same everywhere, and who has which; but not those that
    the user varied.
    """
    meant = {name for setting in varied for name in MEANT.get(setting, ())}
    conditions = dict.fromkeys(name for row in rows for name in row["conditions"])
    found = []
    for name in [name for name in conditions if name not in meant]:
        who: dict[str, list[str]] = {}
        for row in rows:
            if name == ENERGY and name not in row["conditions"]:
                continue  # it has no figure to compare
            who.setdefault(row["conditions"].get(name, "-"), []).append(row["label"])
        if len(who) > 1:
            found.append(
                f"{name}: "
                + "; ".join(f"{value} ({', '.join(labels)})" for value, labels in who.items())
            )
    return found


class Series(NamedTuple):
    """What to compare, checked: rows of finished runs, or cells to be measured. The folder is named
    for `what`.
    """

    rows: list[Row]
    cells: list[Cell]
    output_dir: Path
    what: str = ""
    varied: Sequence[str] = ()
    executor: str = "here"
    asked: Asked = testing.NOTHING
    evidence: Mapping[str, Evidence] = MappingProxyType({})  # of finished runs, by their folders


def series(
    folders: Sequence[Path],
    flags: Mapping[str, Any],
    variants: str | None,
    asked: Asked = testing.NOTHING,
) -> Series:
    """Check everything before the first run begins. Raises BadInput."""
    given = {name: value for name, value in flags.items() if value is not None}
    _ = asked.limits
    if folders:
        rows, evidence = _finished(folders, given, variants, asked.figures)
        testing.refuse_other_hardware(rows, asked)
        names = labels([(row["model"], row["variant"]) for row in rows])
        _check_prices(asked, [*names, *(row["variant"] for row in rows)], rows)
        place = Path(given.get("output_dir", "runs"))
        varied_ones = ("device",) if asked.across_hardware else ()
        return Series(rows, [], place, varied=varied_ones, asked=asked, evidence=evidence)
    settings = varied(given)
    if variants is None and "variant" not in given and not settings:
        fine = "expected run folders, --variants, or a setting with several values"
        todo = "For example: --variants fp32,bf16."
        raise BadInput("compare", "nothing to compare is named", fine, todo)
    cells = cells_of(given, variants)
    made = [{"model": short_name(cell.config.model)} for cell in cells]
    _check_prices(asked, [name for c in cells for name in (c.name, deployment(c.config))], made)
    config = cells[0].config
    what = short_name(config.model)
    if not registry.sut_entry(config.sut).runs_model:
        what = config.sut.replace(":", ".")
    return Series([], cells, config.output_dir, what, settings, asked=asked)


def _check_prices(asked: Asked, names: Sequence[str], rows: Sequence[Row]) -> None:
    """Refuse a price of what is not compared. Raises BadInput."""
    models = [str(row["model"]) for row in rows]
    Terms(per_hour=asked.per_hour).check_names(dict.fromkeys([*names, *models]))


def _finished(
    folders: Sequence[Path],
    given: Mapping[str, Any],
    variants: str | None,
    figures: Sequence[Figure],
) -> tuple[list[Row], dict[str, Evidence]]:
    """Read finished runs, with which no settings can be given, each once: their rows, and the
    evidence by folder. Raises BadInput.
    """
    others = [f"--{name.replace('_', '-')}" for name in given if name != "output_dir"] + [
        "--variants"
    ] * (variants is not None)
    if others:
        raise BadInput(
            "compare",
            f"finished runs are given together with {', '.join(others)}",
            "expected one or the other",
            "Leave the flags or the runs out.",
        )
    subjects = [row for folder in folders if is_one(folder) for row in subjects_of(folder)]
    runs = [folder for folder in folders if not is_one(folder)]
    with ThreadPoolExecutor(_READERS) as pool:  # numpy and Parquet let other threads work
        read = list(pool.map(partial(_read, figures=figures), runs))
    evidence = {row["run"]: found for row, found in read if found is not None}
    return joined([row for row, _ in read], subjects, dict.fromkeys(FIGURES)), evidence


def _read(folder: Path, figures: Sequence[Figure]) -> tuple[Row, Evidence | None]:
    """Return the row of a finished run, and what it knows; None where that cannot be read."""
    row, raw = read_whole(folder)
    if raw is None:
        return row, None
    with suppress(BadInput):
        return row, of_raw(raw, folder, row["status"], row["reason"], figures)
    return row, None


def run(series: Series, say: Say, told: Callable[[Row], None]) -> tuple[dict[str, Any], Path]:
    """(the comparison, its folder with compare.json and compare.html). `told` hears of each new row
    at once.

    Ctrl-C ends the series and keeps its rows; without any it is raised.
    """
    if not series.cells:
        place = runlog.create(series.output_dir, f"{utc_now():%Y%m%dT%H%M%SZ}_{KIND}")
        known = [series.evidence.get(row["run"], NONE) for row in series.rows]
        return _written(
            series.rows, known, [], False, place, say, varied=series.varied, asked=series.asked
        )
    fetch([cell.config for cell in series.cells], say)
    arguments = {"varied": list(series.varied), "executor": series.executor}
    if series.asked.fail_if:
        names = ("fail_if", "allow_inconclusive")
        arguments |= {name: getattr(series.asked, name) for name in names}
    if series.asked.price_per_hour:
        arguments["price_per_hour"] = series.asked.price_per_hour
    study = begin(KIND, arguments, series.cells, series.output_dir, series.what)
    return go_on(study, say, told)


def go_on(study: Study, say: Say, told: Callable[[Row], None]) -> tuple[dict[str, Any], Path]:
    """Measure the cells of a study that have not ended, and compare all: see `run`."""
    varied = study.read(lambda saved: tuple(saved.get("varied", ())))
    asked = study.read(testing.asked_of)

    def hear(cell: Cell, ended: Ended) -> None:
        found = _row(study, cell, ended)
        told({"label": _called(cell.name, found), **found})

    with study, watching(study, say, hear) as watcher:
        measured = loop.measure(study, study.cells, say, row_of, watcher)
        rows = [_row(study, cell, ended) for cell, ended in measured.rows]
        if not rows:
            tell_how_to_go_on(study.place)
            raise KeyboardInterrupt
        names = [cell.name for cell, _ in measured.rows]
        not_run = [cell.name for cell in study.cells if cell.name not in names]
        say("comparing the answers")
        known = [_evidence(row, asked.figures) for row in rows]
        about = measured.interrupted, study.place, say, names, varied, asked, scorer_of(study)
        return _written(rows, known, not_run, *about)


def _row(study: Study, cell: Cell, ended: Ended) -> Row:
    """The row of a cell; its run is where the study's folder is now."""
    if not ended.run:
        return failed_row(cell.config, ended.reason)
    return ended.figures | {"run": str((study.place / ended.run).resolve())}


def _written(
    rows: Sequence[Row],
    known: Sequence[Evidence],
    not_run: Sequence[str],
    interrupted: bool,
    place: Path,
    say: Say,
    names: Sequence[str] = (),
    varied: Sequence[str] = (),
    asked: Asked = testing.NOTHING,
    scorer: Scorer = score_here,
) -> tuple[dict[str, Any], Path]:
    found = compare(rows, known, names, varied, asked, scorer)
    found |= {"interrupted": interrupted, "not_run": list(not_run), "folder": str(place)}
    _keep(found, place)
    return found, place


def _evidence(row: Row, figures: Sequence[Figure]) -> Evidence:
    if not row["run"]:
        return NONE
    return gather(Path(row["run"]), row["status"], row["reason"], figures)


def _keep(found: dict[str, Any], place: Path) -> None:
    """compare.json and compare.html; runs inside the folder are named from there, so that it can be
    moved.
    """
    from reports.pages import compare as page

    for row in found["rows"]:
        if row["run"] and Path(row["run"]).is_relative_to(place.resolve()):
            row["run"] = str(Path(row["run"]).relative_to(place.resolve()))
    files.write_json(place / "compare.json", found)
    with noted("compare.html"):
        page.write(place, found)
