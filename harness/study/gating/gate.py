"""May this faster variant go live? An accuracy run of the reference and of each candidate in, a
verdict per candidate out.

The runs are made first, or read from finished folders (`harness.study.gating.panel`). Each
candidate is read in two ways (`accuracy.gate.readings`), both are shown, and one of them decides.
The control is the reference once more in batches of another size: what it loses is rounding, and a
target finer than that cannot be told from it. Where answers are drawn, it is the reference drawn
again: what it loses is chance.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any

from accuracy.gate.outputs import Outputs
from accuracy.gate.ratios import Progress
from accuracy.gate.readings import Criteria, Reference, Row
from accuracy.gate.solving import Solving
from accuracy.tasks.errors import analysis
from harness import console
from harness.engine import runlog
from harness.kernel.clock import utc_now
from harness.kernel.errors import HarnessError, SetupFailed
from harness.kernel.process import board
from harness.kernel.protocols import Say
from harness.kernel.types import short_name
from harness.kernel.words.variant import named
from harness.live.tally import Tally
from harness.options.settings import RunConfig
from harness.running.start import fetch
from harness.study.cells import deployment
from harness.study.gating.asked import check_metric
from harness.study.gating.found import joined, keep, of_part
from harness.study.gating.job import (
    Job,
    Source,
    configs_of,
    named_apart,
    part_of,
)
from harness.study.gating.panel import Other, Panel
from harness.study.gating.part import Judged, Part, check_reference
from harness.study.scoring import scorer_of
from harness.study.study import Cell, Study, begin

KIND = "gate"
REFERENCE, CONTROL = "reference", "control"  # names of cells


# ---- from the job to the page


def run(job: Job, say: Say, told: Callable[[Row], None]) -> tuple[dict[str, Any], Path]:
    """(the object, its folder with gate.json and gate.html). `told` hears of each judged run at
    once.

    Ctrl-C ends the series and keeps what was judged.
    """
    configs = configs_of(job.parts)
    fetch(configs, say)
    if not configs:
        place = runlog.create(job.output_dir, f"{utc_now():%Y%m%dT%H%M%SZ}_{KIND}")
        return _judge_all(job, Source(place, None), say, told)
    asked = {"asked": job.asked._asdict(), "control": job.control}
    arguments = asked | {"executor": job.executor}
    study = begin(KIND, arguments, _cells(job), job.output_dir, job.what)
    return _measure_all(job, study, say, told)


def go_on(study: Study, say: Say, told: Callable[[Row], None]) -> tuple[dict[str, Any], Path]:
    """Measure the cells of a study that have not ended, and judge all: see `run`."""
    asked, control = study.read(lambda saved: (_criteria(saved), bool(saved["control"])))
    parts = []
    for _, cells in groupby(study.cells, lambda cell: cell.config.task):
        reference, *others = [cell.config for cell in cells]
        parts.append(part_of([reference, *others[control:]], asked))
    what = short_name(study.cells[0].config.model)
    job = Job(named_apart(parts), control, asked, study.place.parent, what)
    return _measure_all(job, study, say, told)


def _measure_all(
    job: Job, study: Study, say: Say, told: Callable[[Row], None]
) -> tuple[dict[str, Any], Path]:
    """Judge all, and let a screen show how far it is."""
    with study, board.clean():
        failed = sum(not row.run for row in study.ended.values())
        tally = Tally(KIND, len(study.cells), len(study.ended), failed)
        return _judge_all(job, Source(study.place, study, tally), say, told)


def _criteria(saved: Mapping[str, Any]) -> Criteria:
    """Return what was asked for. Raises BadInput for a metric that is none."""
    asked = Criteria(**saved["asked"])
    check_metric(asked.metric)
    return asked


def _cells(job: Job) -> list[Cell]:
    """For each task the reference, itself again in other batches, and the candidates."""
    return [cell for part in job.parts for cell in _cells_of(part, job.control)]


def _cells_of(part: Part, control: bool) -> Iterator[Cell]:
    reference, *candidates = configs_of([part])
    needs = part.cell(REFERENCE)
    yield Cell(needs, reference)
    if control:
        yield Cell(part.cell(CONTROL), reference, needs=needs)
    for number, config in enumerate(candidates, 1):
        yield Cell(_name_of(part, number, config), config, needs=needs)


def _name_of(part: Part, number: int, candidate: Outputs | RunConfig) -> str:
    return part.cell(f"candidate {number}: {_named(candidate)}")


def _judge_all(
    job: Job, source: Source, say: Say, told: Callable[[Row], None]
) -> tuple[dict[str, Any], Path]:
    beside, interrupted = _references(job, source, say)
    known = [part for part in job.parts if part.name in beside]
    others = [other for part in known for other in _others(job, part, beside[part.name])]
    panel = Panel(others, source, job.asked.metric, say, told)
    if not interrupted:
        interrupted = panel.judge()
    judged = [_judged(part, beside[part.name], panel.rows) for part in known]
    found = joined(judged) if judged[0].name else of_part(judged[0])
    found |= {
        "interrupted": interrupted,
        "not_run": list(_not_run(job, panel.rows)),
        "folder": str(source.place),
        "notes": [*(note for part in job.parts for note in part.notes), *found["notes"]],
    }
    keep(found, source.place)
    return found, source.place


def _judged(part: Part, beside: Reference | Solving, rows: Mapping[str, Row]) -> Judged:
    names = [_name_of(part, number, each) for number, each in enumerate(part.candidates, 1)]
    return Judged(part.name, beside, rows.get(part.cell(CONTROL)), [rows.get(n) for n in names])


def _not_run(job: Job, rows: Mapping[str, Row]) -> Iterator[str]:
    for part in job.parts:
        for number, candidate in enumerate(part.candidates, 1):
            if _name_of(part, number, candidate) not in rows:
                yield part.cell(_named(candidate))


def _references(job: Job, source: Source, say: Say) -> tuple[dict[str, Reference | Solving], bool]:
    """Return what all are held against, by the name of the task, and whether the user wants no
    more. Without a reference there is no gate: what is raised leaves no empty folder behind.
    """
    beside: dict[str, Reference | Solving] = {}
    interrupted = False
    for part in job.parts:
        if not interrupted:
            beside[part.name], interrupted = _reference(job, part, source, say)
    return beside, interrupted


def _reference(job: Job, part: Part, source: Source, say: Say) -> tuple[Reference | Solving, bool]:
    say(part.cell(f"reference: {_named(part.reference)}"))
    try:
        cell, metric = part.cell(REFERENCE), job.asked.metric
        reference, interrupted = source.outputs(cell, part.reference, metric, say)
        check_reference(reference)
        reference = replace(reference, label=named(reference.label, reference.precision))
        if part.scorer:
            return Solving(reference, job.asked, part.scorer, analysis), interrupted
        scorer = scorer_of(source.study)
        return Reference(reference, job.asked, _bar(say), scorer), interrupted
    except (HarnessError, KeyboardInterrupt) as fault:
        source.forget(fault)
        raise


def _others(job: Job, part: Part, beside: Reference | Solving) -> Iterator[Other]:
    """Yield what is held against the reference: itself once more, and the candidates."""
    reference = beside.outputs
    if (again := _control(job, part, reference)) is not None:
        how = _again(again)
        words, label = f"control: {reference.label} {how}", f"{reference.label} (control)"
        yield Other(part.cell(CONTROL), label, again, part.cell(words), beside, part.name, True)
    for number, candidate in enumerate(part.candidates, 1):
        label = _named(candidate)
        words = part.cell(f"candidate {number} of {len(part.candidates)}: {label}")
        cell = _name_of(part, number, candidate)
        yield Other(cell, label, candidate, words, beside, part.name)


def _control(job: Job, part: Part, reference: Outputs) -> Outputs | RunConfig | None:
    """Return the control, or its settings: other batches, or where answers are drawn, which batches
    hardly change, other seeds. None where there is none.
    """
    if part.control is not None:
        return part.control
    if not job.control or reference.problem or isinstance(part.reference, Outputs):
        return None
    if part.reference.temperature:
        seed = part.reference.sampling_seed
        return part.reference.model_copy(update={"sampling_seed": seed - 1 if seed else 1})
    return part.reference.model_copy(update={"max_concurrency": other_rows(reference)})


def _again(control: Outputs | RunConfig) -> str:
    """Say how the reference was run once more."""
    if isinstance(control, Outputs):
        return control.run
    if control.temperature:
        return f"drawn again, with --sampling-seed {control.sampling_seed}"
    return f"in batches of {control.max_concurrency}"


def other_rows(reference: Outputs) -> int:
    """Requests in a batch that make batches other than the reference's, also where all its samples
    fit into one.
    """
    rows = min(reference.rows, len(reference.index))
    return rows // 2 if rows > 1 else 2


def exit_code(found: Mapping[str, Any]) -> int:
    """0 only if every candidate passes; 3 if none could be measured and a set-up is to blame."""
    if found["interrupted"]:
        return 130
    rows = found["rows"]
    if (
        rows
        and all(row["failure"] for row in rows)
        and any(row["failure"] == SetupFailed.__name__ for row in rows)
    ):
        return SetupFailed.exit_code
    return 0 if rows and all(row["status"] == "PASS" for row in rows) else 1


# ---- what a screen shows


def _named(what: Outputs | RunConfig) -> str:
    return what.label if isinstance(what, Outputs) else deployment(what)


@contextmanager
def _progress(say: Say, what: str, total: int) -> Iterator[Progress]:
    """Show a progress bar once what was said before stands on a line of its own."""
    say("")
    with console.bar(what, total) as progress:
        yield progress


def _bar(say: Say) -> Callable[[str, int], Any]:
    return lambda what, total: _progress(say, what, total)
