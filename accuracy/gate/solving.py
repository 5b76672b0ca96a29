"""Does a candidate still solve what the reference solves? The marks of two runs on the same
questions in, a row of the gate out.

What decides is the share kept: the candidate's mean score over the reference's, or, of BLEU and
chrF, the figure of all its answers together over the reference's. Where every score is right or
wrong, its interval is that of paired shares (`accuracy.gate.paired`); else the paired bootstrap
(`accuracy.gate.ratios`). Two things leave nothing to be kept, so that
no candidate passes: a reference that solves nothing, and one that is not above chance.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any, NamedTuple

import numpy as np

from accuracy.gate import differences, losses, ratios
from accuracy.gate.outputs import Outputs
from accuracy.gate.paired import Paired, interval, needed, paired
from accuracy.gate.ratios import Ratio, Verdict, share_key
from accuracy.gate.readings import Criteria, Row
from accuracy.gate.words import figure_text, rounded
from accuracy.resampling import Floats
from accuracy.tasks.attempts.figures import summary
from accuracy.tasks.marks import Marks, groups_of, marks
from accuracy.tasks.programs import SCORER as PROGRAMS
from accuracy.tasks.scorers import asks_likelihoods
from accuracy.tasks.scoring.pooled import POOLED
from accuracy.tasks.solved import Solved
from harness.kernel.types import Int64s, Sample

READING = "task"
BROKEN = ("error", "timeout", "memory")  # how a program may end that fails otherwise than its test
_LETTERS = 4  # choices, where a task names no continuations for them
_LEAST = 5  # questions of a kind
_OF_A_PART = 2_000  # resamples
Errors = Callable[[Solved, Solved], dict[str, Any]]


def no_errors(reference: Solved, candidate: Solved) -> dict[str, Any]:
    """Analyse nothing."""
    return {}


class Chance(NamedTuple):
    """What guessing solves, and how likely it solves as much as the reference does."""

    share: float
    p_value: float

    def is_beaten(self, confidence: float) -> bool:
        return self.p_value <= 1 - confidence / 100


class Solving:
    """The reference with its marks, beside which candidates are laid one after the other."""

    against = READING

    def __init__(
        self, outputs: Outputs, criteria: Criteria, scorer: str, errors: Errors = no_errors
    ) -> None:
        self.criteria, self.scorer, self._errors = criteria, scorer, errors
        self._own = marks(outputs.marks, scorer)
        own = [row["score"] for row in outputs.marks if row["scorer"] == scorer]
        self._is_graded = self._own.counts is not None or not set(own) <= {0.0, 1.0}
        self.outputs = replace(outputs, problem=outputs.problem or self._problem(outputs))
        self.chance = _chance(list((outputs.samples or {}).values()), self._own)

    def _problem(self, outputs: Outputs) -> str:
        if outputs.samples is None:
            return "the file of its questions has moved or changed, so its answers cannot be scored"
        if not len(self._own.score):
            return f"no answer of it can be scored by {self.scorer}"
        if len(self._own.score) < 2:
            return f"{len(self._own.score)} of its answers can be scored by {self.scorer}"
        return ""

    def lacks(self, candidate: Outputs) -> str:
        """Say what of a candidate cannot be held against the reference; empty if all can."""
        found = marks(candidate.marks, self.scorer).questions
        if np.array_equal(found, self._own.questions):
            return ""
        n = len(self._own.questions)
        return f"{len(found)} of its {n} answers can be scored by {self.scorer}"

    @property
    def why(self) -> str:
        """Which figures are compared."""
        if not self._is_graded:
            return "right and wrong answers"
        return "scores of answers" if self._own.counts is None else "all answers together"

    @property
    def questions(self) -> int:
        """How many questions were answered: of several attempts at one, once."""
        attempts = (self.outputs.task.get("draws") or {}).get("attempts", 1)
        return len(self.outputs.index) // int(attempts)

    @property
    def solved(self) -> Row:
        """What the reference itself solves."""
        return solved(self.outputs, self._own)

    @property
    def notes(self) -> list[str]:
        """What a reader must know of the task itself."""
        return [f"not above chance: {words}"] if (words := self._guessed()) else []

    def _guessed(self) -> str:
        """Say that guessing solves as much as the reference does; empty if it does not."""
        chance, n = self.chance, len(self._own.score)
        if chance is None or not n or chance.is_beaten(self.criteria.confidence):
            return ""
        found = f"{self.outputs.label} solves {100 * self._own.score.mean():.1f} % of {n}"
        guess = f"guessing solves {100 * chance.share:.4g} %"
        return f"{found}, {guess} (p = {chance.p_value:.2g}), so the task cannot tell"

    # ---- a candidate

    def row(self, candidate: Outputs) -> Row:
        """Return everything that is known of a candidate."""
        theirs = marks(candidate.marks, self.scorer)
        pair = _Pair(theirs, self._own, self.criteria)
        ratio, is_same = pair.ratio(self.scorer), self._is_own(candidate, pair)
        if is_same:
            ratio = replace(ratio, value=1.0, low=1.0, high=1.0)
        calls = {
            share_key(share): self._judge(pair, ratio, share) for share in self.criteria.shares
        }
        verdict = calls[share_key(self.criteria.share)]
        return {
            **candidate.as_row(),
            "status": verdict.status,
            "official": verdict.official,
            "reason": self._reason(ratio, verdict, is_same),
            "failure": "",
            "needed": verdict.needed,
            "readings": {READING: _reading(ratio, calls)},
            **losses.divergence(candidate, self.outputs),
            "labels": self._by_label(pair),
            "worst": [],
            "solved": solved(candidate, theirs),
            "paired": pair.counts and pair.counts._asdict() | {"p_value": pair.counts.p_value},
            "moved": pair.moved,
            "changed": pair.changed,
            "draws": candidate.task.get("draws"),
            "errors": self._errors_of(candidate),
            "notes": list(candidate.notes),
        }

    def _is_own(self, candidate: Outputs, pair: _Pair) -> bool:
        """Is every answer the reference's own, word for word? Likelihoods leave no words."""
        has_words = not self.scorer.startswith("likelihood")
        return has_words and pair.moved == 0 and candidate.texts == self.outputs.texts

    def _errors_of(self, candidate: Outputs) -> dict[str, Any]:
        """Return the analysis of the flips; nothing where a question has several attempts."""
        if len(self._own.questions) < len(self.outputs.index):
            return {}
        return self._errors(self.answers(self.outputs), self.answers(candidate))

    def answers(self, outputs: Outputs) -> Solved:
        """Return what a run answered, for an analysis of its errors."""
        texts = dict(zip(outputs.index.tolist(), outputs.texts, strict=True))
        name = str(outputs.task.get("name", ""))
        samples = self.outputs.samples or {}
        return Solved(outputs.label, name, self.scorer, samples, texts, outputs.marks)

    def _judge(self, pair: _Pair, ratio: Ratio, share: float) -> Verdict:
        """Judge the share kept; a task on which the reference guesses lets nobody pass."""
        verdict = ratios.judge(ratio, share)
        if verdict.status == "UNDECIDED" and pair.counts is not None:
            verdict = verdict._replace(needed=needed(pair.counts, share, self.criteria.confidence))
        if verdict.status != "FAIL" and self._guessed():
            return verdict._replace(status="UNDECIDED", needed=None)
        return verdict

    def _reason(self, ratio: Ratio, verdict: Verdict, is_same: bool) -> str:
        label, key = self.outputs.label, share_key(self.criteria.share)
        if ratio.value is None:
            if self._is_graded:
                return f"{label} scores 0 by {self._title}: there is nothing to keep"
            return f"{label} solves none of {ratio.n}: there is nothing to keep"
        if verdict.status != "FAIL" and (guessed := self._guessed()):
            return f"not above chance: {guessed}"
        if is_same and verdict.status == "PASS":
            return f"every output is {label}'s own, word for word"
        what = f"{label}'s {self._title}" if self._is_graded else f"what {label} solves"
        kept = f"{figure_text(ratio)} of {what}"
        if verdict.status == "PASS":
            return f"keeps {key} %: {kept}"
        if verdict.status == "FAIL":
            return f"{kept} misses {key} %"
        if ratio.low is None:
            return f"{kept}: too few questions to tell; use more"
        more = "no number of questions would decide"
        if verdict.needed:
            more = f"about {rounded(verdict.needed):,} questions would decide"
        return f"{kept} may lie on either side of {key} %; {more}"

    @property
    def _title(self) -> str:
        known = POOLED.get(self.scorer)
        return known.title if known else self.scorer.replace("_", " ").replace(" f1", " F1")

    def _by_label(self, pair: _Pair) -> list[Row]:
        """Return what is kept of each kind of question, by the labels of the questions."""
        columns = groups_of(self.outputs.marks)
        of = {row["index"]: row for row in self.outputs.marks}
        labels = []
        for index in self._own.questions.tolist():
            labels.append([(name, of[index][name]) for name in columns if of[index].get(name)])
        rows = []
        for (key, label), members in differences.groups(labels).items():
            ratio = pair.part(members).ratio(self.scorer)
            rows.append({"key": key, "label": label, "ratio": asdict(ratio)})
        return rows


def solved(outputs: Outputs, found: Marks) -> Row:
    """Return how much a run solves, and how whole its answers are."""
    value, low, high = found.mean
    own = [row for row in outputs.marks if row["scorer"] == found.scorer]
    broken = BROKEN if found.scorer == PROGRAMS else ()
    return {
        "value": value,
        "low": low,
        "high": high,
        "n": len(found.score),
        "right": sum(outcome == "right" for outcome in found.outcome),
        "wrong": sum(outcome == "wrong" for outcome in found.outcome),
        "no_answer": sum(outcome == "no answer" for outcome in found.outcome),
        **{name: sum(outcome == name for outcome in found.outcome) for name in broken},
        "cut": sum(bool(row["is_cut"]) for row in own),
        "attempts": _of_attempts(outputs, found.scorer),
    }


def _of_attempts(outputs: Outputs, scorer: str) -> Row | None:
    """Return what all attempts at a question give together; None where there is one, where answers
    are not right or wrong, and where choices are compared, which are the same in each.
    """
    draws = outputs.task.get("draws")
    if not draws or draws["attempts"] < 2 or asks_likelihoods(scorer):
        return None
    if not {row["score"] for row in outputs.marks if row["scorer"] == scorer} <= {0.0, 1.0}:
        return None
    found = summary(draws, outputs.marks, [scorer], 0.0)
    if not found["at"]:
        return None
    last = found["at"][-1]
    ways = {way: last.get(way) for way in ("pass", "majority")}
    known = {way: {k: row[k] for k in ("value", "low", "high")} if row else None
             for way, row in ways.items()}  # fmt: skip
    return {"k": last["k"], **known}


def _reading(ratio: Ratio, calls: Mapping[str, Verdict]) -> Row:
    """Return what decides as gate.json has a reading."""
    verdicts = {key: verdict._asdict() for key, verdict in calls.items()}
    return {
        "n": ratio.n,
        "unread": 0,
        "unread_changed": 0,
        "ratios": [asdict(ratio) | {"calls": verdicts, "not_judged": ""}],
        "verdicts": verdicts,
    }


class _Pair:
    """The marks of a candidate beside the reference's, of the same questions."""

    def __init__(self, ours: Marks, theirs: Marks, criteria: Criteria) -> None:
        self._ours, self._theirs, self._criteria = ours, theirs, criteria
        is_binary = ours.is_right_or_wrong and theirs.is_right_or_wrong
        self.counts: Paired | None = paired(ours.score, theirs.score) if is_binary else None

    def part(self, members: Int64s) -> _Pair:
        """Return the pair of some of the questions."""
        fewer = self._criteria._replace(resamples=min(self._criteria.resamples, _OF_A_PART))
        return _Pair(self._ours.part(members), self._theirs.part(members), fewer)

    @property
    def moved(self) -> float | None:
        """How much of the reference's score was lost here or won there, as a share of it. Of flips
        half are lost where neither is better. Graded scores nearly all change a little: where each
        change may as well be a gain as a loss, their sum is about the root of their squares' sum.
        """
        change, total = self._ours.score - self._theirs.score, float(self._theirs.score.sum())
        if not total:
            return None
        if self.counts is not None:
            return float(np.abs(change).sum()) / 2 / total
        return float(np.sqrt((change**2).sum())) / total

    @property
    def changed(self) -> int:
        """How many questions have another score."""
        return int((self._ours.score != self._theirs.score).sum())

    def ratio(self, name: str) -> Ratio:
        """Return the share kept with its interval; without one for few questions."""
        ours, theirs, n = self._ours, self._theirs, len(self._ours.score)
        if self.counts is None and n >= _LEAST:
            return self._resampled(name)
        mine, other = _figure(ours), _figure(theirs)
        if other == 0:
            return Ratio(name, mine, other, None, None, None, n)
        ends = None
        if self.counts is not None and n >= _LEAST:
            ends = interval(self.counts, self._criteria.confidence)
        low, high = ends or (None, None)
        return Ratio(name, mine, other, mine / other, low, high, n)

    def _resampled(self, name: str) -> Ratio:
        ours, theirs = self._ours, self._theirs
        how = self._criteria.resamples, self._criteria.confidence
        if ours.counts is not None and theirs.counts is not None:
            return ratios.of_sums(name, ours.counts, theirs.counts, POOLED[name].figure, *how)
        return ratios.ratios({name: ours.score}, {name: theirs.score}, *how)[0]


def _figure(marks: Marks) -> float:
    """Return the mean score, or the figure of all answers together."""
    if marks.counts is not None:
        return POOLED[marks.scorer].of(marks.counts)
    return float(marks.score.mean())


def _chance(samples: Sequence[Sample], own: Marks) -> Chance | None:
    """Return what guessing solves; None where an answer cannot be guessed."""
    from scipy.stats import binomtest

    if not own.is_a_choice or not len(own.score):
        return None
    shares = [1 / (len(sample.choices) or _LETTERS) for sample in samples]
    share = float(np.mean(shares)) if shares else 1 / _LETTERS
    if not own.is_right_or_wrong:  # means of several attempts, which are no independent questions
        return Chance(share, _p_above(own.score, share))
    found = binomtest(int(own.score.sum()), len(own.score), share, alternative="greater")
    return Chance(share, float(found.pvalue))


def _p_above(scores: Floats, share: float) -> float:
    """Return how likely scores (n,) with a mean as high as theirs are, if `share` is the truth."""
    from scipy.stats import ttest_1samp

    if len(scores) < _LEAST or (scores == scores[0]).all():
        return 1.0
    return float(ttest_1samp(scores, share, alternative="greater").pvalue)
