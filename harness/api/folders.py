"""What is in a folder, for a notebook? Runs, comparisons and all other studies, by one function.

    run = load("runs/20261127T101500Z_server_smollm2-135m")
    run.figures["ttft_p99_ms"], run.status, run.samples["latency_ms"].hist()

    study = load("runs/20261127T101700Z_compare_smollm2-135m")
    study.rows                      one row per variant
    study.effects                   what differs, with intervals
    study.runs["int8"].samples      the samples of one of its runs

Tables are pandas.DataFrame where pandas is installed. Nothing in the folder is executed, and
nothing is written.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, cast

from harness.api.shown import Shown
from harness.commands import kinds
from harness.engine import runlog
from harness.judging.found import rows_of
from harness.kernel.errors import EXIT, BadInput
from harness.kernel.foreign import parsed
from harness.kernel.foreign.own_files import check_folder, inside
from harness.kernel.log import RunLog
from harness.kernel.places import expanded, wrong_path
from harness.loaded.columns import columns_of, texts_of
from harness.loaded.frames import frame, frame_of_rows
from reports import figures, tables
from reports.blocks import Table

RUN = "result.json"
PERPLEXITY, FAMILY, EVALUATE, JUDGE = "perplexity", "family", "evaluate", "judge"
_KINDS = {
    **kinds.KINDS,
    PERPLEXITY: kinds.PERPLEXITY,
    FAMILY: kinds.FAMILY,
    EVALUATE: kinds.EVALUATION,
    JUDGE: kinds.JUDGE,
}
STUDIES = tuple(f"{kind}.json" for kind in _KINDS)
_FINE = "expected the folder of a run or of a study"


@dataclass(frozen=True, eq=False, repr=False)
class Run(Shown):
    """A finished run. `result` is its result.json."""

    folder: Path
    result: Mapping[str, Any]

    def __repr__(self) -> str:
        return f"<run {self.folder.name}: {self.status}>"

    @property
    def status(self) -> str:
        """Return VALID, INVALID, INTERRUPTED or ERROR."""
        return str(self.result["status"])

    @property
    def exit_code(self) -> int:
        return EXIT[self.status]

    def _table(self) -> Table:
        return tables.record(self.result)

    def _for_people(self) -> list[Table]:
        return tables.of_run(self.result)

    @cached_property
    def figures(self) -> dict[str, Any]:
        """Return its figures by the names that CSV files have: tokens_per_s, ttft_p99_ms."""
        known = ((one.name, one.value(self.result)) for one in figures.of_run(self.result))
        return {name: value for name, value in known if value is not None}

    @cached_property
    def log(self) -> RunLog:
        """Return all that happened: every token of every sample. Raises BadInput if its file is
        gone.
        """
        return runlog.read_log(self.folder)[0]

    @cached_property
    def samples(self) -> Any:
        """Return a row per sample: times, tokens, how it ended."""
        return frame(columns_of(self.log))

    @cached_property
    def texts(self) -> list[str]:
        """Return the answer to each sample in words."""
        return [str(text) for text in texts_of(self.log)]

    @cached_property
    def settings(self) -> dict[str, Any]:
        """Return the settings of the run."""
        return _read(self.folder / "settings.json")

    @cached_property
    def environment(self) -> dict[str, Any]:
        """Return the machine and the software that it ran on."""
        return _read(self.folder / "environment.json")


@dataclass(frozen=True, eq=False, repr=False)
class Study(Shown):
    """Several runs: a comparison, a sweep, a gate, a measurement of perplexity, an evaluation,
    what judges say. `result` is its JSON file.
    """

    folder: Path
    kind: str
    result: Mapping[str, Any]

    @property
    def exit_code(self) -> int:
        return _kind(self.kind).exit_code(dict(self.result))

    def _table(self) -> Table:
        return cast(Table, _kind(self.kind).table(dict(self.result)))

    def __repr__(self) -> str:
        return f"<{self.kind} {self.folder.name}: {len(self._rows())} rows>"

    @cached_property
    def rows(self) -> Any:
        """Return a row per variant, cell or subject; per judge and run of what judges say."""
        return frame_of_rows(self._rows())

    @cached_property
    def effects(self) -> Any:
        """Return what differs from the baseline, a row per side and figure."""
        return frame_of_rows(list(_effects(self.result)))

    @cached_property
    def limits(self) -> Any:
        """Return what became of --fail-if, a row per side and limit."""
        terms = (self.result.get("limits") or {}).get("terms", ())
        return frame_of_rows([_flat(term) for term in terms])

    @cached_property
    def runs(self) -> dict[str, Run]:
        """Return its runs that are still there, by their labels."""
        found = {}
        for row in self.result["runs"] if self.kind == JUDGE else self._rows():
            if (place := self._place(row)) is not None:
                found[str(row.get("label") or row.get("name"))] = _run(place)
        return found

    def _rows(self) -> list[Mapping[str, Any]]:
        if self.kind == JUDGE:
            return list(rows_of(self.result))
        for name in ("rows", "cells", "subjects"):
            if name in self.result:
                return list(self.result[name])
        return []

    def _place(self, row: Mapping[str, Any]) -> Path | None:
        name = str(row.get("run") or "")
        if not name:
            return None
        try:
            place = Path(name) if Path(name).is_absolute() else inside(self.folder, name)
        except ValueError:
            return None
        return place if (place / RUN).is_file() else None


def load(folder: str | Path) -> Run | Study:
    """Read the folder of a run or of a study. Raises BadInput if it is neither."""
    place = expanded(Path(folder))
    if not place.is_dir():
        raise wrong_path(f"loading {place}", place, _FINE)
    for name in STUDIES:
        if (place / name).is_file():
            check_folder(place)
            return Study(place, name.removesuffix(".json"), _read(place / name))
    if (place / RUN).is_file():
        return _run(place)
    found = "it has no result.json and no compare.json"
    todo = f"If its run was killed: python -m harness report {place}."
    raise BadInput(f"loading {place}", found, _FINE, todo)


def _kind(name: str) -> kinds.Kind:
    return _KINDS[name]


def _run(place: Path) -> Run:
    check_folder(place)
    return Run(place, _read(place / RUN))


def _read(file: Path) -> dict[str, Any]:
    """Read a JSON object. Raises BadInput if it is damaged."""
    try:
        found = parsed.read_json(file)
        if isinstance(found, dict):
            return found
    except (OSError, ValueError):
        pass
    raise BadInput(f"reading {file}", "it is damaged or gone", "expected a file of the harness")


def _effects(result: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for effect in result.get("effects", ()):
        sides = {name: effect[name] for name in ("label", "baseline")}
        for row in effect["figures"]:
            others = {name: value for name, value in row.items() if name not in ("name", "label")}
            yield sides | {"figure": row["name"]} | _flat(others)


def _flat(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row with its change in columns of their own."""
    change = row["change"]
    ends = {"change": change["value"], "change_low": change["low"], "change_high": change["high"]}
    return {name: value for name, value in row.items() if name != "change"} | ends
