"""How good are the answers of a run? The metrics over all of them, and the marks of a task."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accuracy import spread
from accuracy.tasks import errors as task_errors
from accuracy.tasks import marks as task_marks
from accuracy.tasks.attempts.figures import summary as of_attempts
from accuracy.tasks.solved import Solved
from harness import registry
from harness.console import bar
from harness.engine.pieces import Pieces
from harness.kernel.log import RunLog
from harness.kernel.types import Metric, Sample
from harness.result import evaluation
from harness.result.attempts.drawn import weighed
from harness.result.library import samples_of
from harness.result.measured import span_ns
from harness.result.programs import ran as programs
from harness.result.read import Raw, read_json

Row = dict[str, Any]
_SHORT = 24  # characters
_MANY, _STEP = 5_000, 100  # marks; between two drawings
Asked = Sequence[Sample] | None


def asked_of(raw: Raw, samples: Asked, pieces: Pieces) -> Asked:
    """Return the samples of a run, read again if they are not given; None if they are gone."""
    if samples is not None:
        return samples
    return pieces.make("score", "all (reading the dataset)", lambda: samples_of(raw), None)


def figures(
    folder: Path, raw: Raw, samples: Asked, pieces: Pieces
) -> tuple[dict[str, float], list[str]]:
    """Return (scores, notes). Without the run's own dataset the scores of the run itself stand, if
    it left any.
    """
    if samples is None:
        kept = folder / "scores.json"
        return (read_json(kept) if kept.is_file() else {}), [
            "the dataset has moved or changed: scores are those of the run"
        ]
    ids = _judged(raw)
    found = list[Metric]()
    for name in registry.metrics():
        with spread.shown(partial(bar, f"{name} of {_short(folder)}")):
            found += pieces.make("score", name, partial(_score, name, raw.log, samples, ids), [])
    values = {metric.name: metric.value for metric in found if metric.value is not None}
    return values, _whys(found)


def _short(folder: Path) -> str:
    """Return the end of the name of a run's folder, which tells it from others."""
    return folder.name[-_SHORT:]


def marks(raw: Raw, samples: Asked, more: Sequence[str] = ()) -> list[Row]:
    """Return the rows of scores.parquet, and those of `more` scorers; none without scorers."""
    told = raw.saved["dataset"].get("task") or {}
    scorers = list(dict.fromkeys((*told.get("scorers", ()), *more)))
    if not scorers or not samples:
        return []
    given, attempts = evaluation.likelihoods(raw.facts.evaluation), raw.config.attempts
    ran = programs.outcomes(raw.facts.evaluation)
    ids = _judged(raw)
    with _shown(len(scorers) * len(ids)) as heard:
        rows = task_marks.rows(scorers, raw.log, samples, ids, given, attempts, ran, heard)
    return weighed(rows, attempts, raw.facts.evaluation) if "draws" in told else rows


@contextmanager
def _shown(total: int) -> Iterator[Callable[[int], object]]:
    """Show how many answers have been marked, where they are many."""
    if total < _MANY:
        yield lambda done: None
        return
    with bar("marking the answers", total) as progress:
        yield lambda done: None if done % _STEP else progress(done)


def task(raw: Raw, rows: Sequence[Row]) -> dict[str, Any]:
    """Return `task` of result.json; nothing where no task was asked for."""
    told = raw.saved["dataset"].get("task")
    if not told or not (rows or raw.facts.evaluation.get("programs")):
        return {}
    found = task_marks.summary(told, rows, task_marks.groups_of(rows))
    if "draws" in told:
        span_s = span_ns(raw.log) / 1e9
        found["attempts"] = of_attempts(told["draws"], rows, told["scorers"], span_s)
    return found | programs.sandbox(raw.facts.evaluation)


def errors(raw: Raw, samples: Asked, rows: Sequence[Row], label: str) -> dict[str, Any]:
    """Return `errors` of `task` of result.json; nothing where no task was asked for. `label` is the
    name of what was run.
    """
    told = raw.saved["dataset"].get("task")
    if not told or not samples or not rows:
        return {}
    attempts = raw.config.attempts
    first = {s.index // attempts: s for s in samples if not s.index % attempts}
    solved = Solved(
        label=label,
        task=told["name"],
        scorer=task_marks.deciding(told["scorers"], rows),
        samples=first,
        texts=_texts(raw, attempts),
        rows=[row for row in rows if not row["attempt"]],
    )
    return {"errors": task_errors.of_one(solved)}


def _texts(raw: Raw, attempts: int) -> dict[int, str]:
    """Return the first answer to each question."""
    found = dict[int, str]()
    for i in _judged(raw).tolist():
        question, attempt = divmod(int(raw.log.index[i]), attempts)
        if not attempt:
            found.setdefault(question, raw.log.texts.get(i, ""))
    return found


def _judged(raw: Raw) -> NDArray[Any]:
    """Return the answers that count: multi-stream pads its last query, so that in an accuracy run
    each sample counts once.
    """
    ids = np.flatnonzero(raw.log.completed)
    if raw.settings.mode == "accuracy":
        ids = ids[np.unique(raw.log.index[ids], return_index=True)[1]]
    return ids


def _whys(found: Sequence[Metric]) -> list[str]:
    """Say why scores are missing, or what to know of them; a reason once for all that share it."""
    names: dict[tuple[str, bool], list[str]] = {}
    for metric in found:
        if metric.why:
            names.setdefault((metric.why, metric.value is None), []).append(metric.name)
    return [
        f"{'no ' * is_missing}{', '.join(group)}: {why}"
        for (why, is_missing), group in names.items()
    ]


def _score(name: str, log: RunLog, samples: Sequence[Sample], ids: Any) -> list[Metric]:
    return registry.metric(name)(log, samples, ids)
