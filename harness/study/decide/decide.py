"""Which deployment should be used, on how many servers, at what cost, and how sure is that? Makes
the runs that the answer needs, in the order of what they cost, and no others.

A deployment that has certainly missed a requirement is not measured further; nor, at the last
stage, is one that is certainly worse than another which has kept every requirement. The reference
of a quality is measured as long as somebody needs it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.engine import runlog
from harness.engine.pieces import noted
from harness.kernel import files
from harness.kernel.clock import utc_now
from harness.kernel.errors import SetupFailed
from harness.kernel.process import board
from harness.kernel.protocols import Say
from harness.live.tally import Tally
from harness.running.start import fetch
from harness.study import loop
from harness.study.comparison.rows import failed_row
from harness.study.decide.answer import answer
from harness.study.decide.choice import choose, rank, surely_worse
from harness.study.decide.known import finished
from harness.study.decide.known.facts import Kept, kept_of
from harness.study.decide.known.standing import Standing, Told
from harness.study.decide.plan import Job, cell_name, label_of, reference_of
from harness.study.decide.wishes.figures import Stage
from harness.study.decide.wishes.wanted import Asked, Wanted, wanted
from harness.study.study import Cell, Ended, Study, begin, tell_how_to_go_on

KIND = "decide"
Found = dict[str, Any]
Heard = Callable[[dict[str, Any]], None]


def run(job: Job, say: Say, told: Heard) -> tuple[Found, Path]:
    """(the decision, its folder with decide.json and decide.html). `told` hears of each new run."""
    fetch([cell.config for cell in job.cells], say)
    arguments = {
        "asked": job.asked._asdict(),
        "varied": list(job.varied),
        "executor": job.executor,
    }
    return go_on(begin(KIND, arguments, job.cells, job.output_dir, job.what), say, told)


def go_on(study: Study, say: Say, told: Heard) -> tuple[Found, Path]:
    """Measure what a decision still needs, and decide: see `run`."""
    asked, changed = study.read(
        lambda saved: (Asked(**saved["asked"]), tuple(saved.get("varied", ())))
    )
    with study, board.clean():
        deciding = _Deciding(study, wanted(asked), say, told)
        is_interrupted = deciding.measure()
        if not any(one.runs for one in deciding.standings):
            tell_how_to_go_on(study.place)
            raise KeyboardInterrupt
        found = answer(deciding.standings, deciding.wanted, changed)
        found |= {"interrupted": is_interrupted, "folder": str(study.place)}
        keep(found, study.place)
        return found, study.place


def from_finished(folders: Sequence[Path], asked: Wanted, output_dir: Path) -> tuple[Found, Path]:
    """Decide by finished runs: see `run`. Raises BadInput."""
    standings = finished.standings(folders, asked.measures)
    asked.terms.check_names(dict.fromkeys(name for one in standings for name in one.names if name))
    by_label = {one.label: one for one in standings}
    for one in standings:
        one.update(asked, by_label[one.reference])
    found = answer(standings, asked)
    place = runlog.create(output_dir, f"{utc_now():%Y%m%dT%H%M%SZ}_{KIND}")
    found |= {"interrupted": False, "folder": str(place)}
    keep(found, place)
    return found, place


class _Deciding:
    """The standings of all deployments while they are measured, and the watcher of the loop."""

    def __init__(self, study: Study, asked: Wanted, say: Say, told: Heard) -> None:
        self.wanted = asked
        self._study, self._say, self._told = study, say, told
        self._known = set(study.ended)
        self._cells = {cell.name: cell for cell in study.cells}
        self._began = 0
        failed = sum(not row.run for row in study.ended.values())
        self._tally = Tally(KIND, len(study.cells), len(study.ended), failed)
        self._by_label = _standings(study)

    @property
    def standings(self) -> list[Standing]:
        return list(self._by_label.values())

    def measure(self) -> bool:
        """Measure stage after stage; return whether the user wants no more."""
        for stage in self.wanted.stages:
            last = stage == self.wanted.stages[-1]
            is_stopped = self._one_by_one(stage) if last else self._all(stage)
            if is_stopped:
                return True
        return False

    def _all(self, stage: Stage) -> bool:
        return self._measure(stage, [one for one in self.standings if self._is_needed(one, stage)])

    def _one_by_one(self, stage: Stage) -> bool:
        """Measure the most promising first, so that those behind it need not be."""
        sought = self.wanted.objective
        needed = [one for one in self.standings if self._is_needed(one, stage)]
        promising = rank(needed, sought)
        if self.wanted.measure_all or len(promising) < len(needed) or stage == "quality":
            return self._measure(stage, needed)
        for one in promising:
            best = choose(self.standings, sought).answer
            if best is not None and best.has(stage) and surely_worse(one, best, sought):
                one.set_aside = f"{best.label} keeps every requirement and is surely better"
                one.not_run.append(stage)
            elif self._measure(stage, [one]):
                return True
        return False

    def _is_needed(self, one: Standing, stage: Stage) -> bool:
        others = [other for other in self.standings if other is not one and other.is_open]
        is_reference = stage == "quality" and any(o.reference == one.label for o in others)
        if one.is_open or is_reference:
            return True
        one.not_run.append(stage)
        return False

    def _measure(self, stage: Stage, standings: Sequence[Standing]) -> bool:
        """Measure a stage of some deployments; return whether the user wants no more."""
        cells = [self._cells[cell_name(one.label, stage)] for one in standings]
        measured = loop.measure(self._study, cells, self._say, kept_of, self)
        done = {cell.name for cell, _ in measured.rows}
        for one in standings:
            if cell_name(one.label, stage) not in done:
                one.not_run.append(stage)
        self._update()
        return measured.interrupted

    def _update(self) -> None:
        for one in self.standings:
            if one.runs:
                one.update(self.wanted, self._by_label[one.reference])

    def began(self, cell: Cell) -> None:
        self._began += 1
        self._tally.began(cell.name)
        self._say(f"run {self._began} of at most {len(self._cells)}: {cell.name}")

    def ended(self, cell: Cell, row: Ended) -> None:
        label, stage = label_of(cell.name)
        kept = _kept(cell, row)
        folder = (self._study.place / row.run).resolve() if row.run else None
        self._by_label[label].add(stage, Told(kept, folder), self.wanted.measures)
        if cell.name in self._known:
            self._began += 1
            return
        self._known.add(cell.name)
        self._tally.ended(cell.name, is_failed=not row.run)
        self._told({"label": cell.name, **kept})


def _standings(study: Study) -> dict[str, Standing]:
    """Return an empty standing for each deployment, in order."""
    found, references = dict[str, Standing](), dict[str, str]()
    for cell in study.cells:
        label, _ = study.read(lambda _, name=cell.name: label_of(name))  # type: ignore[misc]
        reference = references.setdefault(reference_of(cell.config), label)
        found.setdefault(label, Standing(label, reference))
    return found


def _kept(cell: Cell, row: Ended) -> Kept:
    """Return what is kept of a run; of one that could not be made, its reason."""
    if row.run:
        return row.figures
    known = failed_row(cell.config, row.reason)
    return known | {"scenario": cell.config.scenario, "mode": cell.config.mode}


def keep(found: Found, place: Path) -> None:
    """Write decide.json and decide.html; runs inside the folder are named from there, so that it
    can be moved.
    """
    from reports.pages.decide import page

    for candidate in found["candidates"]:
        candidate["runs"] = {
            stage: _from(place.resolve(), run) for stage, run in candidate["runs"].items()
        }
    files.write_json(place / "decide.json", found)
    with noted("decide.html"):
        page.write(place, found)


def _from(place: Path, run: str) -> str:
    path = Path(run)
    return str(path.relative_to(place)) if run and path.is_relative_to(place) else run


def exit_code(found: Mapping[str, Any]) -> int:
    """0 if there is an answer, 1 if nothing fits or the answer rests on a run that is INVALID, 3 if
    no run could be made.
    """
    if found["interrupted"]:
        return 130
    chosen = [one for one in found["candidates"] if one["label"] == found["answer"]]
    if chosen:
        return 1 if chosen[0]["doubts"] else 0
    has_runs = any(any(one["runs"].values()) for one in found["candidates"])
    return 1 if has_runs else SetupFailed.exit_code
