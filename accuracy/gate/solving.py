"""Does a candidate still solve what the reference solves? The marks of two runs on the same
questions in, a row of the gate out.

What decides is the share kept: the candidate's mean score over the reference's. Where every score
is right or wrong, its interval is that of paired shares (`accuracy.gate.paired`); where answers are
graded, the paired bootstrap (`accuracy.gate.ratios`). Two things leave nothing to be kept, so that
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
from accuracy.tasks.marks import Marks, groups_of, marks
from accuracy.tasks.solved import Solved
from harness.kernel.types import Int64s, Sample

READING = "task"
_LETTERS = 4  # choices, where a task names no continuations for them
_LEAST = 5  # questions of a kind
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

    against, why = READING, "right and wrong answers"

    def __init__(
        self, outputs: Outputs, criteria: Criteria, scorer: str, errors: Errors = no_errors
    ) -> None:
        self.criteria, self.scorer, self._errors = criteria, scorer, errors
        self._own = marks(outputs.marks, scorer)
        self.outputs = replace(outputs, problem=outputs.problem or self._problem(outputs))
        self.chance = _chance(list((outputs.samples or {}).values()), self._own)

    def _problem(self, outputs: Outputs) -> str:
        if outputs.samples is None:
            return "the file of its questions has moved or changed, so its answers cannot be scored"
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
        pair = _Pair(theirs.score, self._own.score, self.criteria)
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
            return f"{label} solves none of {ratio.n}: there is nothing to keep"
        if verdict.status != "FAIL" and (guessed := self._guessed()):
            return f"not above chance: {guessed}"
        if is_same and verdict.status == "PASS":
            return f"every output is {label}'s own, word for word"
        kept = f"{figure_text(ratio)} of what {label} solves"
        if verdict.status == "PASS":
            return f"keeps {key} %: {kept}"
        if verdict.status == "FAIL":
            return f"{kept} misses {key} %"
        more = "no number of questions would decide"
        if verdict.needed:
            more = f"about {rounded(verdict.needed):,} questions would decide"
        elif ratio.low is None:
            more = f"{label} solves too few questions to tell how many would decide"
        return f"{kept} may lie on either side of {key} %; {more}"

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
    return {
        "value": value,
        "low": low,
        "high": high,
        "n": len(found.score),
        "right": sum(outcome == "right" for outcome in found.outcome),
        "wrong": sum(outcome == "wrong" for outcome in found.outcome),
        "no_answer": sum(outcome == "no answer" for outcome in found.outcome),
        "cut": sum(bool(row["is_cut"]) for row in own),
    }


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
    """The scores (n,) of a candidate beside the reference's."""

    def __init__(self, ours: Floats, theirs: Floats, criteria: Criteria) -> None:
        self._ours, self._theirs, self._criteria = ours, theirs, criteria
        is_binary = np.isin((ours, theirs), (0.0, 1.0)).all()
        self.counts: Paired | None = paired(ours, theirs) if is_binary else None

    def part(self, members: Int64s) -> _Pair:
        """Return the pair of some of the questions."""
        return _Pair(self._ours[members], self._theirs[members], self._criteria)

    @property
    def moved(self) -> float | None:
        """How much of the reference's score was lost here or won there: half of it is lost where
        neither is better, and that is what is returned, as a share of it.
        """
        total = float(self._theirs.sum())
        return float(np.abs(self._ours - self._theirs).sum()) / 2 / total if total else None

    def ratio(self, name: str) -> Ratio:
        """Return the share kept with its interval."""
        n, confidence = len(self._ours), self._criteria.confidence
        if self.counts is None and n >= _LEAST:
            scores = {name: self._ours}, {name: self._theirs}
            return ratios.ratios(*scores, self._criteria.resamples, confidence)[0]
        mine, other = float(self._ours.mean()), float(self._theirs.mean())
        if other == 0:
            return Ratio(name, mine, other, None, None, None, n)
        ends = interval(self.counts, confidence) if self.counts and n >= _LEAST else None
        low, high = ends or (None, None)
        return Ratio(name, mine, other, mine / other, low, high, n)


def _chance(samples: Sequence[Sample], own: Marks) -> Chance | None:
    """Return what guessing solves; None where an answer cannot be guessed."""
    from scipy.stats import binomtest

    if not own.is_a_choice or not len(own.score) or not own.is_right_or_wrong:
        return None
    shares = [1 / (len(sample.choices) or _LETTERS) for sample in samples]
    share = float(np.mean(shares)) if shares else 1 / _LETTERS
    found = binomtest(int(own.score.sum()), len(own.score), share, alternative="greater")
    return Chance(share, float(found.pvalue))
