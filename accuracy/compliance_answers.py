"""TEST01, TEST07 and TEST09: are the answers given under load the model's own, as good and as long
as they should be?
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from accuracy.audited import Audited, ids_of, needs
from accuracy.references import text_references
from accuracy.rouge import KINDS, score
from harness.types import NEVER, Int64s, RunLog, Sample, Status, Verdict

IDENTICAL = 0.99  # share of equal answers that leaves no question
# where more than one token in 20 turns an answer off, it is not rounding (BF16: one in 100)
TURNS_PER_TOKEN = 0.05
QUALITY = 0.99  # of the accuracy run's ROUGE
LENGTH = 0.10  # either way
SCORE_DIGITS = 1e-6  # scores may differ by the rounding of sums
SIGNIFICANCE = 0.01  # the chance, per test, of doubting an honest run

# ---- TEST01: answers under load are the model's answers


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

    @property
    def more(self) -> str:
        return f"; {self.unmatched} more have no counterpart" if self.unmatched else ""


def test01(run: Audited, accuracy: Audited | None, samples: Sequence[Sample]) -> list[Verdict]:
    """The official test takes the first logged answer per question of the accuracy run; so do we,
    for every sample.
    """
    rule = "TEST01 same_answers"
    first_ids, again_ids = repeats(run.log)
    repeated = Pairs("given the first time", run.log, again_ids, run.log, first_ids)
    return [
        (
            needs(run, rule, "accuracy")
            if accuracy is None
            else _same_answers(rule, _matched(run, accuracy), samples)
        ),
        _same_answers("TEST01 repeats_agree", repeated, samples),
    ]


def _matched(run: Audited, accuracy: Audited) -> Pairs:
    """Every completed sample with the accuracy run's first completed answer to the same
    question.
    """
    log, reference = run.log, accuracy.log
    ids, theirs = np.flatnonzero(log.completed), np.flatnonzero(reference.completed)
    known, first = np.unique(reference.index[theirs], return_index=True)
    matched = ids[np.isin(log.index[ids], known)]
    at = first[np.searchsorted(known, log.index[matched])]
    return Pairs(
        "of the accuracy run", log, matched, reference, theirs[at], len(ids) - len(matched)
    )


def repeats(log: RunLog) -> tuple[Int64s, Int64s]:
    """(first_ids, again_ids): every later completed issue of a question, and its first one."""
    ids = np.flatnonzero(log.completed)
    _, first, question = np.unique(log.index[ids], return_index=True, return_inverse=True)
    first_ids = ids[first[question]]
    again = first_ids != ids
    return first_ids[again], ids[again]


def _same_answers(rule: str, pairs: Pairs, samples: Sequence[Sample]) -> Verdict:
    """Equal up to rounding: nearly all the same; or, as TEST01's fallback has it, seldom turning
    off and as good.
    """
    n = len(pairs.ids)
    ours, theirs = _answers(pairs)
    if not n or not any(map(len, ours + theirs)):
        detail = (
            "no question was answered twice" if not n else "no token ids and no texts to compare"
        )
        return Verdict(rule, "SKIPPED", detail=detail)
    lengths = np.array([(len(a), len(b)) for a, b in zip(ours, theirs, strict=True)])
    at = np.array([_first_difference(a, b) for a, b in zip(ours, theirs, strict=True)])
    differ, ends = at != NEVER, at == lengths.min(1)
    worst = sorted(np.flatnonzero(differ), key=lambda k: (not ends[k], at[k]))
    detail = f"{n - len(worst)} of {n} answers are those {pairs.whose}"
    if worst:
        k = int(worst[0])
        here, there = (
            str(answer[at[k]]) if at[k] < len(answer) else "the end"
            for answer in (ours[k], theirs[k])
        )
        detail += (
            f"; sample {pairs.ids[k]} (index {pairs.log.index[pairs.ids[k]]}) has {here} at"
            f" position {at[k]}, not {there}"
        )
    share = 1 - len(worst) / n
    found = Verdict(
        rule, "PASS", 100 * share, 100 * IDENTICAL, "% the same", detail, ids_of(pairs.ids[worst])
    )
    turns, compared = len(worst), int(np.where(differ, at + 1, lengths[:, 0]).sum())

    if ends[differ].any():
        why = f"; {int(ends[differ].sum())} end early or run on, which rounding cannot do"
        return replace(
            found,
            status="FAIL",
            detail=detail + why,
            remedy="run the same code with the same limits in every mode",
        )
    if pairs.unmatched:
        remedy = "let the accuracy run answer every sample"
        return replace(found, status="UNDECIDED", detail=detail + pairs.more, remedy=remedy)
    if share >= IDENTICAL:
        return found
    if _beyond_rounding(turns, compared):
        why = (
            f"; one token in {compared / turns:.0f} turns an answer off, rounding at most one in"
            f" {1 / TURNS_PER_TOKEN:.0f}"
        )
        remedy = "use the same weights, precision and prompts in every mode; keep no answers"
        return replace(found, status="FAIL", detail=detail + why, remedy=remedy)
    return _by_quality(found, _quality(pairs, samples))


def _answers(pairs: Pairs) -> tuple[list[NDArray[Any]], list[NDArray[Any]]]:
    """Token ids; the words of the texts if one of the runs has no ids."""
    with_ids = len(pairs.log.token_ids) > 0 and len(pairs.their_log.token_ids) > 0

    def answer(log: RunLog, i: int) -> NDArray[Any]:
        if with_ids:
            return log.token_ids[log.token_start[i] : log.token_start[i + 1]]
        return np.array(log.texts.get(i, "").split(), np.str_)

    ours = [answer(pairs.log, i) for i in pairs.ids.tolist()]
    return ours, [answer(pairs.their_log, i) for i in pairs.their_ids.tolist()]


def _first_difference(ours: NDArray[Any], theirs: NDArray[Any]) -> int:
    """The first position where they differ, the end of the shorter one included; NEVER if they are
    equal.
    """
    n = min(len(ours), len(theirs))
    unlike = np.flatnonzero(ours[:n] != theirs[:n])
    if len(unlike):
        return int(unlike[0])
    return NEVER if len(ours) == len(theirs) else n


def _beyond_rounding(turns: int, compared: int) -> bool:
    """More than chance makes of TURNS_PER_TOKEN. (A rate per token says the same of long and short
    answers.)
    """
    from scipy.stats import binom

    return bool(binom.sf(turns - 1, compared, TURNS_PER_TOKEN) < SIGNIFICANCE)


def _by_quality(found: Verdict, quality: _Quality | None) -> Verdict:
    """Answers that differ as rounding makes them differ have to be as good."""
    if quality is None:
        why = "; to see whether the others are as good takes texts and reference answers"
        return replace(
            found,
            status="UNDECIDED",
            detail=found.detail + why,
            remedy="use a dataset with reference answers",
        )
    return replace(
        found,
        status=quality.status,
        measured=quality.percent,
        limit=100 * QUALITY,
        unit="% of its ROUGE",
        detail=f"{found.detail}; {quality.detail}",
        remedy=quality.remedy,
    )


# ---- TEST07: the quality holds under load


class _Quality(NamedTuple):
    status: Status
    percent: float  # of the others' ROUGE
    detail: str
    remedy: str
    worst: tuple[int, ...]  # samples that lost most


def test07(run: Audited, accuracy: Audited | None, samples: Sequence[Sample]) -> Verdict:
    """On the same questions. The official test compares a subset with a published figure."""
    rule = "TEST07 quality_under_load"
    if accuracy is None:
        return needs(run, rule, "accuracy")
    pairs = _matched(run, accuracy)
    quality = _quality(pairs, samples)
    if quality is None:
        words = "no texts with reference answers to score"
        return Verdict(
            rule,
            "SKIPPED",
            detail=words,
            remedy="use a dataset with reference answers (--reference-column)",
        )
    status, percent, detail, remedy, worst = quality
    evidence = worst if status != "PASS" else ()
    return Verdict(
        rule,
        status,
        percent,
        100 * QUALITY,
        "% of its ROUGE",
        detail + pairs.more,
        evidence,
        remedy,
    )


def _quality(pairs: Pairs, samples: Sequence[Sample]) -> _Quality | None:
    """The kind of ROUGE that lost most. Below the limit it is a FAIL if chance cannot explain it,
    else UNDECIDED.
    """
    scored = _scores(pairs, samples)
    if scored is None or not scored[1].any():
        return None
    ours, theirs, ids = scored
    n, mine, other = len(ours), ours.mean(0), theirs.mean(0)
    ratio = np.divide(mine, other, out=np.full(len(KINDS), np.inf), where=other > 0)
    k = int(np.argmin(ratio))
    margin = _chance(ours[:, k] - QUALITY * theirs[:, k]) / other[k]
    detail = (
        f"{KINDS[k]} {100 * mine[k]:.2f}, those {pairs.whose} {100 * other[k]:.2f}, over {n}"
        " questions"
    )
    worst = ids_of(ids[np.argsort(ours[:, k] - theirs[:, k], kind="stable")])
    percent = 100 * float(ratio[k])
    if ratio[k] >= QUALITY:
        return _Quality("PASS", percent, detail, "", worst)
    if ratio[k] + margin < QUALITY:
        return _Quality(
            "FAIL",
            percent,
            detail,
            "use the same weights, precision and limits in every mode",
            worst,
        )
    needed = (
        f"about {int(np.ceil(n * (margin / (1 - QUALITY)) ** 2)):,}"
        if np.isfinite(margin)
        else "more"
    )
    detail += f", and chance alone moves it by {100 * margin:.1f} %" if np.isfinite(margin) else ""
    return _Quality(
        "UNDECIDED",
        percent,
        detail,
        f"ask more questions (--min-queries): {needed} would decide it",
        worst,
    )


def _scores(
    pairs: Pairs, samples: Sequence[Sample]
) -> tuple[NDArray[Any], NDArray[Any], Int64s] | None:
    """(ours, theirs, a sample id): one row per question, one column per kind. An answer without
    text scores 0.
    """
    references = text_references(samples)
    index = pairs.log.index[pairs.ids]
    there = np.isin(index, list(references))
    if not there.any() or not pairs.log.texts or not pairs.their_log.texts:
        return None

    @cache
    def scored(question: int, text: str) -> tuple[float, ...]:
        return score(text, references[question])

    questions, first, row = np.unique(index[there], return_index=True, return_inverse=True)
    times = np.bincount(row)[:, None]
    means = []
    for log, ids in ((pairs.log, pairs.ids[there]), (pairs.their_log, pairs.their_ids[there])):
        total = np.zeros((len(questions), len(KINDS)))
        np.add.at(
            total,
            row,
            [
                scored(q, log.texts.get(i, ""))
                for q, i in zip(index[there].tolist(), ids.tolist(), strict=True)
            ],
        )
        means.append(total / times)
    return means[0], means[1], pairs.ids[there][first]


def _chance(differences: NDArray[Any]) -> float:
    """How far chance moves their mean (one-sided, by Student's t); infinite for one difference."""
    from scipy.stats import t

    n = len(differences)
    return (
        float(t.ppf(1 - SIGNIFICANCE, n - 1) * differences.std(ddof=1) / np.sqrt(n))
        if n > 1
        else float("inf")
    )


# ---- TEST09: the answers are as long as they should be


def test09(run: Audited, accuracy: Audited | None, tokens_per_sample: float | None) -> Verdict:
    """Mean tokens within 10 % of a published figure or, question by question, of the accuracy
    run.
    """
    rule, log, more = "TEST09 output_length", run.log, ""
    evidence: tuple[int, ...] = ()
    ids = np.flatnonzero(log.completed)
    if tokens_per_sample is not None:
        expected, whose = tokens_per_sample, "published"
    elif accuracy is not None:
        pairs = _matched(run, accuracy)
        ids, theirs = pairs.ids, accuracy.log.tokens[pairs.their_ids]
        expected, whose, more = (
            float(theirs.mean()) if len(theirs) else 0.0,
            "in the accuracy run",
            pairs.more,
        )
        evidence = ids_of(ids[np.argsort(-np.abs(log.tokens[ids] - theirs), kind="stable")])
    else:
        return needs(run, rule, "accuracy")
    tokens = log.tokens[ids]
    if expected <= 0 or not log.tokens.any():
        return Verdict(
            rule, "SKIPPED", detail="no tokens were counted, or no question is in common"
        )
    mean, low, high = float(tokens.mean()), (1 - LENGTH) * expected, (1 + LENGTH) * expected
    inside = low <= mean <= high
    return Verdict(
        rule=rule,
        status="PASS" if inside else "FAIL",
        measured=mean,
        limit=low if mean < expected else high,
        unit="tokens",
        detail=(
            f"{mean:.2f} a sample, {expected:.2f} {whose}; {low:.2f} to {high:.2f} would be"
            f" fine{more}"
        ),
        evidence=() if inside else evidence,
        remedy=(
            ""
            if inside
            else "generate to EOS or to --max-new-tokens in every mode, without padding"
        ),
    )


# ---- the answers that are scored are those that were timed


def scored_answers(published: Mapping[str, float], recorded: Mapping[str, float] | None) -> Verdict:
    """Scores from somewhere else do not count. `recorded` is what the recorded answers score, None
    if nobody can tell.
    """
    rule = "SCORES recorded_answers"
    if recorded is None:
        return Verdict(
            rule,
            "SKIPPED",
            detail="the dataset has moved or changed: nothing to score the answers against",
        )
    if not recorded:
        return Verdict(rule, "SKIPPED", detail="the run has no scores")
    missing = float("inf")
    off = {name: abs(published.get(name, missing) - value) for name, value in recorded.items()}
    wrong = [name for name, by in off.items() if by > SCORE_DIGITS * max(1.0, abs(recorded[name]))]
    if not wrong:
        return Verdict(
            rule,
            "PASS",
            0,
            0,
            "scores differ",
            f"{len(recorded)} scores are those of the recorded answers",
        )
    name = wrong[0]
    detail = (
        f"{name} is {published.get(name)} in result.json, the recorded answers score"
        f" {recorded[name]:.6g}"
    )
    return Verdict(
        rule,
        "FAIL",
        len(wrong),
        0,
        "scores differ",
        detail,
        remedy="harness report RUN scores the answers again",
    )
