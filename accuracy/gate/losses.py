"""Where does a candidate lose: at which token do its outputs part from the reference's, on which
kinds of question, on which samples?
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from accuracy.gate import differences, ratios
from accuracy.gate.outputs import Outputs
from accuracy.gate.ratios import Ratio
from accuracy.resampling import Floats
from harness.kernel.types import NEVER, Int64s, Sample

WORST = 5  # samples shown per candidate
_LABEL_RESAMPLES = 2_000
_LEAST = 5  # samples of a kind; an interval from fewer says nothing
Row = dict[str, Any]


class Samples(NamedTuple):
    """The samples `rows` of both runs, with one score each."""

    candidate: Outputs
    reference: Outputs
    rows: Int64s
    ours: Floats
    theirs: Floats

    def sample(self, k: int) -> Sample | None:
        """Return the question of the k-th, if the dataset still has it."""
        index = int(self.reference.index[self.rows[k]])
        return (self.reference.samples or {}).get(index)


def divergence(candidate: Outputs, reference: Outputs) -> Row:
    """Return where the token ids part; the words of the texts, where one of the runs has no ids."""
    ours: Sequence[NDArray[Any]] = candidate.ids
    theirs: Sequence[NDArray[Any]] = reference.ids
    if not (any(map(len, ours)) and any(map(len, theirs))):
        ours, theirs = _words(candidate), _words(reference)
    positions = differences.first_differences(ours, theirs)
    parted = positions[positions != NEVER]
    longest = max(map(len, [*candidate.ids, *reference.ids]), default=0)
    return {
        "identical": differences.identical_share(positions),
        "divergence_median": float(np.median(parted)) if len(parted) else None,
        "divergence": [part._asdict() for part in differences.histogram(positions, longest)],
    }


def _words(outputs: Outputs) -> list[NDArray[Any]]:
    return [np.array(text.split(), np.str_) for text in outputs.texts]


def by_label(samples: Samples, resamples: int, confidence: float) -> list[Row]:
    """Return the ratio of each kind of question, by the dataset's labels."""
    labels = []
    for k in range(len(samples.rows)):
        sample = samples.sample(k)
        labels.append(sample.labels if sample else ())
    rows = []
    for (key, label), members in differences.groups(labels).items():
        ours, theirs = samples.ours[members], samples.theirs[members]
        ratio = _ratio(ours, theirs, min(resamples, _LABEL_RESAMPLES), confidence)
        rows.append({"key": key, "label": label, "ratio": asdict(ratio)})
    return rows


def _ratio(ours: Floats, theirs: Floats, resamples: int, confidence: float) -> Ratio:
    if len(ours) >= _LEAST:
        return ratios.ratios({"rouge": ours}, {"rouge": theirs}, resamples, confidence)[0]
    mine, other = float(ours.mean()), float(theirs.mean())
    return Ratio("rouge", mine, other, mine / other if other else None, None, None, len(ours))


def worst(samples: Samples) -> list[Row]:
    """Return the samples that lost most, as a reader wants to see them: both texts side by side."""
    candidate, reference = samples.candidate, samples.reference
    shown = []
    for k in differences.worst(samples.theirs - samples.ours, WORST):
        row, sample = int(samples.rows[k]), samples.sample(k)
        left, right = differences.side_by_side(reference.texts[row], candidate.texts[row])
        shown.append(
            {
                "index": int(candidate.index[row]),
                "prompt": sample.prompt if sample else "",
                "labels": [value for _, value in sample.labels] if sample else [],
                "answer": (sample.reference or "") if sample else "",
                "candidate": float(samples.ours[k]),
                "reference": float(samples.theirs[k]),
                "diverges_at": differences.first_difference(candidate.ids[row], reference.ids[row]),
                "texts": {
                    "reference": [list(piece) for piece in left],
                    "candidate": [list(piece) for piece in right],
                },
            }
        )
    return shown
