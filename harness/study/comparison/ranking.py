"""Which row is best, and by what? The rows of a comparison with their intervals, to
`harness.study.best`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from accuracy.resampling import Estimate
from harness.study.best.apart import NO_PAIRS, Beside
from harness.study.best.best import best
from harness.study.comparison import tasks
from harness.study.comparison.evidence import Evidence, Kept
from harness.study.comparison.intervals import mean_of
from harness.study.comparison.likelihoods import loss_beside
from harness.study.comparison.rows import OF_ANSWERS, ROUGE
from harness.study.comparison.verdict import Keeping, paired

Row = dict[str, Any]
_MOST_PAIRED = 16  # rows: more are told apart by their intervals alone, which is faster
# What is per token compares between rows of one tokenizer alone.
PER_TOKEN = ("eval_loss", "perplexity", "token_accuracy", "text_loss", "text_perplexity",
             "text_token_accuracy", "mean_kld")  # fmt: skip
# What is told of the answers compares between rows that were asked the same questions.
PER_QUESTION = (
    "eval_loss", "perplexity", "token_accuracy", "rouge_ratio", *ROUGE, *OF_ANSWERS,
)  # fmt: skip


def known_of(row: Row, evidence: Evidence, kept: Kept | str) -> Row:
    """Return the intervals of a row's figures, and its figures by kind of task; nothing where none
    are known.
    """
    intervals, kinds = dict(evidence.intervals), {k: dict(v) for k, v in evidence.kinds.items()}
    if isinstance(kept, Kept) and len(kept.index):
        intervals |= {"rougeL": mean_of(100 * kept.scores), "rouge_ratio": kept.interval}
        kinds |= tasks.of_scores(kept.index, kept.scores, evidence.members)
    kinds |= tasks.of_losses(evidence.losses, evidence.members)
    likelihood = row.get("likelihood") or {"figures": {}, "kinds": {}}
    intervals |= {name: Estimate(*ends) for name, ends in likelihood["figures"].items()}
    if likelihood["kinds"]:
        kinds["text_perplexity"] = {k: Estimate(*v) for k, v in likelihood["kinds"].items()}
    ends = {
        name: [found.low, found.high]
        for name, found in intervals.items()
        if found.low is not None and found.high is not None
    }
    found: Row = {"intervals": ends} if ends else {}
    if kinds:
        found["kinds"] = {name: {k: list(v) for k, v in of.items()} for name, of in kinds.items()}
    return found


def of_rows(
    rows: Sequence[Row], evidence: Mapping[str, Evidence], keeping: Keeping
) -> dict[str, Any]:
    """Return the part `best` of compare.json."""
    tokenizers = {row.get("tokenizer") for row in rows} - {None}
    datasets = {row["conditions"].get("dataset") for row in rows if row["conditions"]}
    without = PER_TOKEN * (len(tokenizers) > 1) + PER_QUESTION * (len(datasets) > 1)
    is_paired = len(rows) <= _MOST_PAIRED
    beside = _beside(rows, evidence, keeping) if is_paired else NO_PAIRS
    return best(rows, beside, without)


def _beside(rows: Sequence[Row], evidence: Mapping[str, Evidence], keeping: Keeping) -> Beside:
    """Tell rows apart by the same answers or texts; each pair is asked once."""
    by_label = {row["label"]: row for row in rows}

    def by_texts(label: str, other: str) -> Estimate | None:
        return loss_beside(by_label[label], by_label[other])

    of_texts = dict.fromkeys(("text_loss", "text_perplexity"), by_texts)
    found = paired(rows, evidence, keeping) | of_texts
    return {name: cache(function) for name, function in found.items()}
