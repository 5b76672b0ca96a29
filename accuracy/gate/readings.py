"""How much of its reference does a candidate keep, read in two ways? The answers of two runs in, a
row of the gate out.

dataset      MLPerf's: mean ROUGE against the dataset's answers, as a share of the reference's; and
             mean tokens a sample
reference    mean ROUGE against the reference's own text for the same prompt; the reference itself
             scores exactly 1
published    where the target is MLPerf's by name: mean ROUGE against the dataset's answers, as a
             share of its figures
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from accuracy import spread
from accuracy.gate import losses, ratios
from accuracy.gate.metrics import (
    METRICS,
    Coverage,
    GateMetric,
    coverage,
    doubted,
    is_open_for_doubt,
    seen_by,
)
from accuracy.gate.outputs import Outputs
from accuracy.gate.ratios import (
    LENGTH,
    PUBLISHED,
    TARGETS,
    Judged,
    Progress,
    Published,
    Ratio,
    Verdict,
    share_key,
)
from accuracy.gate.words import reason
from accuracy.metrics import rouge
from accuracy.metrics.length import characters
from accuracy.resampling import CONFIDENCE, RESAMPLES, Floats
from harness.kernel.errors import BadInput
from harness.kernel.types import Int64s

READINGS = ("dataset", "reference")
Row = dict[str, Any]
Scores = Mapping[str, Floats]  # name of a figure -> (n,), one score per sample
Pair = tuple[Scores, Scores]  # the candidate's and the reference's, of the same samples
Texts = Sequence[str]
Scorer = Callable[[GateMetric, Texts, Texts, Progress], NDArray[Any]]  # texts and their references
Bar = Callable[[str, int], AbstractContextManager[Progress]]  # shows what is done of how much


def score_here(
    metric: GateMetric, texts: Texts, references: Texts, progress: Progress
) -> NDArray[Any]:
    """Return (n, 4): the scores of each text, in the order of the metric's kinds, made by all
    processors of this machine.
    """
    return spread.rows(metric.scores, texts, references, progress)


class Criteria(NamedTuple):
    """`target` is a share in percent ("99.9") or a name of `PUBLISHED`; `against` None: dataset if
    it has answers; `metric` is one of `METRICS` or a scorer of `accuracy.tasks.scorers`, None: the
    first scorer of a task, else ROUGE.
    """

    target: str = "99.9"
    against: str | None = None
    resamples: int = RESAMPLES
    confidence: float = CONFIDENCE
    metric: str | None = None

    @property
    def of_texts(self) -> GateMetric:
        """The metric of texts that is asked for, where no scorer is."""
        return METRICS[self.metric or "rouge"]

    @property
    def published(self) -> Published | None:
        return PUBLISHED.get(self.target)

    @property
    def share(self) -> float:
        return self.published.share if self.published else float(self.target) / 100

    @property
    def shares(self) -> list[float]:
        """The shares at which a ratio is judged: MLPerf's two and the target's."""
        return sorted({*TARGETS, self.share})


class Reading(NamedTuple):
    """`ours` and `theirs` are the scores of the samples `rows`, a column per kind of ROUGE;
    `covered` says to how many of them the metric can say something.
    """

    judged: Sequence[Judged]
    verdicts: Mapping[str, Verdict]
    ours: NDArray[Any]
    theirs: NDArray[Any]
    rows: Int64s
    covered: Coverage

    def reason(self, share: float) -> str:
        """Say why its verdict at a share is what it is."""
        verdict, covered = self.verdicts[share_key(share)], self.covered
        if verdict.status == "PASS" and covered.all_same and not self.theirs.any(0).all():
            return "every output is the reference's own, word for word"
        in_doubt = [one for one in self.judged if is_open_for_doubt(one, share, covered)]
        if verdict.status == "UNDECIDED" and in_doubt:
            return covered.problem
        return reason(verdict, self.judged, share)

    def as_json(self) -> Row:
        """Return the reading as gate.json has it."""
        rows = []
        for ratio, verdicts, _, not_judged in self.judged:
            rows.append(asdict(ratio) | {"calls": _as_rows(verdicts), "not_judged": not_judged})
        return {
            "n": len(self.rows),
            "unread": self.covered.unread,
            "unread_changed": self.covered.changed,
            "ratios": rows,
            "verdicts": _as_rows(self.verdicts),
        }


def _as_rows(verdicts: Mapping[str, Verdict]) -> Row:
    return {key: verdict._asdict() for key, verdict in verdicts.items()}


class Reference:
    """The reference with its scores, beside which candidates are laid one after the other.

    Raises BadInput where what is asked for cannot be read from its samples.
    """

    def __init__(
        self,
        outputs: Outputs,
        criteria: Criteria,
        bar: Bar = lambda what, total: nullcontext(lambda done: None),
        scorer: Scorer = score_here,
    ) -> None:
        if outputs.empty == len(outputs.texts) and not outputs.problem:
            outputs = replace(outputs, problem=f"all its {outputs.empty} outputs are empty")
        self.outputs, self.criteria = outputs, criteria
        self._bar, self._scorer = bar, scorer
        self.metric = criteria.of_texts
        self.against, self.why = _deciding(outputs, criteria)
        self.answered = np.flatnonzero(outputs.answered)
        self.scores: NDArray[Any] = np.zeros((0, len(rouge.KINDS)))
        self.covered = Coverage(self.metric)
        if len(self.answered) >= 2 and not outputs.problem:
            self.scores = self._against_dataset(outputs)
            own = self._texts_of(outputs)
            self.covered = coverage(self.metric, self._answers(), own, "reference answers")

    @property
    def mean_rouge(self) -> dict[str, float]:
        """The reference's own mean scores against the dataset's answers."""
        if not len(self.scores):
            return {}
        means = self.scores.mean(0).tolist()
        return dict(zip(self.metric.kinds, means, strict=True))

    def lacks(self, candidate: Outputs) -> str:
        """Any text can be compared."""
        return ""

    def row(self, candidate: Outputs) -> Row:
        """Return everything that is known of a candidate."""
        readings = dict(self._readings(candidate))
        deciding, criteria = readings[self.against], self.criteria
        verdict = deciding.verdicts[share_key(criteria.share)]
        quality = self._quality(deciding.ours), self._quality(deciding.theirs)
        samples = losses.Samples(candidate, self.outputs, deciding.rows, *quality)
        labels = losses.by_label(samples, criteria.resamples, criteria.confidence)
        return {
            **candidate.as_row(),
            "status": verdict.status,
            "official": verdict.official,
            "reason": deciding.reason(criteria.share),
            "failure": "",
            "needed": verdict.needed,
            "readings": {name: reading.as_json() for name, reading in readings.items()},
            **losses.divergence(candidate, self.outputs),
            "labels": labels,
            "worst": losses.worst(samples),
            "notes": [*candidate.notes, *self._uncounted(candidate)],
        }

    def _uncounted(self, candidate: Outputs) -> list[str]:
        """Say where lengths are not judged."""
        runs = [run.label for run in (self.outputs, candidate) if not _is_counted(run)]
        if not runs:
            return []
        return [f"no tokens were counted for {' and '.join(runs)}: lengths are not judged"]

    # ---- the readings

    def against_dataset(self, candidate: Outputs) -> Reading:
        """Judge what a candidate keeps of the reference's ROUGE against the dataset's answers, and
        of its length. The reference has answers to at least two questions that the dataset has too.
        """
        scores = self._against_dataset(candidate)
        columns = self.metric.columns
        pairs = [(columns(scores), columns(self.scores)), _tokens(candidate, self.outputs)]
        shares, limits = self.criteria.shares, {"tokens": LENGTH}
        covered = self._covered_for(candidate)
        judged = self._judge("dataset", pairs, shares, limits, covered)
        return Reading(*judged, scores, self.scores, self.answered, covered)

    def _covered_for(self, candidate: Outputs) -> Coverage:
        """Return what is covered, where a candidate's outputs that are the reference's own need no
        metric.
        """
        outputs = zip(self._texts_of(candidate), self._texts_of(self.outputs), strict=True)
        is_own = [text == own for text, own in outputs]
        unread = map(self.metric.is_unread, self._answers())
        changed = sum(not same for same, bad in zip(is_own, unread, strict=True) if bad)
        return self.covered._replace(changed=changed, all_same=all(is_own))

    def _readings(self, candidate: Outputs) -> Iterator[tuple[str, Reading]]:
        if len(self.scores):
            reading = self.against_dataset(candidate)
            yield "dataset", reading
            if (target := self.criteria.published) is not None:
                yield "published", self._published(candidate, reading.ours, target)
        yield "reference", self._against_reference(candidate)

    def _published(self, candidate: Outputs, scores: NDArray[Any], target: Published) -> Reading:
        texts = self._texts_of(candidate)
        ours: dict[str, Floats] = {
            **dict(zip(rouge.KINDS, scores.T, strict=True)),
            "characters": np.array([characters(text) for text in texts], np.float64),
            **_tokens(candidate, self.outputs)[0],
        }
        pairs = []
        for name, figure in target.figures().items():
            if name in ours:
                pairs.append(({name: ours[name]}, {name: np.full(len(ours[name]), figure)}))
        limits = dict.fromkeys(("tokens", "characters"), target.length)
        covered = Coverage(
            self.metric
        )  # MLPerf's figures are of the same answers, read as they are
        judged = self._judge("published", pairs, [target.share], limits, covered)
        return Reading(*judged, scores, self.scores, self.answered, covered)

    def _against_reference(self, candidate: Outputs) -> Reading:
        """Judge the texts against the reference's own; equal ones need no scoring."""
        texts = list(zip(candidate.texts, self.outputs.texts, strict=True))
        same = np.array([ours == theirs for ours, theirs in texts], np.bool_)
        scores, others = np.ones((len(texts), len(rouge.KINDS))), np.flatnonzero(~same)
        if len(others):
            ours, theirs = zip(*(texts[i] for i in others.tolist()), strict=True)
            scores[others] = self._rouge(f"{candidate.label}, {self.outputs.label}", ours, theirs)
        scores = ratios.against_itself(scores, same, rouge.KINDS)
        ones, columns = np.ones_like(scores), self.metric.columns
        pairs = [(columns(scores), columns(ones)), _tokens(candidate, self.outputs)]
        covered = self._changed(texts)
        judged = self._judge("reference", pairs, self.criteria.shares, {"tokens": None}, covered)
        return Reading(*judged, scores, ones, np.arange(len(scores)), covered)

    def _changed(self, texts: Sequence[tuple[str, str]]) -> Coverage:
        """Return of how many of the reference's texts that a candidate changed the metric can say
        something: equal ones need no metric, and beside an empty one any text is another.
        """
        changed = [own for other, own in texts if other != own and own.strip()]
        what = f"outputs of {self.outputs.label}, which changed"
        return coverage(self.metric, changed, changed, what, n=len(texts))

    def _against_dataset(self, outputs: Outputs) -> NDArray[Any]:
        texts, answers = self._texts_of(outputs), self._answers()
        return self._rouge(f"{outputs.label}, dataset", texts, answers)

    def _texts_of(self, outputs: Outputs) -> list[str]:
        """Return the outputs for the questions that have an answer in the dataset."""
        return [outputs.texts[i] for i in self.answered.tolist()]

    def _answers(self) -> list[str]:
        """Return the dataset's answers to the questions that have one."""
        samples, index = self.outputs.samples or {}, self.outputs.index[self.answered]
        return [samples[i].reference or "" for i in index.tolist()]

    def _rouge(self, what: str, texts: Sequence[str], answers: Sequence[str]) -> NDArray[Any]:
        with self._bar(f"{self.metric.title}: {what}", len(texts)) as progress:
            return self._scorer(self.metric, texts, answers, progress)

    def _quality(self, scores: NDArray[Any]) -> Floats:
        """Return one figure per sample (n,): the mean of ROUGE-1, -2 and -L."""
        quality: Floats = np.mean(list(self.metric.columns(scores).values()), axis=0)
        return quality

    def _judge(
        self,
        name: str,
        pairs: Sequence[Pair],
        shares: Sequence[float],
        limits: Mapping[str, tuple[float, float] | None],
        covered: Coverage,
    ) -> tuple[list[Judged], dict[str, Verdict]]:
        """Judge a ratio for each name in `pairs` at each share, and all of them together.

        `limits` are those of ratios other than ROUGE, whose limit is the share; None: it is shown
        and not judged. So are kinds of ROUGE that are not defined for what is `covered`.
        """
        judged = []
        for ours, theirs in _by_size(pairs):
            for ratio in self._ratios(name, ours, theirs):
                if ratio.name in limits:
                    judged.append(_of_length(ratio, shares, limits[ratio.name]))
                else:
                    judged.append(_of_rouge(ratio, shares, covered))
        together = {}
        for key in map(share_key, shares):
            together[key] = ratios.join([one.verdicts[key] for one in judged if one.verdicts])
        return judged, together

    def _ratios(self, name: str, ours: Scores, theirs: Scores) -> list[Ratio]:
        resamples, confidence = self.criteria.resamples, self.criteria.confidence
        with self._bar(f"{name}: resampling", resamples) as progress:
            return ratios.ratios(ours, theirs, resamples, confidence, progress)


def _deciding(reference: Outputs, criteria: Criteria) -> tuple[str, str]:
    """Return which reading decides, and why. Raises BadInput where that one cannot be."""
    answers = int(reference.answered.sum())
    if reference.problem:
        return criteria.against or "dataset", "the reference cannot be judged"
    if criteria.against == "reference":
        return "reference", "as asked for"
    if answers >= 2 and criteria.published:
        return "published", "the target is MLPerf's"
    if answers >= 2:
        return "dataset", "the dataset has answers"
    few = f"the dataset has {answers or 'no'} answer{'s' * (answers != 1)}"
    why = "the dataset has moved or changed" if reference.samples is None else few
    if criteria.against == "dataset" or criteria.published:
        fine = "a dataset with reference answers (--reference-column)"
        raise BadInput("gate", why, fine, "Or judge --against reference.")
    return "reference", why


def _tokens(candidate: Outputs, reference: Outputs) -> Pair:
    """Return the tokens of every sample, whether or not the dataset has an answer: MLPerf's mean is
    over all. Nothing where a run did not count them: that is no length of 0.
    """
    if not (_is_counted(candidate) and _is_counted(reference)):
        return {}, {}
    ours, theirs = (run.tokens.astype(np.float64) for run in (candidate, reference))
    return {"tokens": ours}, {"tokens": theirs}


def _is_counted(run: Outputs) -> bool:
    return bool(run.tokens.any()) or run.empty == len(run.texts)


def _of_length(ratio: Ratio, shares: Sequence[float], limits: tuple[float, float] | None) -> Judged:
    if limits is None:
        return Judged(ratio, {}, None)
    verdict = ratios.judge(ratio, *limits)
    return Judged(ratio, {share_key(share): verdict for share in shares}, limits)


def _of_rouge(ratio: Ratio, shares: Sequence[float], covered: Coverage) -> Judged:
    """Judge a kind of ROUGE, as far as it can read the texts and is defined for them."""
    ratio = seen_by(ratio, covered)
    if why := covered.undefined.get(ratio.name):
        return Judged(ratio, {}, None, why)
    return Judged(
        ratio, {share_key(share): doubted(ratio, share, covered) for share in shares}, None
    )


def _by_size(pairs: Sequence[Pair]) -> list[Pair]:
    """Join what has the same number of samples, so that they are drawn once."""
    joined: dict[int, tuple[dict[str, Floats], dict[str, Floats]]] = {}
    for ours, theirs in pairs:
        for name, scores in ours.items():
            mine, other = joined.setdefault(len(scores), ({}, {}))
            mine[name], other[name] = scores, theirs[name]
    return list(joined.values())
