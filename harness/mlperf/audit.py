"""Would this run stand an audit? Finished folders in, the verdicts of `accuracy.compliance.audit`
out.

Companions (an accuracy run, a run of one sample, a run one question at a time) are other run
folders of the same model, variant and data; the accuracy part of a submission is found by itself.
Two cheats need runs that the audit makes (`harness.mlperf.second_look`).
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import sut
from accuracy.compliance.answers import SAME_ANSWERS
from accuracy.compliance.audit import audit as judge
from accuracy.compliance.audited import Audited
from accuracy.compliance.quality import scored_answers
from accuracy.compliance.runs import audit_config
from accuracy.compliance.untimed import untimed
from harness.kernel.foreign import parsed
from harness.kernel.types import Int64s, Verdict
from harness.options.run_options import OPTIONS
from harness.result import logs, result
from harness.result.integrity import published, seal
from harness.result.library import samples_of
from harness.result.publish import whole
from harness.result.read import ACCURACY_PART, Raw, read_run
from harness.result.result import Result
from scenarios.loadgen.accuracy_log import logged_samples


def audit(
    folder: Path,
    others: Sequence[Path] = (),
    tokens_per_sample: float | None = None,
    more: Sequence[Verdict] = (),
) -> dict[str, Any]:
    """{run_id, status, reason, notes, verdicts}; status is PASS, FAIL, UNDECIDED or SKIPPED (the
    accuracy run is missing). Raises BadInput for folders without a run.

    `more` are verdicts of a second look, which join the others.
    """
    part = folder / ACCURACY_PART
    companions = [*others, *([part] if part.is_dir() else [])]
    raw = read_run(folder)
    samples = samples_of(raw)
    built = result.build(folder, raw, samples or ())
    run = _audited(folder, raw, built)
    _, all_of_it = whole(folder, samples, percentiles=published.percentiles(folder))
    verdicts = judge(
        run, [audited(other) for other in companions], samples or (), tokens_per_sample
    )
    verdicts += untimed(run)
    recorded = _scores(part) if part.is_dir() else None if samples is None else built.accuracy
    verdicts += [scored_answers(_published(folder), recorded)]
    verdicts += [
        published.verdict(folder, all_of_it),
        _sealed(raw),
        logs.verdict(folder, raw, built),
    ]
    verdicts += more
    status, reason = _status(verdicts, _is_ordinary(run))
    return {
        "run_id": raw.facts.run_id,
        "status": status,
        "reason": reason,
        "notes": _notes(run),
        "verdicts": [asdict(v) for v in verdicts],
    }


def audited(folder: Path) -> Audited:
    """Read a run without scoring its answers. Raises BadInput."""
    raw = read_run(folder)
    return _audited(folder, raw, result.build(folder, raw, ()))


def _audited(folder: Path, raw: Raw, built: Result) -> Audited:
    entry = raw.entry
    is_model = entry.runs_model
    return Audited(
        run_id=raw.facts.run_id,
        settings=raw.settings,
        pattern=raw.config.pattern,
        log=raw.log,
        facts=raw.facts.sut,
        model=raw.config.model if is_model else raw.config.sut,
        variant=raw.config.variant if is_model else "",
        dataset=raw.saved["dataset"]["name"],
        status=built.status,
        command=_command(raw.config),
        dataset_hash=raw.saved["dataset"].get("sha256") or "",
        logged=_logged(folder, raw),
        scores=built.accuracy,
        runs_a_model=entry.uses_dataset,
        driver=built.driver,
        memory=built.memory,
        in_process=raw.config.in_process or not (entry.isolated or raw.config.sut in sut.TABLE),
    )


def _logged(folder: Path, raw: Raw) -> Int64s | None:
    """Return which answers are in the accuracy log of a compliance run; None for other runs."""
    if audit_config(raw.settings) is None:
        return None
    return logs.logged_ids(folder, raw, logged_samples(raw.log, raw.settings))


def _notes(run: Audited) -> list[str]:
    if run.runs_a_model:
        return []
    return [
        f"no model ran: --sut {run.model} makes its answers up, so this audit says nothing of one"
    ]


def _scores(folder: Path) -> dict[str, float] | None:
    """Score the recorded answers of a run; None without its dataset."""
    raw = read_run(folder)
    samples = samples_of(raw)
    return None if samples is None else result.build(folder, raw, samples).accuracy


def _sealed(raw: Raw) -> Verdict:
    return replace(seal.verdict(raw.seal), rule="SEAL raw_files")


def _published(folder: Path) -> dict[str, float]:
    """Read the scores that the run published."""
    try:
        scores: dict[str, float] = parsed.read_json(folder / "result.json")["accuracy"]
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return scores


def _command(config: Any) -> str:
    """What makes the run again, wherever the user said it: in flags, a TOML or a conf file."""
    words = ["python -m harness run"]
    for name in config.origins:
        value, option = getattr(config, name), OPTIONS[name]
        if option.is_audits or value is None:
            continue
        if isinstance(value, dict):
            words += [f"{option.flag} {key}={item}" for key, item in value.items()]
        elif value is not False:
            words.append(
                option.flag if value is True else f"{option.flag} {shlex.quote(str(value))}"
            )
    return " ".join(words)


def _is_ordinary(run: Audited) -> bool:
    """Is it a run that an accuracy run should stand beside?"""
    return audit_config(run.settings) is None and run.kind not in ("accuracy", "same")


def _status(verdicts: Sequence[Verdict], is_ordinary: bool) -> tuple[str, str]:
    """Return the word of the audit and the reason. Without its accuracy run nobody can tell whether
    the answers of an ordinary run are the model's, so that is no PASS.
    """
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
    held = f"{len(of['PASS'])} checks hold"
    if is_ordinary and SAME_ANSWERS in of["SKIPPED"]:
        return "SKIPPED", f"{held}, but whether these are the model's answers is not known{skipped}"
    return "PASS", held + skipped
