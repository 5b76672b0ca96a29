"""Does a run keep what MLPerf's compliance tests are there to protect? Each verdict names the test
it stands for.

    TEST06   the output is what it says it is             the run alone
    TEST01   answers under load are the model's answers   an accuracy run; and repeats within the
                                                          run
    TEST04   no answer is kept for the next time          a run of one sample (--issue same); and
                                                          repeats within the run
    TEST07   the quality holds under load                 an accuracy run and references
    TEST09   the answers are as long as they should be    an accuracy run, or a figure

The official scripts read 100 logged answers, look for EOS at the end only and by Llama 2's id,
accept an empty first token and an INVALID run, and repeat one sample that everybody knows. Here
every completed sample counts, EOS is the model's own, and the sample to repeat depends on the run.
A run made with an official audit.config is judged as one (`compliance_runs`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from accuracy.compliance.answers import test01
from accuracy.compliance.audited import Audited, companions, faults, ids_of
from accuracy.compliance.caching import test04
from accuracy.compliance.quality import test07, test09
from accuracy.compliance.runs import audit_config, conditions
from accuracy.outputs import rules as output_rules
from harness.kernel.log import RunLog
from harness.kernel.types import FINISHES, Sample, SutFacts, Verdict

_STOPPED = FINISHES.index("stop")
_LEAST_QUESTIONS, _LEAST_TOKENS = 20, 4
_LONG_WAIT = 3  # times what a token takes later: as long as a prompt, where prompts are short


def audit(
    run: Audited,
    others: Sequence[Audited] = (),
    samples: Sequence[Sample] = (),
    tokens_per_sample: float | None = None,
) -> list[Verdict]:
    """Run all tests, TEST06 first. `others`: at most one accuracy run, one with --issue same,
    and one that asks one question at a time.

    `samples` are the run's own (references, limits); `tokens_per_sample` is a published length, for
    TEST09. Raises BadInput for a companion that cannot be compared.
    """
    found = companions(run, others)
    accuracy, same = found.get("accuracy"), found.get("same")
    return [
        _valid_runs([run, *others]),
        *conditions(run),
        *_test06(run, samples),
        *test01(run, accuracy, found.get("alone")),
        *test04(run, same),
        test07(run, accuracy, samples),
        test09(run, accuracy, tokens_per_sample),
    ]


# ---- TEST06: the output is what it says it is


def _valid_runs(runs: Sequence[Audited]) -> Verdict:
    """Ask for VALID runs: TEST06 takes an INVALID run, and so does the submission checker; TEST01
    and TEST04 do not, and neither do we. A compliance run cannot be VALID: it is too short, and its
    answers count.
    """
    run, *others = runs
    config = audit_config(run.settings)
    fine = f"{len(runs)} of {len(runs)} VALID"
    judged = runs
    if config is not None and run.log.end == "completed":
        judged = others
        fine = f"too short to be VALID, as {config.test}'s audit.config has it: its answers count"
    bad = [f"{run.run_id} is {run.status}" for run in judged if run.status != "VALID"]
    remedy = "see why: python -m harness report RUN"
    return faults("TEST06 valid_runs", len(bad), "; ".join(bad) or fine, (), remedy, "invalid")


def _test06(run: Audited, samples: Sequence[Sample]) -> list[Verdict]:
    """Apply the output rules of every run, and what an audit asks beyond them."""
    log = run.log
    own = {s.index: s.max_new_tokens for s in samples}
    most = run.settings.max_new_tokens
    limits = {index: own.get(index, most) for index in set(log.index.tolist())}
    facts = run.facts | {"max_new_tokens": limits}
    found = [
        output_rules.samples_complete(log, facts),
        output_rules.events_in_order(log, facts),
        output_rules.times_in_order(log, facts),
        output_rules.first_token(log, facts),
        output_rules.token_count(log, facts),
        _eos(log, facts),
        _not_empty(log, facts),
        _not_cut_short(log, facts),
        output_rules.streamed(log, facts),
        _own_first_token(log),
        output_rules.text(log, facts),
    ]
    return [replace(verdict, rule=f"TEST06 {verdict.rule}") for verdict in found]


def _eos(log: RunLog, facts: SutFacts) -> Verdict:
    """Apply the rule of every run, but naming no EOS id does not switch it off."""
    found = output_rules.eos(log, facts)
    if found.status != "SKIPPED" or not len(log.token_ids):
        return found
    todo = "let the SUT name the model's EOS ids in its facts (eos_ids)"
    return replace(found, status="UNDECIDED", remedy=todo)


def _not_empty(log: RunLog, facts: SutFacts) -> Verdict:
    """Apply the rule of every run, but a SUT that never answers anything is not let off."""
    found = output_rules.not_empty(log, facts)
    bad = np.flatnonzero(log.completed)
    if found.status != "SKIPPED" or not len(bad):
        return found
    detail = f"sample {bad[0]}: no ids, no text, no count"
    return faults("not_empty", len(bad), detail, bad, "answer with at least one token")


def _not_cut_short(log: RunLog, facts: SutFacts) -> Verdict:
    """Check that an answer ends by EOS or at its limit, neither before nor after it (rules, section
    8.2).
    """
    found = replace(output_rules.length_limit(log, facts), rule="not_cut_short")
    limit, tokens = output_rules.limits(log, facts), log.tokens
    if found.status != "PASS" or limit is None:
        return found
    stopped = log.completed & (log.finish == _STOPPED) & (np.diff(log.token_start) > 0)
    early = np.flatnonzero(stopped & (tokens > 0) & (tokens < limit))
    if not len(early):
        return replace(found, detail="all end by EOS or at the limit")
    detail = f"sample {early[0]}: says it stopped at position {tokens[early[0]]}, without EOS"
    detail += "; no stop text was asked for"
    todo = "return the EOS too, and report finish 'eos'"
    found = faults("not_cut_short", len(early), detail, early, todo)
    return replace(found, status="UNDECIDED")


def _own_first_token(log: RunLog) -> Verdict:
    """Doubt a token that begins nearly every answer: it is known before the model has run, and the
    second one tells when it did.

    Some models do begin all answers alike (a blank, a mark for thinking), and a server may read all
    prompts before it goes on with any: so this is a doubt, and no more. Who begins as many
    otherwise as the tail leaves out (FAKED_SHARE) gains nothing by the rest.
    """
    rule, begins = "own_first_token", log.completed & (log.first_token >= 0)
    questions = len(np.unique(log.index[begins]))
    streamed = log.has_tpot & (np.diff(log.stamp_start) >= _LEAST_TOKENS)
    if questions < _LEAST_QUESTIONS or not (begins & streamed).any():
        least = f"{_LEAST_QUESTIONS} questions with {_LEAST_TOKENS} streamed tokens"
        return Verdict(rule, "SKIPPED", detail=f"it takes {least} to tell")
    tokens, counts = np.unique(log.first_token[begins], return_counts=True)
    share, token = counts.max() / counts.sum(), tokens[counts.argmax()]
    alike = begins & streamed & (log.first_token == token)
    chosen = alike if alike.any() else begins & streamed
    first_ms, later_ms = _waits_ms(log, chosen)
    detail = f"{len(tokens)} different ones for {questions} questions"
    found = Verdict(rule, "PASS", first_ms, _LONG_WAIT * later_ms, "ms", detail)
    if share <= 1 - output_rules.FAKED_SHARE or first_ms <= _LONG_WAIT * later_ms:
        return found
    how_many = "all" if len(tokens) == 1 else f"{100 * share:.0f} % of the"
    detail = (
        f"{how_many} answers begin with token {token}, and then wait {first_ms:.4g} ms, later"
        f" {later_ms:.4g} ms a token"
    )
    todo = "report the first token that depends on the prompt as the first"
    evidence = ids_of(np.flatnonzero(alike))
    return replace(found, status="UNDECIDED", detail=detail, evidence=evidence, remedy=todo)


def _waits_ms(log: RunLog, chosen: NDArray[np.bool_]) -> tuple[float, float]:
    """Return medians: how long the second token takes, and how long each later one."""
    at, end = log.stamp_start[:-1][chosen], log.stamp_start[1:][chosen]
    second_ns = log.stamp_ns[at + 1]
    later_ns = (log.stamp_ns[end - 1] - second_ns) / (end - at - 2)
    return float(np.median(second_ns - log.stamp_ns[at])) / 1e6, float(np.median(later_ns)) / 1e6
