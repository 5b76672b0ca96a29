"""Does a run keep what MLPerf's compliance tests are there to protect? Each verdict names the test it stands for.

    TEST06   the output is what it says it is             the run alone
    TEST01   answers under load are the model's answers   an accuracy run; and repeats within the run
    TEST04   no answer is kept for the next time          a run of one sample (--issue same); and repeats within the run
    TEST07   the quality holds under load                 an accuracy run and references
    TEST09   the answers are as long as they should be    an accuracy run, or a figure

The official scripts read 100 logged answers, look for EOS at the end only and by Llama 2's id, accept an empty first token
and an INVALID run, and repeat one sample that everybody knows. Here every completed sample counts, EOS is the model's own,
and the sample to repeat depends on the run.

What differs by rounding has to pass, so the limits are tolerances: a batch of another size rounds differently and breaks
near ties. SmolLM2-135M, 64 answers of 32 tokens, server against offline: all 64 the same in FP32, 47 in BF16.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from accuracy import output_rules
from accuracy.audited import Audited, companions, faults
from accuracy.compliance_answers import test01, test07, test09
from accuracy.compliance_caching import test04
from harness.types import FINISHES, NEVER, RunLog, Sample, SutFacts, Verdict

_CUT, _STOPPED = FINISHES.index("length"), FINISHES.index("stop")


def audit(
    run: Audited,
    others: Sequence[Audited] = (),
    samples: Sequence[Sample] = (),
    tokens_per_sample: float | None = None,
) -> list[Verdict]:
    """All tests, TEST06 first. `others`: at most one accuracy run and one with --issue same.

    `samples` are the run's own (references, limits); `tokens_per_sample` is a published length, for TEST09.
    Raises BadInput for a companion that cannot be compared.
    """
    found = companions(run, others)
    accuracy, same = found.get("accuracy"), found.get("same")
    return [
        _valid_runs([run, *others]),
        *_test06(run, samples),
        *test01(run, accuracy, samples),
        *test04(run, same),
        test07(run, accuracy, samples),
        test09(run, accuracy, tokens_per_sample),
    ]


# ---- TEST06: the output is what it says it is


def _valid_runs(runs: Sequence[Audited]) -> Verdict:
    """TEST06 takes an INVALID run, and so does the submission checker; TEST01 and TEST04 do not, and neither do we."""
    bad = [f"{run.run_id} is {run.status}" for run in runs if run.status != "VALID"]
    fine = f"{len(runs)} of {len(runs)} VALID"
    remedy = "see why: python -m harness report RUN"
    return faults("TEST06 valid_runs", len(bad), "; ".join(bad) or fine, (), remedy, "invalid")


def _test06(run: Audited, samples: Sequence[Sample]) -> list[Verdict]:
    """The output rules of every run, and what an audit asks beyond them."""
    log, facts = run.log, run.facts
    found = [
        output_rules.samples_complete(log, facts),
        output_rules.events_in_order(log, facts),
        output_rules.first_token(log, facts),
        output_rules.token_count(log, facts),
        _eos(log, facts),
        _not_empty(log),
        _not_cut_short(run, samples),
    ]
    return [replace(verdict, rule=f"TEST06 {verdict.rule}") for verdict in found]


def _eos(log: RunLog, facts: SutFacts) -> Verdict:
    """The rule of every run, but naming no EOS id does not switch it off."""
    found = output_rules.eos(log, facts)
    if found.status != "SKIPPED" or not len(log.token_ids):
        return found
    return replace(found, status="UNDECIDED", remedy="let the SUT name the model's EOS ids in its facts (eos_ids)")


def _not_empty(log: RunLog) -> Verdict:
    """Every completed answer begins with a token; where a SUT sends no ids at all, it has text or a count."""
    done, has_ids = log.completed, np.diff(log.token_start) > 0
    remedy = "answer with at least one token, and report that one first"
    if not has_ids.any():
        has_text = np.array([bool(log.texts.get(i)) for i in range(len(log))], np.bool_)
        bad = np.flatnonzero(done & ~has_text & (log.reported_tokens <= 0))
        detail = f"sample {bad[0]}: no ids, no text, no count" if len(bad) else "all have text or a count; no ids to see"
        return faults("not_empty", len(bad), detail, bad, remedy)
    begins = np.full(len(log), NEVER, np.int64)
    begins[has_ids] = log.token_ids[log.token_start[:-1][has_ids]]
    bad = np.flatnonzero(done & ((begins < 0) | ((log.first_ns >= 0) & (log.first_token < 0))))
    detail = "all begin with a token"
    if len(bad):
        i = int(bad[0])
        tokens = f"first token {log.first_token[i]}, final {begins[i]}" if has_ids[i] else "completed without any token"
        detail = f"sample {i}: position 0: {tokens}"
    return faults("not_empty", len(bad), detail, bad, remedy)


def _not_cut_short(run: Audited, samples: Sequence[Sample]) -> Verdict:
    """An answer ends by EOS or at its limit, neither before nor after it (rules, section 8.2)."""
    log, tokens = run.log, run.log.tokens
    limits = {s.index: s.max_new_tokens for s in samples}
    limit = np.array([limits.get(index, run.settings.max_new_tokens) for index in log.index.tolist()], np.int64)
    done = log.completed & (tokens > 0)
    cut, over = done & (log.finish == _CUT) & (tokens < limit), done & (tokens > limit)
    bad = np.flatnonzero(cut | over)
    if not done.any():
        return Verdict("not_cut_short", "SKIPPED", detail="no tokens were counted")
    if len(bad):
        i = int(bad[0])
        how = "cut off for its length" if cut[i] else "goes on"
        detail = f"sample {i}: {how} at position {min(tokens[i], limit[i])}, the limit is {limit[i]} tokens"
        remedy = "generate to EOS or to --max-new-tokens, as the reference does"
        return faults("not_cut_short", len(bad), detail, bad, remedy)
    early = np.flatnonzero(done & (log.finish == _STOPPED) & (tokens < limit) & (np.diff(log.token_start) > 0))
    if not len(early):
        return faults("not_cut_short", 0, "all end by EOS or at the limit", early, "")
    detail = f"sample {early[0]}: says it stopped at position {tokens[early[0]]}, without EOS; no stop text was asked for"
    found = faults("not_cut_short", len(early), detail, early, "return the EOS too, and report finish 'eos'")
    return replace(found, status="UNDECIDED")
