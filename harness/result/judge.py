"""Is the run VALID? The conditions of its scenario, then the output rules."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Literal

import scenarios
from harness import registry
from harness.engine.pieces import Pieces
from harness.engine.pieces import reason as reason_of
from harness.engine.referee import client
from harness.engine.referee.client import client_clocks, client_limit
from harness.engine.runlog import RunFacts
from harness.kernel.answers import failures_allowed
from harness.kernel.entries import ALL_EVIDENCE, Evidence
from harness.kernel.log import RunLog
from harness.kernel.types import RunSettings, Verdict
from harness.result import quiet
from harness.result.gpus.conditions import conditions as gpu_conditions
from harness.result.measured import span_ns
from scenarios.uncertainty import judged_twice

_WAY_TO_LOADGEN = (
    "see mlperf_log_summary.txt; LoadGen's latencies include the way from its process to this one"
)


def judge(
    log: RunLog,
    facts: RunFacts,
    settings: RunSettings,
    pieces: Pieces | None = None,
    evidence: Collection[Evidence] = ALL_EVIDENCE,
    is_official: bool = False,
    error_budget: float | None = None,
    telemetry: Mapping[str, Sequence[Any]] | None = None,
) -> list[Verdict]:
    """Judge the scenario's conditions (performance mode only), then the output rules (always).

    A rule that breaks is UNDECIDED: it has not been kept. `evidence` is what the SUT may send,
    `is_official` whether the profile is one of MLPerf's, which asks for a quiet machine;
    `error_budget` is the percentage of samples that a server may fail, None where there is none;
    `telemetry` has what the GPUs did.
    """
    pieces = pieces or Pieces()
    facts_of_sut = facts.sut | {
        "max_new_tokens": settings.max_new_tokens,
        "own_limits": settings.own_limits,
        "evidence": evidence,
    }
    is_served = error_budget is not None
    if is_served and settings.mode == "performance":
        facts_of_sut["error_budget"] = error_budget
    found = list[Verdict]()
    if settings.mode == "performance":
        name = f"{settings.scenario} conditions"
        timed = partial(_conditions, log, settings, facts.load)
        found += _judged(name, timed, pieces, loadgen=True)
        found = _excused(found, log, error_budget or 0.0)
    if settings.mode == "performance" and log.done_delay_ns is not None:
        found += _judged(quiet.RULE, partial(_quiet, facts, log, is_official), pieces)
    if settings.mode == "performance" and "client" in facts.driver:
        asked = facts.driver["client"], settings.lag_limit_ns
        found += _judged(client.RULE, lambda: [client_limit(*asked)], pieces)
        found += _judged(client.CLOCKS, partial(client_clocks, *asked), pieces)
    if settings.mode == "performance":
        on_gpus = partial(gpu_conditions, telemetry or {}, span_ns(log), facts.gpus, is_official)
        found += _judged("GPU conditions", on_gpus, pieces)
    for name in registry.rule_names(is_served):
        found += _judged(name, partial(registry.judged_by, name, log, facts_of_sut), pieces)
    return found


def _excused(verdicts: list[Verdict], log: RunLog, budget: float) -> list[Verdict]:
    """Let as many samples be missing as the error budget allows; LoadGen would not."""
    failed, allowed = int((~log.completed).sum()), failures_allowed(budget, len(log))
    if not 0 < failed <= allowed:
        return verdicts
    excuse = f"the error budget allows {allowed} failed samples"
    return [
        replace(v, status="PASS", detail=f"{v.detail}; {excuse}", remedy="")
        if v.rule == "min_queries" and (v.measured or 0) >= (v.limit or 0)
        else v
        for v in verdicts
    ]


def _quiet(facts: RunFacts, log: RunLog, is_official: bool) -> list[Verdict]:
    return [quiet.foreign_load(facts.load, log, is_official)]


def _conditions(log: RunLog, settings: RunSettings, load: dict[str, Any]) -> list[Verdict]:
    """Judge the scenario's own; none of them is LoadGen's where it has no such scenario."""
    found = judged_twice(registry.scenario(settings.scenario), log, settings)
    found = quiet.certain(found, load, log)
    if scenarios.entry_of(settings).loadgen is None:
        return [replace(verdict, loadgen=False) for verdict in found]
    return found


def _judged(
    name: str, verdicts: Callable[[], list[Verdict]], pieces: Pieces, loadgen: bool = False
) -> list[Verdict]:
    try:
        return verdicts()
    except Exception as fault:  # a rule is code too: what it did not see is not in order
        pieces.lost("rule", name, fault)
        why, remedy = reason_of(fault), "harness report RUN judges the run again"
        return [
            Verdict(
                name, "UNDECIDED", detail=f"could not be judged: {why}", remedy=remedy,
                loadgen=loadgen, error=why,
            )
        ]  # fmt: skip


def official_verdict(loadgen: dict[str, Any]) -> Verdict:
    """Take the official LoadGen's word as one condition more: its clock is another, and it stands
    at another point of the way.
    """
    valid = loadgen["result_validity"] == "VALID"
    reason = loadgen.get("result_invalid_reason") or "early stopping: see mlperf_log_summary.txt"
    return Verdict(
        rule="official_loadgen",
        status="PASS" if valid else "FAIL",
        detail=f"LoadGen {loadgen['loadgen_version']}" + ("" if valid else f": {reason}"),
        remedy="" if valid else _WAY_TO_LOADGEN,
        loadgen=True,
    )


def status_of(
    log: RunLog, verdicts: list[Verdict]
) -> tuple[Literal["VALID", "INVALID", "INTERRUPTED", "ERROR"], str]:
    """Return the status of a run and the reason in words.

    What is UNDECIDED is not shown, so the run is not VALID: LoadGen too asks for more queries
    where early stopping leaves a percentile open. A limit that does not apply is named.
    """
    if log.end == "error":
        return "ERROR", log.end_reason
    if log.end == "interrupted":
        return "INTERRUPTED", log.end_reason
    parts = {
        "failed": [v.rule for v in verdicts if v.status == "FAIL"],
        "undecided": [v.rule for v in verdicts if v.status == "UNDECIDED" and not v.error],
        "could not be judged": [v.rule for v in verdicts if v.error],
    }
    reasons = [f"{what}: {', '.join(rules)}" for what, rules in parts.items() if rules]
    if reasons:
        return "INVALID", "; ".join(reasons)
    skipped = not_judged(verdicts)
    if skipped:
        words = f"every other condition holds; {', '.join(skipped)} could not be judged"
        return "VALID", words
    return "VALID", "every condition holds"


def not_judged(verdicts: Sequence[Verdict]) -> list[str]:
    """Return the limits of which there was nothing to judge."""
    return [v.rule for v in verdicts if v.status == "SKIPPED" and v.loadgen]
