"""TEST01: are the answers given under load the model's own?

One threshold for all: answers to the same question are the same in IDENTICAL of the cases, or the
check does not pass. Greedy decoding leaves no choice, but a batch of another size rounds
differently and decides near ties otherwise, so under load a miss is not yet a fault:

    FAIL       answers end early or run on; or they turn off more often than any batch makes them
               (NOISE_PER_TOKEN); or they differ although each was decoded alone
    UNDECIDED  anything between, until a run that asks one question at a time stands beside it
    PASS       with such a run, if its repeats agree (so it is the batches) and if answers turn off
               as seldom as rounding does (ROUNDING_PER_TOKEN)

Repeats under load, SmolLM2-135M, 48 tokens, on the CPU: BF16 turned off at one token in 172 (54 of
72 the same) and in 110 (61 of 96), NF4 at one in 100 (60 of 96), INT8 by bitsandbytes, which looks
for outliers per batch, at one in 18 (5 of 96). One at a time 29 of 29 repeats in BF16 were equal.
Given the same text, BF16 chooses another token than FP32 at one in 33, INT8 at one in 10.

Whether answers that differ are as good is TEST07's question.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from accuracy.compliance.audited import Audited, command, ids_of, needs
from accuracy.gate.differences import first_differences
from harness.kernel.log import RunLog
from harness.kernel.types import NEVER, Int64s, Verdict

SAME_ANSWERS = "TEST01 same_answers"  # the name of a rule
IDENTICAL = 0.99
ROUNDING_PER_TOKEN, NOISE_PER_TOKEN = 0.02, 0.10
SIGNIFICANCE = 0.01  # the chance, per test, of doubting an honest run
LEAST_ALONE = 20  # repeats that a run one at a time must have


class Pairs(NamedTuple):
    """Two answers to the same question: sample ids[k] of `log` and sample their_ids[k] of
    `their_log`.
    """

    whose: str  # the other answers are those ...
    log: RunLog
    ids: Int64s
    their_log: RunLog
    their_ids: Int64s
    unmatched: int = 0  # completed samples that have no counterpart
    is_alone: bool = False  # every answer was decoded by itself

    @property
    def more(self) -> str:
        return f"; {self.unmatched} more have no counterpart" if self.unmatched else ""


class _Comparison(NamedTuple):
    """What `pairs` of answers have in common."""

    pairs: int
    differing: list[int]  # positions in the pairs: first those that end early, then by where
    ends: int  # so many of them end early or run on
    tokens: int  # compared, up to the first difference of each
    detail: str

    @property
    def share(self) -> float:
        return 1 - len(self.differing) / self.pairs


def test01(run: Audited, accuracy: Audited | None, alone: Audited | None) -> list[Verdict]:
    """Compare the answers. The official test takes the first logged answer per question of the
    accuracy run; so do we, for every sample.
    """
    same = needs(run, SAME_ANSWERS, "accuracy")
    if accuracy is not None:
        same = _agreement(SAME_ANSWERS, run, matched(run, accuracy), alone)
    return [same, _agreement("TEST01 repeats_agree", run, _repeated(run), alone)]


def matched(run: Audited, accuracy: Audited) -> Pairs:
    """Pair every completed sample with the accuracy run's first completed answer to the same
    question.
    """
    log, reference = run.log, accuracy.log
    ids, theirs = np.flatnonzero(log.completed), np.flatnonzero(reference.completed)
    known, first = np.unique(reference.index[theirs], return_index=True)
    found = ids[np.isin(log.index[ids], known)]
    at = first[np.searchsorted(known, log.index[found])]
    return Pairs(
        "of the accuracy run",
        log,
        found,
        reference,
        theirs[at],
        unmatched=len(ids) - len(found),
        is_alone=_is_alone(run) and _is_alone(accuracy),
    )


def _repeated(run: Audited) -> Pairs:
    first_ids, again_ids = repeats(run.log)
    is_alone = _is_alone(run)
    return Pairs("given the first time", run.log, again_ids, run.log, first_ids, is_alone=is_alone)


def _is_alone(run: Audited) -> bool:
    return run.pattern.is_one_by_one


def repeats(log: RunLog) -> tuple[Int64s, Int64s]:
    """Return (first_ids, again_ids): every later completed issue of a question, and its first."""
    ids = np.flatnonzero(log.completed)
    _, first, question = np.unique(log.index[ids], return_index=True, return_inverse=True)
    first_ids = ids[first[question]]
    again = first_ids != ids
    return first_ids[again], ids[again]


# ---- the verdict


def _agreement(rule: str, run: Audited, pairs: Pairs, alone: Audited | None) -> Verdict:
    seen = _compare(pairs)
    if seen is None:
        found = "no token ids and no texts to compare"
        words = found if len(pairs.ids) else "no question was answered twice"
        return Verdict(rule, "SKIPPED", detail=words)
    verdict = Verdict(
        rule,
        "PASS",
        100 * seen.share,
        100 * IDENTICAL,
        "% the same",
        seen.detail,
        ids_of(pairs.ids[seen.differing]),
    )
    if seen.ends:
        why = f"{seen.ends} end early or run on, which rounding cannot do"
        return _blamed(verdict, why, "run the same code with the same limits in every mode")
    if seen.share < IDENTICAL and _is_above(NOISE_PER_TOKEN, seen):
        why = f"{_rate(seen)}, batches of other sizes at most one in {1 / NOISE_PER_TOKEN:.0f}"
        todo = "use the same weights, precision and prompts in every mode; keep no answers"
        return _blamed(verdict, why, todo)
    if seen.share < IDENTICAL and pairs.is_alone:
        why = "each was decoded alone, so there was no batch to round differently"
        return _blamed(verdict, why, "decode greedily, and keep no state between queries")
    if pairs.unmatched:
        todo = "let the accuracy run answer every sample"
        return replace(verdict, status="UNDECIDED", detail=seen.detail + pairs.more, remedy=todo)
    return verdict if seen.share >= IDENTICAL else _by_rounding(verdict, seen, run, alone)


def _blamed(verdict: Verdict, why: str, todo: str) -> Verdict:
    return replace(verdict, status="FAIL", detail=f"{verdict.detail}; {why}", remedy=todo)


def _by_rounding(
    verdict: Verdict, seen: _Comparison, run: Audited, alone: Audited | None
) -> Verdict:
    """Judge by a run without batches: only that tells whether it is the batches, and only what is
    as rare as rounding passes for it.
    """
    detail = f"{verdict.detail}; {_rate(seen)}"
    steady = None if alone is None else _compare(_repeated(alone))
    if steady is None or steady.pairs < LEAST_ALONE:
        todo = f"to see whether it is the batches, add --with this run: {command(run, 'alone')}"
        return replace(verdict, status="UNDECIDED", detail=detail, remedy=todo)
    detail += f"; one at a time {steady.pairs - len(steady.differing)} of {steady.pairs} agree"
    if steady.share < IDENTICAL:
        todo = "decode greedily, and keep no state between queries"
        return replace(verdict, status="FAIL", detail=detail, remedy=todo)
    if not _is_above(ROUNDING_PER_TOKEN, seen):
        return replace(verdict, detail=f"{detail}, so it is how batches round")
    detail += f"; rounding turns off at most one in {1 / ROUNDING_PER_TOKEN:.0f}"
    todo = "use a precision whose answers depend less on the batch"
    return replace(verdict, status="UNDECIDED", detail=detail, remedy=todo)


def _rate(seen: _Comparison) -> str:
    return f"one token in {seen.tokens / len(seen.differing):.0f} turns an answer off"


def _is_above(rate: float, seen: _Comparison) -> bool:
    """Say whether it is more than chance makes of `rate`. (A rate per token says the same of long
    and short answers.)
    """
    from scipy.stats import binom

    turns = len(seen.differing)
    return bool(binom.sf(turns - 1, seen.tokens, rate) < SIGNIFICANCE)


# ---- the comparison


def _compare(pairs: Pairs) -> _Comparison | None:
    """Compare answer by answer; None if there is nothing to compare."""
    n = len(pairs.ids)
    ours, theirs = _answers(pairs)
    if not n or not any(map(len, ours + theirs)):
        return None
    lengths = np.array([(len(a), len(b)) for a, b in zip(ours, theirs, strict=True)])
    at = first_differences(ours, theirs)
    differ, ends = at != NEVER, at == lengths.min(1)
    worst = sorted(np.flatnonzero(differ).tolist(), key=lambda k: (not ends[k], at[k]))
    detail = f"{n - len(worst)} of {n} answers are those {pairs.whose}"
    if worst:
        k = worst[0]
        here, there = (_token(answer, int(at[k])) for answer in (ours[k], theirs[k]))
        detail += (
            f"; sample {pairs.ids[k]} (index {pairs.log.index[pairs.ids[k]]}) has {here} at"
            f" position {at[k]}, not {there}"
        )
    tokens = int(np.where(differ, at + 1, lengths[:, 0]).sum())
    return _Comparison(n, worst, int(ends[differ].sum()), tokens, detail)


def _token(answer: NDArray[Any], position: int) -> str:
    return str(answer[position]) if position < len(answer) else "the end"


def _answers(pairs: Pairs) -> tuple[list[NDArray[Any]], list[NDArray[Any]]]:
    """Return token ids; the words of the texts if one of the runs has no ids."""
    with_ids = len(pairs.log.token_ids) > 0 and len(pairs.their_log.token_ids) > 0

    def answer(log: RunLog, i: int) -> NDArray[Any]:
        if with_ids:
            return log.token_ids[log.token_start[i] : log.token_start[i + 1]]
        return np.array(log.texts.get(i, "").split(), np.str_)

    ours = [answer(pairs.log, i) for i in pairs.ids.tolist()]
    return ours, [answer(pairs.their_log, i) for i in pairs.their_ids.tolist()]
