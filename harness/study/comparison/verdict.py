"""Who is fastest, smallest and best, what cannot be told apart, and who keeps the reference's
quality? Rows and the evidence behind them in, the verdict of a comparison out.

Ranking is `accuracy.ranking`'s: what its interval does not decide is a tie. Keeping is the gate's:
the same code, the same words.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from accuracy.gate.readings import Scorer, score_here
from accuracy.ranking import Lead, lead, losses_beside, rates_beside, scores_beside
from accuracy.resampling import Estimate
from harness.study.comparison.evidence import NONE, SHARES, Evidence, Kept, kept

Row = dict[str, Any]
ENDED = ("VALID", "INVALID")


Keeping = Mapping[str, Kept | str]  # by label; a text says why the gate would not judge it


def judge(
    rows: Sequence[Row], evidence: Mapping[str, Evidence], keeping: Keeping
) -> dict[str, Any]:
    """Return the verdict on labelled rows, the first of which is the reference."""
    ended = [row for row in rows if row["status"] in ENDED]
    by, unranked = _best_by(ended)
    quality = _losses(ended, evidence) if by == "eval_loss" else _scores(keeping)
    leads = {
        "fastest": _rank(ended, "tokens_per_s", True, 1.0, _rates(evidence)),
        "smallest": _rank(ended, "weights_bytes", False, 1.0, _sizes(ended)),
        "best": _rank(ended, by, by == "rougeL", 0.0, quality),
    }
    return {
        "reference": rows[0]["label"],
        **{name: found.decided if found else None for name, found in leads.items()},
        "best_by": by,
        "unranked": unranked,
        "leads": {name: _lead_facts(found) for name, found in leads.items() if found},
        **_kept_labels(ended, rows[0]["label"]),
        "failed": [row["label"] for row in rows if row["status"] not in ENDED],
    }


# ---- ranking

Beside = Callable[[str, str], Estimate | None]


def _rank(
    rows: Sequence[Row], key: str, largest: bool, equality: float, beside: Beside
) -> Lead | None:
    values = {row["label"]: row[key] for row in rows}
    return lead(values, beside, largest=largest, equality=equality)


def _best_by(rows: Sequence[Row]) -> tuple[str, str]:
    """The figure that says how good a row is, and which one is not ranked: the losses per token of
    different tokenizers do not compare.
    """
    has_losses = any(row["eval_loss"] is not None for row in rows)
    tokenizers = {row["tokenizer"] for row in rows} - {None}
    if has_losses and len(tokenizers) < 2:
        return "eval_loss", ""
    return "rougeL", "eval_loss" if has_losses else ""


def _rates(evidence: Mapping[str, Evidence]) -> Beside:
    def beside(label: str, best: str) -> Estimate | None:
        ours, theirs = (evidence.get(name, NONE).pace for name in (label, best))
        return None if ours is None or theirs is None else rates_beside(ours, theirs)

    return beside


def _sizes(rows: Sequence[Row]) -> Beside:
    """No chance moves a number of bytes."""
    sizes = {row["label"]: row["weights_bytes"] for row in rows}
    return lambda label, best: Estimate(*[sizes[label] / sizes[best]] * 3)


def _losses(rows: Sequence[Row], evidence: Mapping[str, Evidence]) -> Beside:
    """Answer by answer, of the same data."""
    data = {row["label"]: [row["conditions"].get(name) for name in _DATA] for row in rows}

    def beside(label: str, best: str) -> Estimate | None:
        ours, theirs = (evidence.get(name, NONE).losses for name in (label, best))
        if ours is None or theirs is None or data[label] != data[best]:
            return None
        return losses_beside(ours, theirs)

    return beside


_DATA = ("dataset", "samples drawn")


def _scores(keeping: Keeping) -> Beside:
    """Question by question; what is judged beside the same reference is of the same data."""

    def beside(label: str, best: str) -> Estimate | None:
        ours, theirs = keeping.get(label), keeping.get(best)
        if not isinstance(ours, Kept) or not isinstance(theirs, Kept):
            return None
        _, at, their_at = np.intersect1d(ours.index, theirs.index, return_indices=True)
        if not len(at):
            return None
        return scores_beside(100 * ours.scores[at], 100 * theirs.scores[their_at])

    return beside


def _lead_facts(found: Lead) -> dict[str, Any]:
    others = {label: estimate._asdict() for label, estimate in found.others.items()}
    return {
        "label": found.best,
        "tied": list(found.tied),
        "others": others,
        "judged": found.judged,
    }


def paired(
    rows: Sequence[Row], evidence: Mapping[str, Evidence], keeping: Keeping
) -> dict[str, Beside]:
    """Return how two rows differ by the figures that their answers or tokens tell apart, each as a
    difference: of two speeds, their ratio less 1.
    """
    rates, losses = _rates(evidence), _losses(rows, evidence)

    def by_rates(label: str, other: str) -> Estimate | None:
        found = rates(label, other)
        return found and found.map(lambda ratio: ratio - 1)

    by_figure = {"tokens_per_s": by_rates, "eval_loss": losses, "perplexity": losses}
    return by_figure | {"rougeL": _scores(keeping)}


# ---- keeping


def keeping_of(
    labels: Sequence[str], evidence: Mapping[str, Evidence], scorer: Scorer = score_here
) -> Keeping:
    """What each run keeps of the first one's answers, which `scorer` scores."""
    reference = evidence.get(labels[0], NONE).outputs
    return {label: kept(reference, evidence.get(label, NONE).outputs, scorer) for label in labels}


def kept_facts(found: Kept | str, is_reference: bool) -> dict[str, Any]:
    """Return what a row says of it: figures, the gate's word at each share, and its reasons."""
    unknown = {f"keeps_{share}": None for share in SHARES}
    if isinstance(found, str):
        return {**unknown, "keeps_reasons": {}, "not_judged": found}
    figures = {"rouge_ratio": found.ratio, "tokens_ratio": found.tokens}
    known = {name: figure for name, figure in figures.items() if figure is not None}
    if is_reference:
        return {**known, **unknown, "keeps_reasons": {}, "not_judged": ""}
    words = {f"keeps_{share}": found.calls[share].status for share in SHARES}
    return {**known, **words, "keeps_reasons": dict(found.reasons), "not_judged": ""}


def _kept_labels(rows: Sequence[Row], reference: str) -> dict[str, Any]:
    """Who passes at each share, who fails at the lower one, and who is undecided at which."""
    others = [row for row in rows if row["label"] != reference]

    def of(share: str, word: str) -> list[str]:
        return [row["label"] for row in others if row[f"keeps_{share}"] == word]

    return {
        "rouge_kept": {share: of(share, "PASS") for share in reversed(SHARES)},
        "rouge_undecided": {share: of(share, "UNDECIDED") for share in reversed(SHARES)},
        "rouge_lost": of(SHARES[0], "FAIL"),
    }
