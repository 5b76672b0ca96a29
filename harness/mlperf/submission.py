"""A submission to MLPerf from run folders: they are read here, `reports.submission.tree` makes the
tree.

Nothing of a run is believed but its raw files. Its figures and scores are made from samples.parquet
once more, its logs are compared with what that file gives, and logs that were changed are refused.
A compliance run (one made with an official audit.config) becomes the folder of its test.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import scenarios
from accuracy.compliance.audit import audit as judge
from accuracy.compliance.runs import AUDIT_CONFIGS, AuditConfig, audit_config, logged_lengths
from harness.kernel.entries import ScenarioEntry
from harness.kernel.errors import BadInput
from harness.kernel.foreign.own_files import MOST_LOG_BYTES, check_folder, read_bytes
from harness.kernel.types import Verdict
from harness.mlperf.audit import audited
from harness.result import logs, result
from harness.result.integrity import seal
from harness.result.read import ACCURACY_PART, read_run
from reports.mlperf.files import ACCURACY, DETAIL, SUMMARY
from reports.submission.compliance import Finding, Lengths, Outputs, Quality
from reports.submission.places import Place
from reports.submission.rules import ROUNDS
from reports.submission.texts import Run
from reports.submission.tree import (
    Compliance,
    Package,
    check,
    check_same,
    package,
    place_of,
    round_of,
)

_HOW_TO_SCORE = "Run it with --mode submission, or once more with --mode accuracy."


def make(
    run: Path,
    output: Path,
    submitter: str,
    system: str,
    *,
    accuracy_run: Path | None = None,
    compliance: Sequence[Path] = (),
    system_json: Path | None = None,
    division: str = "open",
    benchmark: str | None = None,
    version: str | None = None,
    allow_invalid: bool = False,
) -> Package:
    """Write the tree of a run under `output`. Raises BadInput, and then writes nothing.

    `version` is the round; None: the one whose seeds the run had.
    """
    _refuse_unknown_to_mlperf(run)
    timed = read(run)
    nested = run / ACCURACY_PART
    if accuracy_run is None and not nested.is_dir():
        fine = "RUN/accuracy, or --accuracy-run RUN2"
        raise BadInput(f"packaging {run}", "no accuracy run", fine, _HOW_TO_SCORE)
    round_ = round_of(timed.result, version)
    place = place_of(timed.result, timed.pattern, division, submitter, system, benchmark, round_)
    scored = read(accuracy_run or nested)
    check(timed, scored, place.benchmark, allow_invalid)
    shown = [_compliance(folder, timed, place, round_) for folder in compliance]
    _refuse_twice(shown)
    return package(
        timed,
        scored,
        place,
        output,
        version=round_,
        system_json=system_json,
        compliance=shown,
    )


def _refuse_unknown_to_mlperf(run: Path) -> None:
    scenario = read_run(run).settings.scenario
    if scenarios.entry(scenario).loadgen is None:
        fine = "a scenario of MLPerf's: " + ", ".join(scenarios.TABLE)
        raise BadInput(f"packaging {run}", f"MLPerf has no scenario {scenario}", fine)


def read(folder: Path) -> Run:
    """Read a finished run. Raises BadInput if there is none, or if its logs are not its own."""
    check_folder(folder, hard_links=False)  # what is in it goes to others
    raw = read_run(folder)
    if raw.seal.status == "edited":
        fine, todo = "the raw files as they were measured", "Restore them, or run again."
        raise BadInput(f"reading {folder}", seal.words(raw.seal), fine, todo)
    built = result.build(folder, raw)
    if found := logs.difference(folder, raw, built):
        doing, todo = f"reading {folder}", f"{found.todo}."
        if found.what == logs.MISSING:
            raise BadInput(doing, f"no {found.file}", "a finished run with its logs", todo)
        what = f"{found.file} is not what the run recorded: {found.what}"
        raise BadInput(doing, what, "the logs as the run wrote them", todo)
    detail, summary, accuracy = (
        read_bytes(folder / name, MOST_LOG_BYTES) for name in (DETAIL, SUMMARY, ACCURACY)
    )
    pattern = scenarios.entry(raw.settings.scenario)
    return Run(folder, pattern, built.to_json(), detail.decode(), summary.decode(), accuracy)


# ---- compliance runs


def _compliance(folder: Path, timed: Run, place: Place, version: str) -> Compliance:
    """Judge a compliance run of what `timed` is a run of. Raises BadInput for any other run."""
    run, doing = audited(folder), f"--compliance {folder}"
    config = audit_config(run.settings)
    needed = ROUNDS[version].benchmarks[place.benchmark].tests
    if config is None:
        fine = f"a run with --user-conf audit.config of {' or '.join(AUDIT_CONFIGS)}"
        raise BadInput(doing, "it was made without an official audit.config", fine)
    if config.test not in needed:
        fine = f"a run of {', '.join(needed)}" if needed else "no --compliance"
        raise BadInput(doing, f"{config.test} is no test of {place.benchmark}", fine)
    if run.log.end != "completed":
        raise BadInput(doing, f"the run is {run.status}", "a run that came to its end")
    read_ = read(folder)
    other_data = config.test == "TEST07"  # it has a dataset of its own
    check_same(doing, timed.result, read_.result, other_data=other_data)
    verdicts = judge(replace(run, scores=read_.result["accuracy"]))
    pattern = scenarios.entry(run.settings.scenario)
    finding = _finding(config, verdicts, logged_lengths(run).tolist(), pattern)
    return Compliance(read_, finding, _doubts(config, verdicts))


def _finding(
    config: AuditConfig, verdicts: Sequence[Verdict], lengths: list[int], pattern: ScenarioEntry
) -> Finding:
    rules = {verdict.rule: verdict for verdict in verdicts}
    if config.test == "TEST07":
        return Quality(rules["TEST07 exact_match"].measured, config.least)
    if config.test == "TEST09":
        mean = sum(lengths) / max(len(lengths), 1)
        return Lengths(len(lengths), mean, config.least, config.most)
    passed = {rule for rule, verdict in rules.items() if verdict.status == "PASS"}
    first = {"TEST06 first_token", "TEST06 not_empty"} <= passed
    return Outputs(
        first_token=None if first and pattern.is_at_once else first,
        eos="TEST06 eos" in passed,
        length=rules["TEST06 token_count"].status in ("PASS", "SKIPPED"),  # or we counted
    )


_ON_THE_PAGE = ("first_token", "not_empty", "eos", "token_count", "exact_match", "mean_length")


def _doubts(config: AuditConfig, verdicts: Sequence[Verdict]) -> tuple[str, ...]:
    """What the page of the test has no line for: the conditions of its config, and our own rules
    for answers.
    """
    asked = (config.test, "TEST06")
    return tuple(
        f"{verdict.rule}: {verdict.detail}"
        for verdict in verdicts
        if verdict.status in ("FAIL", "UNDECIDED")
        and verdict.rule.split()[0] in asked
        and verdict.rule.split()[1] not in _ON_THE_PAGE
    )


def _refuse_twice(shown: Sequence[Compliance]) -> None:
    tests = [item.finding.name for item in shown]
    for test in set(tests):
        if tests.count(test) > 1:
            raise BadInput("--compliance", f"two runs of {test}", "one of each test")
