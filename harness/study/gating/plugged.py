"""How does a metric of an installed package score each answer? It is a function of a run; asked for
one answer at a time, it gives a score for each.

That is right only if its figure is the mean of these scores, as that of exact match is. A figure of
all answers together (a corpus BLEU, a median) is another one, so it is refused.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from harness import registry
from harness.engine.pieces import reason
from harness.kernel.errors import BadInput, HarnessError
from harness.kernel.log import RunLog
from harness.kernel.protocols import MetricFn
from harness.kernel.types import Metric, Sample

_ROUNDING = 1e-3  # of a figure, relative: what is shown is rounded
Row = dict[str, Any]


def rows(name: str, log: RunLog, samples: Sequence[Sample], attempts: int = 1) -> list[Row]:
    """Return the marks (`accuracy.tasks.marks`) of the first answer to each of the samples that the
    metric says something of. Raises BadInput where its scores are none of single answers.
    """
    scores = registry.metric(name)
    first = dict[int, int]()
    for i in np.flatnonzero(log.completed).tolist():
        first.setdefault(int(log.index[i]), i)
    answered = [sample for sample in samples if sample.index in first]
    ids = [first[sample.index] for sample in answered]
    whole = _figure(name, scores, log, answered, ids)
    each = [
        _figure(name, scores, log, [sample], [i]) for sample, i in zip(answered, ids, strict=True)
    ]
    known = [(s, i, one) for s, i, one in zip(answered, ids, each, strict=True) if one is not None]
    _check(name, whole, [value for *_, value in known])
    made = []
    for sample, i, value in known:
        question, attempt = divmod(sample.index, attempts)
        made.append(
            {
                "index": question,
                "attempt": attempt,
                "scorer": name,
                "score": value,
                "outcome": "right" if value == 1 else "wrong",
                "answer": log.texts.get(i, ""),
                "expected": sample.reference or "",
                "tokens": int(log.tokens[i]),
                "is_cut": False,
                "nll_nats": None,
                **dict(sample.labels),
            }
        )
    return made


def _figure(
    name: str, scores: MetricFn, log: RunLog, samples: Sequence[Sample], ids: Sequence[int]
) -> float | None:
    """Return the metric's figure for some answers; None where it has none."""
    try:
        found = scores(log, samples, np.array(ids, np.int64))
    except HarnessError:
        raise
    except Exception as fault:
        raise BadInput(f"--metric {name}", f"the plug-in broke: {reason(fault)}") from fault
    return _own(name, found)


def _own(name: str, found: Sequence[Metric]) -> float | None:
    """Return the figure that is named as the metric is, or the only one, as a share of 1."""
    own = [one for one in found if one.name == name] or list(found)
    if len(own) > 1:
        known = ", ".join(one.name for one in own)
        fine = f"expected one of the name {name}, by which the gate can decide"
        raise BadInput(f"--metric {name}", f"it gives several figures: {known}", fine)
    if not own or own[0].value is None:
        return None
    return own[0].value / (100 if own[0].unit == "%" else 1)


def _check(name: str, whole: float | None, each: Sequence[float]) -> None:
    """Refuse scores that are no share, and a figure that is not their mean. Raises BadInput."""
    doing = f"--metric {name}"
    if not each or whole is None:
        return
    if odd := [value for value in each if not 0 <= value <= 1]:
        fine = "expected scores from 0 to 1 (0 to 100 if its unit is %), the higher the better"
        raise BadInput(doing, f"it gives an answer {odd[0]:g}", fine, "Choose another metric.")
    mean = sum(each) / len(each)
    if not math.isclose(mean, whole, rel_tol=_ROUNDING, abs_tol=1e-6):
        found = f"it is {whole:.6g} of all answers, and the mean over single ones is {mean:.6g}"
        fine = "expected a metric that is a mean of scores, one per answer"
        raise BadInput(doing, found, fine, "Choose another metric.")
