"""TEST07 and TEST09: are the answers given under load as good and as long as they should be?

Beside an accuracy run: as good and as long as its answers to the same questions. A run made with
the official audit.config of one of the two is judged by the figure of that file as well. Where
MLPerf's ROUGE cannot read the references (`metrics.words`), multilingual ROUGE scores them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from accuracy.compliance.answers import SIGNIFICANCE, Pairs, matched
from accuracy.compliance.audited import Audited, ids_of, needs
from accuracy.metrics import multilingual, rouge
from accuracy.metrics.references import text_references
from accuracy.metrics.words import is_unread
from harness.kernel.types import Int64s, Sample, Verdict

QUALITY = 0.99  # of the accuracy run's ROUGE
LENGTH = 0.10  # either way
SCORE_DIGITS = 1e-6  # scores may differ by the rounding of sums

# ---- TEST07: the quality holds under load


def test07(run: Audited, accuracy: Audited | None, samples: Sequence[Sample]) -> Verdict:
    """Compare the quality on the same questions. The official test compares a subset with a
    published figure.
    """
    rule = "TEST07 quality_under_load"
    if accuracy is None:
        return needs(run, rule, "accuracy")
    pairs = matched(run, accuracy)
    scored = _scores(pairs, samples)
    if scored is None:
        words = "no texts with reference answers to score"
        todo = "use a dataset with reference answers (--reference-column)"
        return Verdict(rule, "SKIPPED", detail=words, remedy=todo)
    if not scored.theirs.any():
        words = f"those {pairs.whose} share no word with the references: there is nothing to keep"
        todo = "see why the answers of the accuracy run score 0, then run again"
        return Verdict(rule, "UNDECIDED", detail=words, remedy=todo)
    return _of_all(_quality(rule, pairs, scored), pairs)


def _of_all(found: Verdict, pairs: Pairs) -> Verdict:
    """Keep what was seen of a part of the answers from passing for all of them."""
    if not pairs.unmatched:
        return found
    detail = found.detail + pairs.more
    if found.status != "PASS":
        return replace(found, detail=detail)
    todo = "let the accuracy run answer every sample"
    return replace(found, status="UNDECIDED", detail=detail, remedy=todo)


def _quality(rule: str, pairs: Pairs, scored: Scored) -> Verdict:
    """Judge the kind of ROUGE that lost most, of those that the accuracy run has any of. Below the
    limit it is a FAIL if chance cannot explain it, else UNDECIDED.
    """
    ours, theirs, ids, kinds = scored
    n, mine, other = len(ours), ours.mean(0), theirs.mean(0)
    ratio = np.divide(mine, other, out=np.full(len(kinds), np.inf), where=other > 0)
    k = int(np.argmin(ratio))
    detail = f"{kinds[k]} {100 * mine[k]:.2f}, those {pairs.whose} {100 * other[k]:.2f}"
    detail += f", over {n} questions"
    percent, limit = 100 * float(ratio[k]), 100 * QUALITY
    found = Verdict(rule, "PASS", percent, limit, "% of its ROUGE", detail)
    if ratio[k] >= QUALITY:
        return found
    worst = ids_of(ids[np.argsort(ours[:, k] - theirs[:, k], kind="stable")])
    margin = _chance(ours[:, k] - QUALITY * theirs[:, k]) / other[k]
    if ratio[k] + margin < QUALITY:
        todo = "use the same weights, precision and limits in every mode"
        return replace(found, status="FAIL", evidence=worst, remedy=todo)
    needed = "more"
    if np.isfinite(margin):
        detail += f", and chance alone moves it by {100 * margin:.1f} %"
        needed = f"about {int(np.ceil(n * (margin / (1 - QUALITY)) ** 2)):,}"
    todo = f"ask more questions (--min-queries): {needed} would decide it"
    return replace(found, status="UNDECIDED", detail=detail, evidence=worst, remedy=todo)


class Scored(NamedTuple):
    """The scores of both runs, one row per question, one column per kind, and a sample id of each
    question.
    """

    ours: NDArray[Any]
    theirs: NDArray[Any]
    ids: Int64s
    kinds: Sequence[str]


def _scores(pairs: Pairs, samples: Sequence[Sample]) -> Scored | None:
    """Score the answers that have a reference; None where there are none, or no texts. An answer
    without text scores 0.
    """
    references = text_references(samples)
    index = pairs.log.index[pairs.ids]
    there = np.isin(index, list(references))
    if not there.any() or not pairs.log.texts or not pairs.their_log.texts:
        return None

    questions, first, row = np.unique(index[there], return_index=True, return_inverse=True)
    unread = sum(is_unread(references[question]) for question in questions.tolist())
    metric = rouge if unread <= (1 - QUALITY) * len(questions) else multilingual

    @cache
    def scored(question: int, text: str) -> tuple[float, ...]:
        return metric.score(text, references[question])

    times = np.bincount(row)[:, None]
    means = []
    for log, ids in ((pairs.log, pairs.ids[there]), (pairs.their_log, pairs.their_ids[there])):
        total = np.zeros((len(questions), len(metric.KINDS)))
        asked = zip(index[there].tolist(), ids.tolist(), strict=True)
        np.add.at(total, row, [scored(q, log.texts.get(i, "")) for q, i in asked])
        means.append(total / times)
    return Scored(means[0], means[1], pairs.ids[there][first], metric.KINDS)


def _chance(differences: NDArray[Any]) -> float:
    """Return how far chance moves their mean (one-sided, by Student's t); infinite for one
    difference.
    """
    from scipy.stats import t

    n = len(differences)
    if n < 2:
        return float("inf")
    return float(t.ppf(1 - SIGNIFICANCE, n - 1) * differences.std(ddof=1) / np.sqrt(n))


# ---- TEST09: the answers are as long as they should be


def test09(run: Audited, accuracy: Audited | None, tokens_per_sample: float | None) -> Verdict:
    """Check that the mean tokens are within 10 % of a published figure or, question by question, of
    the accuracy run.
    """
    if not run.log.tokens.any():
        return _uncounted("no tokens were counted")
    if tokens_per_sample is not None:
        tokens = run.log.tokens[run.log.completed]
        return _length(tokens, tokens_per_sample, "published", ())
    if accuracy is None:
        return needs(run, "TEST09 output_length", "accuracy")
    if not accuracy.log.tokens.any():
        return _uncounted("no tokens of the accuracy run were counted")
    pairs = matched(run, accuracy)
    tokens, theirs = run.log.tokens[pairs.ids], accuracy.log.tokens[pairs.their_ids]
    worst = ids_of(pairs.ids[np.argsort(-np.abs(tokens - theirs), kind="stable")])
    expected = float(theirs.mean()) if len(theirs) else 0.0
    return _of_all(_length(tokens, expected, "in the accuracy run", worst), pairs)


def _uncounted(detail: str) -> Verdict:
    todo = "let the SUT report how many tokens its answers have"
    return Verdict("TEST09 output_length", "SKIPPED", detail=detail, remedy=todo)


def _length(tokens: Int64s, expected: float, whose: str, worst: tuple[int, ...]) -> Verdict:
    rule = "TEST09 output_length"
    if expected <= 0 or not len(tokens):
        return Verdict(rule, "SKIPPED", detail="no question is in common, or none was answered")
    mean, low, high = float(tokens.mean()), (1 - LENGTH) * expected, (1 + LENGTH) * expected
    inside = low <= mean <= high
    todo = "generate to EOS or to --max-new-tokens in every mode, without padding"
    detail = f"{mean:.2f} a sample, {expected:.2f} {whose}; {low:.2f} to {high:.2f} would be fine"
    found = Verdict(rule, "PASS", mean, low if mean < expected else high, "tokens", detail)
    return found if inside else replace(found, status="FAIL", evidence=worst, remedy=todo)


# ---- the answers that are scored are those that were timed


def scored_answers(published: Mapping[str, float], recorded: Mapping[str, float] | None) -> Verdict:
    """Check that the scores are those of the recorded answers. `recorded` is what the recorded
    answers score, None if nobody can tell.
    """
    rule = "SCORES recorded_answers"
    if recorded is None:
        words = "the dataset has moved or changed: nothing to score the answers against"
        return Verdict(rule, "SKIPPED", detail=words)
    if not recorded:
        return Verdict(rule, "SKIPPED", detail="the run has no scores")
    missing = float("inf")
    off = {name: abs(published.get(name, missing) - value) for name, value in recorded.items()}
    wrong = [name for name, by in off.items() if by > SCORE_DIGITS * max(1.0, abs(recorded[name]))]
    if not wrong:
        detail = f"{len(recorded)} scores are those of the recorded answers"
        return Verdict(rule, "PASS", 0, 0, "scores differ", detail)
    name = wrong[0]
    detail = f"{name} is {published.get(name)} in result.json"
    detail += f", the recorded answers score {recorded[name]:.6g}"
    todo = "harness report RUN scores the answers again"
    return Verdict(rule, "FAIL", len(wrong), 0, "scores differ", detail, remedy=todo)
