"""Who scores the answers of a study's runs? This machine; or, where the runs were made on a cluster
and the texts are many, its nodes, a part each. The scores are the same to the last bit.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accuracy.gate.metrics import GateMetric, Part, scored
from accuracy.gate.ratios import Progress
from accuracy.gate.readings import Scorer, Texts, score_here
from accuracy.metrics.rouge import KINDS
from accuracy.spread import cut
from harness.study.study import Study

# Characters of texts and references. A processor scores 2 to 5 million a second; the nodes of a
# cluster need 4 s to begin, so that two with a processor each break even here.
LEAST_SPREAD = 40_000_000
OF_A_PART = 4_000_000


def scorer_of(study: Study | None) -> Scorer:
    """Return how the answers of a study's runs are scored."""
    if study is None or not study.is_spread:
        return score_here
    return partial(_spread, study)


def _spread(
    study: Study, metric: GateMetric, texts: Texts, references: Texts, progress: Progress
) -> NDArray[Any]:
    if sum(map(len, texts)) + sum(map(len, references)) < LEAST_SPREAD:
        return score_here(metric, texts, references, progress)
    slices = list(cut(texts, references, OF_A_PART))
    parts = (Part(metric.name, texts[each], references[each]) for each in slices)
    found, done = np.zeros((len(texts), len(KINDS))), 0
    for number, rows in study.crew.each(scored, parts):
        found[slices[number]] = rows
        done += len(rows)
        progress(done)
    return found
