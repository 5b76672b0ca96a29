"""How does a run in several parts go on after Ctrl-C, a crash or SIGKILL? A search for the highest
rate is one, a submission another.

The folder of such a run is a study as well: study.json says how it began, and rows.jsonl has a row
for each part that ended. A part that broke or was interrupted has none and is measured again. The
rates of a search follow from one another: a row counts if its rate is the one to be tried now.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from harness.kernel import files
from harness.kernel.errors import EXIT
from harness.kernel.protocols import Say
from harness.kernel.types import RunSettings
from harness.options.settings import RunConfig
from harness.result import search
from harness.result.publish import publish
from harness.result.read import ACCURACY_PART, files_of
from harness.result.result import Result
from harness.running.parts import Origin, Parts
from harness.running.session import Run
from harness.study.study import Cell, Ended, Study, begin_in, hashes, tell_how_to_go_on

PERFORMANCE, PEAK = "performance", "peak"  # these stand in the run's own folder
# The parts that are known when such a run begins; a search finds the others.
KINDS = {"find-peak": ("step_01",), "submission": (ACCURACY_PART, PERFORMANCE)}
SET_ASIDE = "set_aside"
_OF_THE_WHOLE = ("settings.json", "environment.json", "sut.log")  # these stay where they are
Found = dict[str, Any]


class Kept(Parts):
    """Parts whose rows are in the study of the run's folder; it holds the lock until `close`."""

    def __init__(self, config: RunConfig, study: Study | None = None) -> None:
        self._config, self._study = config, study
        if study is not None:
            self.origin = _origin(study)
            study.__enter__()

    @property
    def place(self) -> Path | None:
        """The run's folder, once something of it may have been kept."""
        return self._study.place if self._study else None

    def close(self) -> None:
        """Let other processes work on the study."""
        if self._study is not None:
            self._study.__exit__()

    def begin(self, origin: Origin) -> Origin:
        """Write how the run begins: before its system is loaded, so that a run that is stopped
        then goes on as well, and again when its rate is known.
        """
        if self.origin is not None:
            if self.origin.target_qps is not None or origin.target_qps is None:
                return self.origin
            origin = origin._replace(started_at=self.origin.started_at)
        kind = self._config.mode
        arguments = {k: v for k, v in origin._asdict().items() if k != "folder"}
        cells = [Cell(name, self._config) for name in KINDS[kind]]
        begun = begin_in(origin.folder, kind, arguments, cells)
        if self._study is None:
            self._study = begun
            begun.__enter__()
        self.origin = origin
        return origin

    def known(self, name: str, settings: RunSettings) -> Found | None:
        """Return what was kept of a part; make room for one that must be measured."""
        assert self._study is not None
        ended = self._study.ended.get(name)
        figures = {} if ended is None else ended.figures
        is_here = figures.get("folder", name) == name
        if is_here and figures.get("target_qps") == settings.target_qps:
            return figures
        _set_aside(self._study.place, name)
        return None

    def keep(self, name: str, result: Result, figures: Found) -> None:
        """Append the row of a part that came to its end."""
        assert self._study is not None
        if result.status in search.BROKE:
            return
        run = "." if name in (PERFORMANCE, PEAK) else name
        kept = hashes(self._study.place / run)
        kept = {file: sha for file, sha in kept.items() if "/" not in file}
        rate = {"target_qps": result.settings["run"]["target_qps"]}
        row = Ended(name, run, kept, result.status, result.status_reason, "", rate | figures)
        self._study.keep(row)


def run(config: RunConfig, say: Say) -> tuple[Found, Path, Path | None]:
    """Make a run. Return (its result, the folder of that, the folder to resume, if any)."""
    kept = Kept(config)
    found, folder = _made(config, say, kept if config.mode in KINDS else None)
    return found, folder, kept.place


def go_on(study: Study, say: Say, told: Callable[[Any], None]) -> tuple[Found, Path]:
    """Measure the parts of a run that have not ended. One that is finished is published again."""
    config = study.cells[0].config.model_copy(update={"output_dir": study.place.parent})
    kept = Kept(config, study)
    if _is_finished(study):
        kept.close()
        return publish(study.place).to_json(), study.place
    return _made(config, say, kept)


def exit_code(found: Found) -> int:
    """Return the exit code of the run's verdict."""
    return EXIT[found["status"]]


def _made(config: RunConfig, say: Say, kept: Kept | None) -> tuple[Found, Path]:
    try:
        with Run(config, say, parts=kept) as session:
            found = session.execute().to_json()
        return found, session.folder
    except KeyboardInterrupt:
        if kept is not None and kept.place is not None:
            tell_how_to_go_on(kept.place)
        raise
    finally:
        if kept is not None:
            kept.close()


def _is_finished(study: Study) -> bool:
    """Say whether every part has a row that counts."""
    if study.kind == "submission":
        return not study.left
    steps = [step["folder"] for step in search.read(study.place).get("steps", ())]
    return {PEAK, *steps} <= study.ended.keys()


def _origin(study: Study) -> Origin:
    """Read how the run began. Raises BadInput."""
    origin = study.read(lambda saved: Origin(study.place, **saved))
    rate = origin.target_qps
    if rate is None:
        return origin
    return study.read(lambda _: origin._replace(target_qps=float(rate)))


def _set_aside(place: Path, name: str) -> None:
    """Move what is left of an unfinished part, or of one that was edited, out of the way."""
    aside = place / SET_ASIDE / f"{name}_{uuid.uuid4().hex[:6]}"
    if name != PERFORMANCE:
        if (place / name).exists():
            files.subfolder(place, SET_ASIDE)
            files.move(place / name, aside)
        return
    if (place / "samples.parquet").exists():
        files.subfolder(files.subfolder(place, SET_ASIDE), aside.name)
        for file in files_of(place).values():
            if file not in _OF_THE_WHOLE and (place / file).exists():
                files.move(place / file, aside / file)
