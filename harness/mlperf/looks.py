"""An audit with runs of its own: a study in the folder `more` of the run that is looked at, so
that `harness resume` goes on with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from harness.kernel.errors import HarnessError
from harness.kernel.protocols import Say
from harness.mlperf import second_look
from harness.mlperf.audit import audit, audited
from harness.mlperf.second_look import Look
from harness.study.study import Cell, Ended, Study, begin

KIND = "audit"
LOOKS = {
    "caching": second_look.caching,
    "benchmark_detection": second_look.benchmark_detection,
    "speed": second_look.speed,
}
Found = dict[str, Any]


def examine(
    folder: Path,
    others: Sequence[Path],
    tokens_per_sample: float | None,
    names: Sequence[str],
    say: Say,
) -> tuple[Found, Path]:
    """Audit a run, with the named looks; return what came out and the folder to go on with.

    Raises BadInput.
    """
    if not names:
        return audit(folder, others, tokens_per_sample), folder
    looks = [LOOKS[name](folder) for name in names]
    arguments = {
        "others": [str(other.absolute()) for other in others],
        "tokens_per_sample": tokens_per_sample,
        "looks": list(names),
    }
    cells = [cell for look in looks for cell in look.cells]
    study = begin(KIND, arguments, cells, folder / second_look.MORE, "", label="runs")
    return _measure(study, looks, say), study.place


def go_on(study: Study, say: Say, told: object) -> tuple[Found, Path]:
    """Make the runs of an audit that have not ended, and judge all."""
    makers = study.read(lambda saved: [LOOKS[name] for name in saved["looks"]])
    looks = [make(_looked_at(study)) for make in makers]
    return _measure(study, looks, say), study.place


def exit_code(found: Found) -> int:
    """Return 0 only for PASS; 130 if the user wanted no more."""
    if found["status"] == "INTERRUPTED":
        return 130
    return 0 if found["status"] == "PASS" else 1


def _measure(study: Study, looks: Sequence[Look], say: Say) -> Found:
    others, tokens_per_sample = study.read(
        lambda saved: (list(map(Path, saved["others"])), saved["tokens_per_sample"])
    )
    more = []
    interrupted = False
    with study:
        for look in looks:
            runs = []
            for cell in look.cells:
                ended = study.ended.get(cell.name)
                if ended is None and not interrupted:
                    say(f"audit: {cell.name}")
                    ended, interrupted = _run(study, cell, say)
                if ended is not None:
                    runs.append(audited(study.place / ended.run))
            if len(runs) == len(look.cells):
                more += look.verdicts(runs)
    found = audit(_looked_at(study), others, tokens_per_sample, more)
    if not interrupted:
        return found
    return found | {"status": "INTERRUPTED", "reason": "not every run of the audit was made"}


def _run(study: Study, cell: Cell, say: Say) -> tuple[Ended, bool]:
    """Make a run; if there is none, leave no empty folder behind."""
    try:
        return study.run(cell, say, lambda result, folder: {})
    except (HarnessError, KeyboardInterrupt):
        study.forget()
        raise


def _looked_at(study: Study) -> Path:
    """Return the folder of the run: the study is in its folder `more`, wherever that is now."""
    return study.place.parent.parent
