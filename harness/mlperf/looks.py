"""An audit with runs of its own: a study in the folder `more` of the run that is looked at, so
that `harness resume` goes on with it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.kernel.errors import HarnessError
from harness.kernel.foreign.consent import NO_CONSENT, Consent, require
from harness.kernel.protocols import Say
from harness.mlperf import second_look
from harness.mlperf.audit import audit, audited
from harness.mlperf.second_look import Look
from harness.options.saved import wishes, with_secrets
from harness.result.read import read_run
from harness.study.study import Cell, Ended, Study, begin

KIND = "audit"
NONE_GIVEN: Mapping[str, Any] = {}
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
    consent: Consent = NO_CONSENT,
    options: Mapping[str, Any] = NONE_GIVEN,
) -> tuple[Found, Path]:
    """Audit a run, with the named looks; return what came out and the folder to go on with.

    Raises BadInput.
    """
    if not names:
        return audit(folder, others, tokens_per_sample), folder
    doing, file = f"auditing {folder} with runs of its own", folder / "settings.json"
    raw = read_run(folder)
    require(doing, file, wishes(raw.config), consent)
    raw = raw._replace(config=with_secrets(raw.config, options, doing))
    looks = [LOOKS[name](folder, raw) for name in names]
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
    folder = _looked_at(study)
    raw, options = read_run(folder), study.cells[0].config.sut_options
    raw = raw._replace(config=raw.config.model_copy(update={"sut_options": options}))
    looks = [make(folder, raw) for make in makers]
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
    except (HarnessError, KeyboardInterrupt) as fault:
        study.forget(fault)
        raise


def _looked_at(study: Study) -> Path:
    """Return the folder of the run: the study is in its folder `more`, wherever that is now."""
    return study.place.parent.parent
