"""Which subject predicts the same texts better, and is that more than chance? Scores of several
subjects in; every pair decided, and places out.

One rule for whatever the laboratory says of two subjects: the paired difference over the same
texts has a 95 % bootstrap interval over texts (`resampling`), and

    better, worse    the whole interval is on one side of zero
    tie              it holds zero: other texts could turn the order round
    same             no token's loss differs: the two are one model, as far as these texts show
    open             fewer than five texts, which have no interval

Each comparison is taken on its own. A place is one more than the number of subjects that are
decidedly better, so ties share a place. A tie is no equality: of three, the first and the second,
the second and the third may tie, and the first be better than the third.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from accuracy.likelihood.figures import TextScores, corpus, in_bits, sums_of
from accuracy.likelihood.models import comparable, same_texts, same_tokens
from accuracy.resampling import (
    NOTHING,
    Estimate,
    Floats,
    divided,
    exp,
    interval,
    negative,
    resampled,
)
from harness.kernel.errors import BadInput

Decision = Literal["better", "worse", "tie", "same", "open"]
By = Literal["perplexity", "bits_per_byte"]
_NATS, _TOKENS, _RIGHT, _BYTES, _KLD = range(5)
_EQUAL = Estimate(0.0, 0.0, 0.0)
_DECISIVE = ("better", "worse")


def decided(less: Estimate, more_is_better: bool = False) -> Decision:
    """Judge ours by ours less theirs."""
    if less.value is None or less.low is None or less.high is None:
        return "open"
    if less.low == less.high == 0:
        return "same"
    if not less.excludes_zero:
        return "tie"
    return "better" if (less.value < 0) != more_is_better else "worse"


# ---- pairs


class Pair(NamedTuple):
    """`first` less `second`: in nats per token, bits per byte, share of tokens right, nats of KL.

    Per token only if both cut the texts into the same tokens; KL only where both have one.
    """

    first: str
    second: str
    eval_loss: Estimate
    bits_per_byte: Estimate
    token_accuracy: Estimate
    mean_kld: Estimate

    def figures(self) -> dict[str, Estimate]:
        return {name: getattr(self, name) for name in self._fields[2:]}

    def without_kld(self) -> Pair:
        return self._replace(mean_kld=NOTHING)


Divergences = Mapping[str, Sequence[NDArray[np.floating]]]


def pairs(
    models: Mapping[str, Sequence[TextScores]], klds: Divergences | None = None
) -> list[Pair]:
    """Hold each model against each later one, on the texts that all have scored.

    `klds`: for models with one reference, the divergence at each position, text by text.
    """
    names = list(models)
    rows = _same_texts(models)
    usable = [i for i, row in enumerate(rows) if all(len(text) for text in row)]
    if len(names) < 2 or not usable:
        return []
    columns = [[rows[i][k] for i in usable] for k in range(len(names))]
    known = {name: [column[i] for i in usable] for name, column in (klds or {}).items()}
    sums = np.stack([_sums(columns[k], known.get(names[k])) for k in range(len(names))], axis=1)
    n, width = len(usable), len(names) * (_KLD + 1)
    draws = resampled(sums.reshape(n, width)).reshape(-1, len(names), _KLD + 1)
    found = []
    for a, b in combinations(range(len(names)), 2):
        both = _Both(sums.sum(axis=0), draws, a, b, n)
        pair = _pair(names[a], names[b], both, columns[a], columns[b])
        have_kld = names[a] in known and names[b] in known
        found.append(pair if have_kld else pair.without_kld())
    return found


def _same_texts(models: Mapping[str, Sequence[TextScores]]) -> list[list[TextScores]]:
    """Return, per text, its scores under each model."""
    first, *others = models.values() or [[]]
    doing = "a comparison of models"
    found = [[theirs for _, theirs in same_texts(doing, first, model)] for model in others]
    return [list(row) for row in zip(first, *found, strict=True)]


def _sums(texts: Sequence[TextScores], kld: Sequence[NDArray[np.floating]] | None) -> Floats:
    """Return (n, 5): nats, tokens, right tokens, bytes, nats of KL."""
    last = np.zeros(len(texts))
    if kld is not None:
        last = np.array([column.sum(dtype=np.float64) for column in kld])
    return np.concatenate([sums_of(texts), last[:, None]], axis=1)


class _Both(NamedTuple):
    """Sums (M, 5) and their draws (B, M, 5); models a and b; n texts."""

    total: Floats
    draws: Floats
    a: int
    b: int
    n: int

    def less(self, over: int, under: int) -> Estimate:
        """Return ours less theirs of a ratio of two sums."""
        value, drawn = (self._less(sums, over, under) for sums in (self.total[None], self.draws))
        if not np.isfinite(value[0]):
            return NOTHING
        return interval(float(value[0]), drawn, self.n)

    def _less(self, sums: Floats, over: int, under: int) -> Floats:
        ours, theirs = sums[:, self.a], sums[:, self.b]
        found: Floats = divided(ours[:, over], ours[:, under]) - divided(
            theirs[:, over], theirs[:, under]
        )
        return found


def _pair(
    first: str,
    second: str,
    both: _Both,
    ours: Sequence[TextScores],
    theirs: Sequence[TextScores],
) -> Pair:
    kld = both.less(_KLD, _TOKENS)
    if _share_tokens(ours, theirs):
        texts = list(zip(ours, theirs, strict=True))
        if all(np.array_equal(a.nll_nats, b.nll_nats) for a, b in texts):
            return Pair(first, second, _EQUAL, _EQUAL, _EQUAL, kld)
        loss, accuracy = both.less(_NATS, _TOKENS), both.less(_RIGHT, _TOKENS)
    else:
        loss, accuracy = NOTHING, NOTHING
    return Pair(first, second, loss, in_bits(both.less(_NATS, _BYTES)), accuracy, kld)


def _share_tokens(ours: Sequence[TextScores], theirs: Sequence[TextScores]) -> bool:
    try:
        for _ in same_tokens("", ours, theirs):
            pass
    except BadInput:
        return False
    return True


# ---- places


class Ranked(NamedTuple):
    """`behind`: how much worse than the first, paired, in nats of loss or bits per byte; `ratio`
    the same as a share of its perplexity. None for the first.

    `tied_with`: the models from which nothing tells it apart.
    """

    model: str
    figure: Estimate
    place: int
    behind: Estimate | None
    ratio: Estimate | None
    decision: Decision | None  # against the first
    tied_with: tuple[str, ...]


def ranked(
    models: Mapping[str, Sequence[TextScores]],
    tokenizers: Mapping[str, str],
    by: By,
    compared: Sequence[Pair] | None = None,
) -> list[Ranked]:
    """Put models in order, the lowest figure first. All must have scored the same texts; by
    perplexity, the same tokens. `compared` are their `pairs`, if they are known already.
    """
    verdict = comparable({model: tokenizers[model] for model in models})
    if by == "perplexity" and not verdict.per_token:
        found = f"{len(verdict.groups)} tokenizers"
        raise BadInput("a ranking by perplexity", found, "one", verdict.why)
    figures = {model: getattr(corpus(texts), by) for model, texts in models.items()}
    if empty := [model for model, figure in figures.items() if figure.value is None]:
        doing, found = f"a ranking by {by.replace('_', ' ')}", f"{empty[0]} has nothing scored"
        raise BadInput(doing, found, "a scored text at least")
    less = _both_ways(pairs(models) if compared is None else compared, by)
    order = sorted(models, key=lambda model: figures[model].value)
    return [_ranked(model, order, figures[model], less, by) for model in order]


def _both_ways(compared: Sequence[Pair], by: By) -> dict[tuple[str, str], Estimate]:
    """Return ours less theirs by (ours, theirs)."""
    key = "eval_loss" if by == "perplexity" else "bits_per_byte"
    found = {}
    for pair in compared:
        less: Estimate = getattr(pair, key)
        found[pair.first, pair.second] = less
        found[pair.second, pair.first] = negative(less)
    return found


def _ranked(
    model: str,
    order: Sequence[str],
    figure: Estimate,
    less: Mapping[tuple[str, str], Estimate],
    by: By,
) -> Ranked:
    decisions = {other: decided(less[model, other]) for other in order if other != model}
    place = 1 + sum(decision == "worse" for decision in decisions.values())
    tied = tuple(other for other, decision in decisions.items() if decision not in _DECISIVE)
    if model == order[0]:
        return Ranked(model, figure, place, None, None, None, tied)
    behind = less[model, order[0]]
    ratio = behind.map(exp) if by == "perplexity" else None
    return Ranked(model, figure, place, behind, ratio, decisions[order[0]], tied)
