"""What stands behind the figures of a run that is compared: the loss of each answer, the answers
themselves, and how long each part of its tokens took.

Read from the run's raw files; of a folder that has only a result.json there is none, and the
figures stand alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from accuracy.gate.outputs import Outputs
from accuracy.gate.ratios import NO_FIGURE, TARGETS, Verdict, share_key
from accuracy.gate.readings import Criteria, Reading, Reference, Scorer, score_here
from accuracy.ranking import Losses, Pace, pace_of
from accuracy.resampling import NOTHING, Estimate, Floats
from harness.kernel.errors import BadInput
from harness.kernel.types import Int64s
from harness.result import evaluation, scored
from harness.result.integrity import seal
from harness.result.read import ACCURACY_PART, Raw, read_run
from harness.study.comparison import intervals, tasks
from harness.study.comparison.intervals import Intervals
from harness.study.comparison.tasks import Members
from harness.study.effects import readings as by_part
from harness.study.effects.figures import USUAL, Figure
from harness.study.gating.outputs import differing_terms, has_texts, outputs_of


class Evidence(NamedTuple):
    """None where the run does not tell."""

    losses: Losses | None = None
    outputs: Outputs | None = None
    pace: Pace | None = None
    intervals: Intervals = MappingProxyType({})  # of its figures, by name
    members: Members = MappingProxyType({})  # which samples are of which kind of task
    kinds: Mapping[str, Mapping[str, Estimate]] = MappingProxyType({})  # shares of right answers
    readings: Mapping[str, by_part.Reading] = MappingProxyType(
        {}
    )  # what is tested beside other runs


NONE = Evidence()


def gather(
    folder: Path, status: str, status_reason: str, figures: Sequence[Figure] = USUAL
) -> Evidence:
    """Read the evidence of a finished run; of a submission, the answers are its accuracy part's.
    `figures` are read as a test needs them.
    """
    try:
        return of_raw(read_run(folder), folder, status, status_reason, figures)
    except BadInput:
        return NONE


def of_raw(
    raw: Raw, folder: Path, status: str, status_reason: str, figures: Sequence[Figure]
) -> Evidence:
    """Do the same with the raw files of a run. Raises BadInput if its accuracy part is damaged."""
    part = folder / ACCURACY_PART
    answered = read_run(part) if part.is_dir() else raw
    if answered.seal.status == "edited":
        status, status_reason = "INVALID", seal.words(answered.seal)
    outputs = outputs_of(answered, status, status_reason) if has_texts(answered) else None
    token_ns = raw.log.token_ns
    losses, pace = evaluation.losses(raw.facts.evaluation), pace_of(token_ns)
    samples = list((outputs.samples or {}).values()) if outputs is not None else []
    members = tasks.members_of(samples)
    shares, kinds = tasks.of_shares(answered.log, samples, members)
    known = intervals.of_log(raw.log, pace) | intervals.of_losses(losses) | shares
    known |= intervals.of_task(scored.marks(answered, samples), answered.saved["dataset"])
    read = by_part.readings(raw.log, figures, token_ns)
    return Evidence(losses, outputs, pace, known, members, kinds, read)


# ---- what a variant keeps of the reference's answers


@dataclass(frozen=True, slots=True)
class Kept:
    """The gate's verdicts at MLPerf's two shares, by the gate's own code
    (`accuracy.gate.readings`).

    `ratio` is the kind of ROUGE that lost most, `tokens` the length, both as shares of the
    reference's. `index` and `scores` are the questions and the ROUGE-L of each answer.
    """

    calls: Mapping[str, Verdict]
    reasons: Mapping[str, str]
    ratio: float | None = None
    tokens: float | None = None
    interval: Estimate = NOTHING  # of `ratio`
    index: Int64s = field(default_factory=lambda: np.empty(0, np.int64))
    scores: Floats = field(default_factory=lambda: np.empty(0))


SHARES = tuple(map(share_key, TARGETS))  # "99", "99.9"


def kept(
    reference: Outputs | None, other: Outputs | None, scorer: Scorer = score_here
) -> Kept | str:
    """Judge one run beside the reference's; or say why the gate would not."""
    if reference is None or other is None:
        return "no answers are known"
    if reference.problem:
        return f"the reference cannot be judged: {reference.problem}"
    if other.problem:
        return Kept(dict.fromkeys(SHARES, NO_FIGURE), dict.fromkeys(SHARES, other.problem))
    if differing := differing_terms(reference, other):
        return f"other {', '.join(differing)} than the reference's"
    common = np.intersect1d(reference.index, other.index)
    try:
        beside = Reference(_only(reference, common), Criteria(against="dataset"), scorer=scorer)
    except BadInput as error:
        return error.facts[1]
    if beside.outputs.problem:
        return f"the reference cannot be judged: {beside.outputs.problem}"
    return _kept(beside.against_dataset(_only(other, common)), common[beside.answered])


def _kept(reading: Reading, index: Int64s) -> Kept:
    known = {one.ratio.name: one.ratio.value for one in reading.judged if one.verdicts}
    tokens, rouges = known.pop("tokens", None), list(known.values())
    ratio = _least(rouges)
    ends = [one.ratio for one in reading.judged if one.verdicts and one.ratio.value == ratio]
    return Kept(
        calls=reading.verdicts,
        reasons={share_key(share): reading.reason(share) for share in TARGETS},
        ratio=ratio,
        tokens=tokens,
        interval=Estimate(ratio, ends[0].low, ends[0].high) if ends and ratio else NOTHING,
        index=index,
        scores=reading.covered.metric.columns(reading.ours)["rougeL"],
    )


def _least(values: Sequence[float | None]) -> float | None:
    """Return the least of them; None where one of them is not known."""
    known = [value for value in values if value is not None]
    return min(known) if len(known) == len(values) else None


def _only(outputs: Outputs, index: Int64s) -> Outputs:
    """The answers to these questions, which are among those that it has."""
    at = np.flatnonzero(np.isin(outputs.index, index))
    return replace(
        outputs,
        index=outputs.index[at],
        ids=[outputs.ids[i] for i in at.tolist()],
        texts=[outputs.texts[i] for i in at.tolist()],
        tokens=outputs.tokens[at],
    )
