"""Would this run stand an audit? Finished folders in, the verdicts of `accuracy.compliance` out.

Companions (an accuracy run, a run of one sample) are other run folders of the same model, variant
and data; the accuracy part of a submission is found by itself. Two cheats need runs that the audit
makes (`harness.second_look`).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from accuracy.audited import Audited
from accuracy.compliance import audit as judge
from accuracy.compliance_answers import scored_answers
from harness import registry, result
from harness.types import Verdict


def audit(
    folder: Path,
    others: Sequence[Path] = (),
    tokens_per_sample: float | None = None,
    more: Sequence[Verdict] = (),
) -> dict[str, Any]:
    """{run_id, status, reason, verdicts}; status is PASS, FAIL or UNDECIDED. Raises BadInput for
    folders without a run.

    `more` are verdicts of a second look, which join the others.
    """
    part = folder / result.ACCURACY_PART
    companions = [*others, *([part] if part.is_dir() else [])]
    raw = result.read(folder)
    samples = result.samples_of(raw) or ()
    verdicts = judge(
        audited(folder), [audited(other) for other in companions], samples, tokens_per_sample
    )
    verdicts += [_scored(part if part.is_dir() else folder, folder), *more]
    status, reason = _status(verdicts)
    return {
        "run_id": raw.facts.run_id,
        "status": status,
        "reason": reason,
        "verdicts": [asdict(v) for v in verdicts],
    }


def audited(folder: Path) -> Audited:
    raw = result.read(folder)
    built = result.build(folder, raw, ())
    is_model = registry.sut_entry(raw.config.sut).uses_dataset
    return Audited(
        run_id=raw.facts.run_id,
        settings=raw.settings,
        log=raw.log,
        facts=raw.facts.sut,
        model=raw.config.model if is_model else raw.config.sut,
        variant=raw.config.variant if is_model else "",
        dataset=raw.saved["dataset"]["name"],
        status=built.status,
        command=_command(raw.config),
        dataset_hash=raw.saved["dataset"].get("sha256") or "",
    )


def _scored(scored: Path, folder: Path) -> Verdict:
    """The scores that `folder` published, against those of the answers recorded in `scored`."""
    raw = result.read(scored)
    try:
        published = json.loads((folder / "result.json").read_text(encoding="utf-8"))["accuracy"]
    except (OSError, ValueError, KeyError, TypeError):
        published = {}
    samples = result.samples_of(raw)
    recorded = result.build(scored, raw, samples).accuracy if samples is not None else None
    return scored_answers(published, recorded)


def _command(config: Any) -> str:
    """What makes the run again, as far as it was said on the command line."""
    words = ["python -m harness run"]
    for name, origin in config.origins.items():
        value = getattr(config, name)
        if name in _CHANGES:
            continue
        if name == "sut_options":
            words += [f"--sut-option {key}={option}" for key, option in value.items()]
        elif origin.startswith("--") and value is not False:
            words.append(origin if value is True else f"{origin} {value}")
    return " ".join(words)


_CHANGES = ("mode", "issue", "same_index", "target_qps", "output_dir")  # a companion has its own


def _status(verdicts: Sequence[Verdict]) -> tuple[str, str]:
    of = {
        status: [v.rule for v in verdicts if v.status == status]
        for status in ("FAIL", "UNDECIDED", "SKIPPED", "PASS")
    }
    skipped = f"; skipped: {', '.join(of['SKIPPED'])}" if of["SKIPPED"] else ""
    if of["FAIL"]:
        return "FAIL", "failed: " + ", ".join(of["FAIL"]) + skipped
    if of["UNDECIDED"] or not of["PASS"]:
        return "UNDECIDED", "undecided: " + (
            ", ".join(of["UNDECIDED"]) or "nothing could be checked"
        ) + skipped
    return "PASS", f"{len(of['PASS'])} checks hold" + skipped
