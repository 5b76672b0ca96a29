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

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from accuracy.gate import differences
from accuracy.gate import ratios as gate
from accuracy.gate.ratios import (
    KINDS,
    LENGTH,
    PUBLISHED,
    TARGETS,
    Call,
    Progress,
    Published,
    Ratio,
)
from accuracy.metrics import references, rouge
from accuracy.metrics.length import characters
from accuracy.resampling import CONFIDENCE, RESAMPLES, Floats
from harness.kernel.errors import BadInput
from harness.kernel.types import NEVER, Int64s, Sample

READINGS = ("dataset", "reference")
WORST = 5  # samples shown per candidate
NAMES = {"rouge1": "ROUGE-1", "rouge2": "ROUGE-2", "rougeL": "ROUGE-L", "rougeLsum": "ROUGE-Lsum"}
_LABEL_RESAMPLES = 2_000
_LEAST = 5  # samples of a kind; an interval from fewer says nothing
Row = dict[str, Any]
Bar = Callable[[str, int], AbstractContextManager[Progress]]  # shows what is done of how much


@dataclass(frozen=True, slots=True)
class Outputs:
    """The answers of an accuracy run, one per sample in the order of the dataset.

    `problem` says why they cannot be judged; `terms` are what must be the same before two runs may
    be compared.
    """

    label: str
    model: str
    variant: str
    run: str
    problem: str
    terms: Mapping[str, str]
    index: Int64s
    ids: Sequence[NDArray[Any]]
    texts: Sequence[str]
    tokens: Int64s
    rows: int  # requests in a batch
    samples: Mapping[int, Sample] | None  # None: the dataset has moved or changed
    dataset: str
    notes: Sequence[str] = field(default_factory=list)

    @property
    def answered(self) -> NDArray[np.bool_]:
        """(n,) True where the dataset has an answer that texts are compared with."""
        known = references.text_references(list((self.samples or {}).values()))
        return np.array([bool(known.get(i, "").strip()) for i in self.index.tolist()], np.bool_)

    @property
    def empty(self) -> int:
        return sum(not text.strip() for text in self.texts)


class Asked(NamedTuple):
    """`target` is a share in percent ("99.9") or a name of `PUBLISHED`; `against` None: dataset if
    it has answers.
    """

    target: str = "99.9"
    against: str | None = None
    resamples: int = RESAMPLES
    confidence: float = CONFIDENCE

    @property
    def published(self) -> gate.Published | None:
        return PUBLISHED.get(self.target)

    @property
    def share(self) -> float:
        return self.published.share if self.published else float(self.target) / 100


class Judged(NamedTuple):
    """A ratio with its verdict at each share; `limits` where these are not the share, no calls
    where it is only shown.
    """

    ratio: Ratio
    calls: Mapping[str, Call]
    limits: tuple[float, float] | None


class Reading(NamedTuple):
    """`ours` and `theirs` are the scores of the samples `rows`, a column per kind of ROUGE."""

    judged: Sequence[Judged]
    verdicts: Mapping[str, Call]
    ours: NDArray[Any]
    theirs: NDArray[Any]
    rows: Int64s


class Bench:
    """The reference with its scores, beside which candidates are laid one after the other.

    Raises BadInput where what is asked for cannot be read from its samples.
    """

    def __init__(
        self,
        reference: Outputs,
        asked: Asked,
        bar: Bar = lambda what, total: nullcontext(lambda done: None),
    ) -> None:
        self.reference, self.asked, self._bar = reference, asked, bar
        self.against, self.why = chosen_reading(reference, asked)
        self.answered = np.flatnonzero(reference.answered)
        scored = len(self.answered) >= 2 and not reference.problem
        self.scores = (
            self._against_dataset(reference) if scored else np.zeros((0, len(rouge.KINDS)))
        )

    @property
    def reference_rouge(self) -> dict[str, float]:
        """The reference's own mean scores against the dataset's answers."""
        return {
            kind: float(values.mean())
            for kind, values in columns(self.scores, rouge.KINDS).items()
            if len(values)
        }

    def row(self, outputs: Outputs) -> Row:
        """Everything that is known of a candidate."""
        readings = dict(self._readings(outputs))
        decides = readings[self.against]
        call = decides.verdicts[share_key(self.asked.share)]
        positions = _positions(outputs, self.reference)
        longest = max((len(ids) for run in (outputs, self.reference) for ids in run.ids), default=0)
        ours, theirs = _quality(decides.ours), _quality(decides.theirs)
        return {
            "label": outputs.label,
            "model": outputs.model,
            "variant": outputs.variant,
            "run": outputs.run,
            "status": call.status,
            "official": call.official,
            "reason": reason(call, decides.judged, self.asked.share),
            "failure": "",
            "needed": call.needed,
            "n": len(outputs.index),
            "rows_in_batch": outputs.rows,
            "empty": outputs.empty,
            "identical": differences.identical_share(positions),
            "divergence_median": _median(positions),
            "divergence": [part._asdict() for part in differences.histogram(positions, longest)],
            "readings": {name: _plain(reading) for name, reading in readings.items()},
            "labels": self._labels(ours, theirs, decides.rows),
            "worst": [
                self._beside(outputs, k, decides, ours, theirs)
                for k in differences.worst(theirs - ours, WORST)
            ],
            "notes": list(outputs.notes),
        }

    # ---- the readings

    def against_dataset(self, outputs: Outputs) -> Reading:
        """Judge what a candidate keeps of the reference's ROUGE against the dataset's answers, and
        of its length. The reference has answers to at least two questions that the dataset has too.
        """
        scores = self._against_dataset(outputs)
        rouges = columns(scores), columns(self.scores)
        lengths = _tokens(outputs, self.reference)
        judged = self._judge("dataset", [rouges, lengths], self._shares, {"tokens": LENGTH})
        return Reading(*judged, scores, self.scores, self.answered)

    def _readings(self, outputs: Outputs) -> Iterator[tuple[str, Reading]]:
        if len(self.scores):
            reading = self.against_dataset(outputs)
            yield "dataset", reading
            if (target := self.asked.published) is not None:
                yield "published", self._published(outputs, reading.ours, target)
        own = self._against_reference(outputs)
        ones = np.ones_like(own)
        both = [(columns(own), columns(ones)), _tokens(outputs, self.reference)]
        judged = self._judge("reference", both, self._shares, {"tokens": None})
        yield "reference", Reading(*judged, own, ones, np.arange(len(own)))

    def _published(self, outputs: Outputs, scores: NDArray[Any], target: Published) -> Reading:
        texts = [outputs.texts[i] for i in self.answered.tolist()]
        mine = columns(scores, rouge.KINDS)
        mine["characters"] = np.array([characters(text) for text in texts], np.float64)
        mine |= _tokens(outputs, self.reference)[0]
        known = [name for name in gate.published(target, 1) if name in mine]
        both = [
            ({name: mine[name]}, {name: gate.published(target, len(mine[name]))[name]})
            for name in known
        ]
        limits = dict.fromkeys(("tokens", "characters"), target.length)
        judged = self._judge("published", both, [target.share], limits)
        return Reading(*judged, scores, self.scores, self.answered)

    @property
    def _shares(self) -> list[float]:
        return sorted({*TARGETS, self.asked.share})

    def _judge(
        self,
        name: str,
        both: Sequence[tuple[Mapping[str, Floats], Mapping[str, Floats]]],
        shares: Sequence[float],
        limits: Mapping[str, tuple[float, float] | None],
    ) -> tuple[list[Judged], dict[str, Call]]:
        """`both` are the candidate's and the reference's scores, a pair for each set of samples.

        `limits` are those of ratios other than ROUGE, whose limit is the share; None: it is shown
        and not judged.
        """

        def calls(ratio: Ratio) -> dict[str, Call]:
            if ratio.name not in limits:
                return {share_key(share): gate.call(ratio, share) for share in shares}
            at = limits[ratio.name]
            return {share_key(share): gate.call(ratio, *at) for share in shares} if at else {}

        found = [ratio for pair in _by_size(both) for ratio in self._ratios(name, *pair)]
        judged = [Judged(ratio, calls(ratio), limits.get(ratio.name)) for ratio in found]
        keys = [share_key(share) for share in shares]
        return judged, {key: gate.join([j.calls[key] for j in judged if j.calls]) for key in keys}

    def _ratios(
        self, name: str, ours: Mapping[str, Floats], theirs: Mapping[str, Floats]
    ) -> list[Ratio]:
        asked = self.asked
        with self._bar(f"{name}: resampling", asked.resamples) as progress:
            return gate.ratios(ours, theirs, asked.resamples, asked.confidence, progress)

    def _against_dataset(self, outputs: Outputs) -> NDArray[Any]:
        samples, rows = self.reference.samples or {}, self.answered.tolist()
        answers = [samples[int(outputs.index[i])].reference or "" for i in rows]
        return self._rouge(f"{outputs.label}, dataset", [outputs.texts[i] for i in rows], answers)

    def _against_reference(self, outputs: Outputs) -> NDArray[Any]:
        """Equal texts need no scoring."""
        pairs = list(zip(outputs.texts, self.reference.texts, strict=True))
        same = np.array([ours == theirs for ours, theirs in pairs], np.bool_)
        scores, other = np.ones((len(pairs), len(rouge.KINDS))), np.flatnonzero(~same)
        if len(other):
            ours, theirs = zip(*(pairs[i] for i in other.tolist()), strict=True)
            scores[other] = self._rouge(f"{outputs.label}, {self.reference.label}", ours, theirs)
        return gate.against_itself(scores, same, rouge.KINDS)

    def _rouge(self, what: str, texts: Sequence[str], answers: Sequence[str]) -> NDArray[Any]:
        with self._bar(f"ROUGE: {what}", len(texts)) as progress:
            return rouge.scores(texts, answers, progress)

    # ---- where it went wrong

    def _labels(self, ours: Floats, theirs: Floats, rows: Int64s) -> list[dict[str, Any]]:
        samples = self.reference.samples or {}
        labels = [
            samples[i].labels if i in samples else () for i in self.reference.index[rows].tolist()
        ]
        return [
            {"key": key, "label": label, "ratio": asdict(self._one(ours[members], theirs[members]))}
            for (key, label), members in differences.groups(labels).items()
        ]

    def _one(self, ours: Floats, theirs: Floats) -> Ratio:
        if len(ours) < _LEAST:
            mine, other = float(ours.mean()), float(theirs.mean())
            return Ratio(
                "rouge", mine, other, mine / other if other else None, None, None, len(ours)
            )
        resamples = min(self.asked.resamples, _LABEL_RESAMPLES)
        return gate.ratios({"rouge": ours}, {"rouge": theirs}, resamples, self.asked.confidence)[0]

    def _beside(
        self, outputs: Outputs, k: int, reading: Reading, ours: Floats, theirs: Floats
    ) -> dict[str, Any]:
        """One sample as a reader wants to see it."""
        row = int(reading.rows[k])
        index = int(outputs.index[row])
        sample = (self.reference.samples or {}).get(index)
        left, right = differences.side_by_side(self.reference.texts[row], outputs.texts[row])
        return {
            "index": index,
            "prompt": sample.prompt if sample else "",
            "labels": [value for _, value in sample.labels] if sample else [],
            "answer": (sample.reference or "") if sample else "",
            "candidate": float(ours[k]),
            "reference": float(theirs[k]),
            "diverges_at": differences.first_difference(outputs.ids[row], self.reference.ids[row]),
            "texts": {
                "reference": [list(piece) for piece in left],
                "candidate": [list(piece) for piece in right],
            },
        }


def chosen_reading(reference: Outputs, asked: Asked) -> tuple[str, str]:
    """(which one decides, why). Raises BadInput where that one cannot be."""
    answers = int(reference.answered.sum())
    if reference.problem:
        return asked.against or "dataset", "the reference cannot be judged"
    if asked.against == "reference":
        return "reference", "as asked for"
    if answers >= 2:
        return (
            ("published", "the target is MLPerf's")
            if asked.published
            else ("dataset", "the dataset has answers")
        )
    few = f"the dataset has {answers or 'no'} answer{'s' * (answers != 1)}"
    why = "the dataset has moved or changed" if reference.samples is None else few
    if asked.against == "dataset" or asked.published:
        fine = "a dataset with reference answers (--reference-column)"
        raise BadInput("gate", why, fine, "Or judge --against reference.")
    return "reference", why


Pair = tuple[dict[str, Floats], dict[str, Floats]]


def _tokens(outputs: Outputs, reference: Outputs) -> Pair:
    """Of every sample, whether or not the dataset has an answer: MLPerf's mean is over all."""
    if not reference.tokens.any():
        return {}, {}
    ours, theirs = (run.tokens.astype(np.float64) for run in (outputs, reference))
    return {"tokens": ours}, {"tokens": theirs}


def _by_size(both: Sequence[tuple[Mapping[str, Floats], Mapping[str, Floats]]]) -> list[Pair]:
    """Join what has the same number of samples, so that they are drawn once."""
    found: dict[int, Pair] = {}
    for ours, theirs in both:
        for name, scores in ours.items():
            mine, other = found.setdefault(len(scores), ({}, {}))
            mine[name], other[name] = scores, theirs[name]
    return list(found.values())


def share_key(share: float) -> str:
    """0.999 -> "99.9"."""
    return f"{100 * share:.10g}"


def columns(scores: NDArray[Any], kinds: Iterable[str] = KINDS) -> dict[str, Floats]:
    return {kind: scores[:, rouge.KINDS.index(kind)] for kind in kinds}


def _quality(scores: NDArray[Any]) -> Floats:
    """(n,) one figure per sample: the mean of ROUGE-1, -2 and -L."""
    found: Floats = scores[:, [rouge.KINDS.index(kind) for kind in KINDS]].mean(1)
    return found


def _positions(outputs: Outputs, reference: Outputs) -> Int64s:
    """Where the token ids part; the words of the texts, where one of the runs has no ids."""
    if any(map(len, outputs.ids)) and any(map(len, reference.ids)):
        return differences.first_differences(outputs.ids, reference.ids)
    ours, theirs = (
        [np.array(text.split(), np.str_) for text in run.texts] for run in (outputs, reference)
    )
    return differences.first_differences(ours, theirs)


def _median(positions: Int64s) -> float | None:
    there = positions[positions != NEVER]
    return float(np.median(there)) if len(there) else None


def _plain(reading: Reading) -> dict[str, Any]:
    """A reading as gate.json has it."""
    ratios = [
        asdict(j.ratio) | {"calls": {key: call._asdict() for key, call in j.calls.items()}}
        for j in reading.judged
    ]
    verdicts = {key: call._asdict() for key, call in reading.verdicts.items()}
    return {"n": len(reading.rows), "ratios": ratios, "verdicts": verdicts}


def reason(call: Call, judged: Sequence[Judged], share: float) -> str:
    """The ratio that decides, in words: of those with the joined verdict, ROUGE before lengths, the
    lowest first.
    """
    key = share_key(share)
    deciding = [j for j in judged if j.calls and j.calls[key].status == call.status]
    ratio, _, limits = min(deciding, key=lambda j: (j.limits is not None, j.ratio.value or 0.0))
    name = NAMES.get(ratio.name, f"{ratio.name} per sample")
    if ratio.value is None:
        return f"{name} of the reference is 0: there is nothing to keep"
    limit = (
        f"{key} %"
        if limits is None
        else " to ".join(f"{100 * end:g}" for end in limits if math.isfinite(end)) + " %"
    )
    figure = f"{name} {figure_text(ratio)}"
    if call.status == "PASS":
        return (
            f"all keep {key} %; the least is {figure}"
            if limits is None
            else f"{figure} is within {limit}"
        )
    if call.status == "FAIL":
        return f"{figure} misses {limit}"
    more = (
        f"about {rounded(call.needed):,} samples would decide"
        if call.needed
        else "no number of samples would decide"
    )
    return f"{figure} may lie on either side of {limit}; {more}"


def figure_text(ratio: Ratio) -> str:
    """ "99.62 % (98.90 to 100.31)"."""
    value, low, high = ratio.value, ratio.low, ratio.high
    if value is None:
        return "-"
    if low is None or high is None:
        return f"{100 * value:.2f} %"
    return (
        "exactly 100 %"
        if low == high == value == 1
        else f"{100 * value:.2f} % ({100 * low:.2f} to {100 * high:.2f})"
    )


def rounded(count: int) -> int:
    """Up to two figures: more would promise too much."""
    step: int = 10 ** max(0, len(str(count)) - 2)
    return -(-count // step) * step
