"""How like the answers of the dataset are those of a member, and how much of that does it keep of
its reference's? By the gate's own code, over the same questions.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from accuracy.gate.outputs import Outputs
from accuracy.resampling import Estimate
from accuracy.tasks.marks import Marks
from harness.kernel.errors import BadInput
from harness.study.comparison.evidence import Kept, kept
from harness.study.comparison.intervals import mean_of
from harness.study.family.members import Member
from harness.study.family.told import Reading, Told
from harness.study.gating.outputs import differing_terms

_EXACTLY = Estimate(1.0, 1.0, 1.0)


def with_rouge(members: Sequence[Member]) -> None:
    """Add to the members what their answers to datasets tell."""
    for member in members:
        member.readings = [
            reading._replace(told=[*reading.told, *_told(member, reading)])
            for reading in member.readings
        ]


def _told(member: Member, reading: Reading) -> Iterator[Told]:
    outputs = reading.outputs
    if outputs is None or outputs.task:
        return
    reference = _reference(member, outputs)
    found = _kept(reference or outputs, outputs)
    if found is None:
        return
    data, terms = outputs.dataset.rsplit("/", 1)[-1], outputs.asked
    n, where = len(found.index), reading.folder
    prompts = f"{outputs.terms.get('tokenizer', '')} {outputs.terms.get('prompts', '')}"
    marks = Marks("rougeL", found.index, 100 * found.scores, ())
    yield Told("rougeL", data, terms, mean_of(100 * found.scores), where, n, prompts=prompts,
               behind=marks)  # fmt: skip
    if member.reference is None:
        yield Told("rouge_ratio", data, terms, _EXACTLY, where, n, f"of {member.label}", prompts)
    elif reference is not None:
        among = f"of {member.reference.label}"
        yield Told("rouge_ratio", data, terms, found.interval, where, n, among, prompts)


def _reference(member: Member, outputs: Outputs) -> Outputs | None:
    """Return the answers of the member's reference to the same prompts; None if there are none."""
    known = [] if member.reference is None else member.reference.readings
    for reading in known:
        if reading.outputs is not None and not differing_terms(reading.outputs, outputs):
            return reading.outputs
    return None


def _kept(reference: Outputs, outputs: Outputs) -> Kept | None:
    try:
        found = kept(reference, outputs)
    except BadInput:
        return None
    return found if isinstance(found, Kept) and len(found.index) else None
