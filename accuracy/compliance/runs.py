"""Was this run made with the audit.config of one of MLPerf's compliance tests, and what must such a
run be?

The official configs make a run short (100 queries, no minimum duration) and log its answers, and
the official scripts read those answers alone: whether the run was long enough, kept its limits or
satisfied early stopping is nobody's question. So it is not asked here either. Asked is what makes
the answers worth reading: performance mode, an end that the run came to by itself, as many logged
answers as the config means to have, each question once where it says so, and the rules for answers.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, sqrt
from typing import TYPE_CHECKING

import numpy as np

from harness.kernel.types import Int64s, RunSettings, Verdict

if TYPE_CHECKING:
    from accuracy.compliance.audited import Audited

AUDIT_SEED = 720381539243781796  # accuracy_log_rng_seed of every audit.config


@dataclass(frozen=True, slots=True)
class AuditConfig:
    """What an official audit.config asks for, and the bounds that stand in it for the script.

    `target` is the sampling target of the accuracy log, `answers` how many it has at least (LoadGen
    logs all of a run that is shorter than the target). Bounds are in the unit of the test: TEST07
    MLPerf's exact match in percent, TEST09 mean tokens of an answer.
    """

    test: str
    target: int
    answers: int
    issue: str  # random or unique, never equal
    least: float = -inf
    most: float = inf


AUDIT_CONFIGS = {  # TEST07 and TEST09: gpt-oss-120b's
    "TEST06": AuditConfig("TEST06", 100, 100, "random"),
    "TEST07": AuditConfig("TEST07", 990, 990, "unique", least=60.698),
    "TEST09": AuditConfig("TEST09", 10_000, 6396, "unique", least=1150.38, most=1406.02),
}

_SPREAD = 4  # standard deviations of the number of answers that are drawn
_AS_IT_IS = "run it with the official audit.config of {} as it is"


def audit_config(settings: RunSettings) -> AuditConfig | None:
    """Return the config that a run was made with; None for an ordinary run."""
    if settings.accuracy_log_seed != AUDIT_SEED or settings.mode != "performance":
        return None
    targets = {config.target: config for config in AUDIT_CONFIGS.values()}
    return targets.get(settings.accuracy_log_target)


def conditions(run: Audited) -> list[Verdict]:
    """Judge a compliance run as one. Nothing for an ordinary run."""
    config = audit_config(run.settings)
    if config is None:
        return []
    found = [_logged(run, config), _issued(run, config)]
    if config.test == "TEST07":
        found.append(_exact_match(run, config))
    if config.test == "TEST09":
        found.append(_mean_length(run, config))
    return found


def logged_lengths(run: Audited) -> Int64s:
    """Return the number of token ids of each logged answer, as TEST09's script counts them."""
    logged = np.empty(0, np.int64) if run.logged is None else run.logged
    return np.asarray(np.diff(run.log.token_start)[logged])


def _logged(run: Audited, config: AuditConfig) -> Verdict:
    """Check the number of logged answers: LoadGen draws about `target` of a longer run, and logs
    all of a shorter one.
    """
    count = 0 if run.logged is None else len(run.logged)
    is_drawn = len(run.log) > config.target
    least = int(config.target - _SPREAD * sqrt(config.target)) if is_drawn else config.answers
    return Verdict(
        f"{config.test} logged_answers",
        "PASS" if count >= least else "FAIL",
        count,
        least,
        "answers",
        f"{count} answers in the accuracy log, {least} would be fine",
        remedy="" if count >= least else _AS_IT_IS.format(config.test),
    )


def _issued(run: Audited, config: AuditConfig) -> Verdict:
    """Check that each question came once where the config says so, never equally often."""
    settings = run.settings
    issue = "equal" if settings.equal_issue else settings.issue
    again = len(run.log) - len(np.unique(run.log.index)) if config.issue == "unique" else 0
    fine = issue == config.issue and not again
    detail = f"issued: {issue}" + (f"; {again} questions came more than once" if again else "")
    return Verdict(
        f"{config.test} issue",
        "PASS" if fine else "FAIL",
        detail=detail,
        remedy="" if fine else _AS_IT_IS.format(config.test),
    )


def _exact_match(run: Audited, config: AuditConfig) -> Verdict:
    """Check MLPerf's exact match over the compliance dataset, of answers in performance mode."""
    rule, score = "TEST07 exact_match", run.scores.get("exact_match")
    if score is None:
        todo = "use a dataset whose answers are scored by MLPerf's exact match"
        return Verdict(rule, "UNDECIDED", detail="the run has no exact_match", remedy=todo)
    fine = score >= config.least
    todo = "use the same weights, precision and limits in every mode"
    return Verdict(
        rule,
        "PASS" if fine else "FAIL",
        score,
        config.least,
        "%",
        f"{score:.4f} %; at least {config.least:g} % would be fine",
        remedy="" if fine else todo,
    )


def _mean_length(run: Audited, config: AuditConfig) -> Verdict:
    rule, lengths = "TEST09 mean_length", logged_lengths(run)
    if not len(lengths):
        return Verdict(rule, "FAIL", detail="no answer was logged")
    mean = float(lengths.mean())
    fine = config.least <= mean <= config.most
    todo = "generate to EOS or to the limit of the benchmark in every mode, without padding"
    return Verdict(
        rule,
        "PASS" if fine else "FAIL",
        mean,
        config.least if mean < config.least else config.most,
        "tokens",
        f"{mean:.2f} a sample; {config.least:.2f} to {config.most:.2f} would be fine",
        remedy="" if fine else todo,
    )
