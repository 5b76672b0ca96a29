"""May this faster variant go live? An accuracy run of the reference and of each candidate in, a
verdict per candidate out.

The runs are made first, or read from finished folders (`harness.study.gating.panel`). Each
candidate is read in two ways (`accuracy.gate.readings`), both are shown, and one of them decides.
The control is the reference once more in batches of another size: what it loses is rounding, and a
target finer than that cannot be told from it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from accuracy.gate import ratios as gate
from accuracy.gate.metrics import METRICS
from accuracy.gate.outputs import Outputs
from accuracy.gate.ratios import Progress, Verdict, share_key
from accuracy.gate.readings import Criteria, Reference, Row
from harness import console
from harness.engine import runlog
from harness.engine.pieces import noted
from harness.kernel import files
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
from harness.study.gating.job import Job, Source, check_reference
from harness.study.gating.panel import Other, Panel
from harness.study.scoring import scorer_of
from harness.study.study import Cell, Study, begin

SCHEMA, KIND = "touchstone.gate/1", "gate"
REFERENCE, CONTROL = "reference", "control"  # names of cells
_NO_CONTROL = (
    "no control run: how much the reference itself changes with the size of its batches is not"
    " known"
)


# ---- from the job to the page


def run(job: Job, say: Say, told: Callable[[Row], None]) -> tuple[dict[str, Any], Path]:
    """(the object, its folder with gate.json and gate.html). `told` hears of each judged run at
    once.

    Ctrl-C ends the series and keeps what was judged.
    """
    configs = [made for made in (job.reference, *job.candidates) if isinstance(made, RunConfig)]
    fetch(configs, say)
    if not configs:
        place = runlog.create(job.output_dir, f"{utc_now():%Y%m%dT%H%M%SZ}_{KIND}")
        return _judge_all(job, Source(place, None), say, told)
    asked = {"asked": job.asked._asdict(), "control": job.control}
    arguments = asked | {"executor": job.executor}
    study = begin(KIND, arguments, _cells(job, configs), job.output_dir, job.what)
    return _measure_all(job, study, say, told)


def go_on(study: Study, say: Say, told: Callable[[Row], None]) -> tuple[dict[str, Any], Path]:
    """Measure the cells of a study that have not ended, and judge all: see `run`."""
    reference, *others = study.cells
    candidates = [cell.config for cell in others if cell.name != CONTROL]
    asked, control = study.read(lambda saved: (_criteria(saved), bool(saved["control"])))
    what = short_name(reference.config.model)
    job = Job(reference.config, candidates, control, asked, study.place.parent, what)
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
    """Return what was asked for. Raises ValueError for a metric that is none."""
    asked = Criteria(**saved["asked"])
    if asked.metric not in METRICS:
        raise ValueError(asked.metric)
    return asked


def _cells(job: Job, configs: Sequence[RunConfig]) -> list[Cell]:
    """The reference, itself again in other batches, and the candidates."""
    reference, *candidates = configs
    control = [Cell(CONTROL, reference, needs=REFERENCE)] if job.control else []
    named = [
        Cell(_name_of(i, config), config, needs=REFERENCE) for i, config in enumerate(candidates, 1)
    ]
    return [Cell(REFERENCE, reference), *control, *named]


def _name_of(number: int, candidate: Outputs | RunConfig) -> str:
    return f"candidate {number}: {_named(candidate)}"


def _judge_all(
    job: Job, source: Source, say: Say, told: Callable[[Row], None]
) -> tuple[dict[str, Any], Path]:
    scored, interrupted = _reference(job, source, say)
    panel = Panel(scored, list(_others(job, scored.outputs)), source, say, told)
    if not interrupted:
        interrupted = panel.judge()
    names = [_name_of(number, candidate) for number, candidate in enumerate(job.candidates, 1)]
    rows = [panel.rows[name] for name in names if name in panel.rows]
    found = _found(scored, rows, panel.rows.get(CONTROL))
    left = zip(names, job.candidates, strict=True)
    found |= {
        "interrupted": interrupted,
        "not_run": [_named(candidate) for name, candidate in left if name not in panel.rows],
        "folder": str(source.place),
    }
    _keep(found, source.place)
    return found, source.place


def _reference(job: Job, source: Source, say: Say) -> tuple[Reference, bool]:
    """Return what all are held against, and whether the user wants no more. Without a reference
    there is no gate: what is raised leaves no empty folder behind.
    """
    say(f"reference: {_named(job.reference)}")
    try:
        reference, interrupted = source.outputs(REFERENCE, job.reference, say)
        check_reference(reference)
        reference = replace(reference, label=named(reference.label, reference.precision))
        scorer = scorer_of(source.study)
        return Reference(reference, job.asked, _bar(say), scorer), interrupted
    except (HarnessError, KeyboardInterrupt) as fault:
        source.forget(fault)
        raise


def _in_other_batches(job: Job, reference: Outputs) -> RunConfig | None:
    """Return the settings of the control; None where there is none to be made."""
    if not job.control or reference.problem or isinstance(job.reference, Outputs):
        return None
    return job.reference.model_copy(update={"max_concurrency": other_rows(reference)})


def _others(job: Job, reference: Outputs) -> Iterator[Other]:
    """Yield what is held against the reference: itself in other batches, and the candidates."""
    if (again := _in_other_batches(job, reference)) is not None:
        words = f"control: {reference.label} in batches of {again.max_concurrency}"
        yield Other(CONTROL, f"{reference.label} (control)", again, words)
    for number, candidate in enumerate(job.candidates, 1):
        label = _named(candidate)
        words = f"candidate {number} of {len(job.candidates)}: {label}"
        yield Other(_name_of(number, candidate), label, candidate, words)


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


# ---- what comes out


def _found(scored: Reference, rows: Sequence[Row], control: Row | None) -> dict[str, Any]:
    """The object, but for what is known at the end only."""
    reference, asked = scored.outputs, scored.criteria
    everybody = [reference.notes, *(row["notes"] for row in filter(None, (control, *rows)))]
    cautions = [*_cautions(scored), *([] if control else [_NO_CONTROL])]
    return {
        "schema": SCHEMA,
        "status": gate.join([Verdict(row["status"], row["official"]) for row in rows]).status,
        "target": {
            "name": asked.target,
            "share": asked.share,
            "key": share_key(asked.share),
            "published": dict(asked.published.rouge) if asked.published else {},
            "unjudged": list(asked.published.unjudged) if asked.published else [],
        },
        "metric": scored.metric.name,
        "against": scored.against,
        "why": scored.why,
        "confidence": asked.confidence,
        "resamples": asked.resamples,
        "dataset": reference.dataset,
        "answers": len(scored.answered),
        "conditions": dict(reference.terms),
        "reference": {
            "label": reference.label,
            "model": reference.model,
            "variant": reference.variant,
            "run": reference.run,
            "problem": reference.problem,
            "n": len(reference.index),
            "rows_in_batch": reference.rows,
            "empty": reference.empty,
            "tokens_per_s": reference.tokens_per_s,
            "peak_bytes": reference.peak_bytes,
            "tokens_per_sample": float(reference.tokens.mean()) if len(reference.tokens) else None,
            "rouge": scored.mean_rouge,
        },
        "control": control,
        "rows": list(rows),
        "notes": list(dict.fromkeys([*cautions, *(note for notes in everybody for note in notes)])),
    }


def _cautions(scored: Reference) -> Iterator[str]:
    n, answers, target = len(scored.outputs.index), len(scored.answered), scored.criteria.published
    if n < gate.FEW:
        few = f"{n} samples are few: with fewer than {gate.FEW}"
        yield f"{few}, the intervals are narrower than stated"
    if 0 < answers < n:
        yield (
            f"{n - answers} of {n} samples have no answer in the dataset and are left out of"
            " that comparison"
        )
    if words := scored.covered.words:
        yield words
    if target is not None:
        yield f"the figures of {scored.criteria.target} only count on MLPerf's own data"
        if target.unjudged:
            yield f"MLPerf asks for {', '.join(target.unjudged)} too, which is not judged here"


def _keep(found: dict[str, Any], place: Path) -> None:
    """gate.json and gate.html; runs inside the folder are named from there, so that it can be
    moved.
    """
    from reports.pages import gate as page

    for row in filter(None, (found["reference"], found["control"], *found["rows"])):
        if row["run"] and Path(row["run"]).resolve().is_relative_to(place.resolve()):
            row["run"] = str(Path(row["run"]).resolve().relative_to(place.resolve()))
    files.write_json(place / "gate.json", found)
    with noted("gate.html"):
        page.write(place, found)
