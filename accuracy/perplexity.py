"""How well does a model predict texts? What every token cost it comes in; perplexity and its kin come out, with intervals.

    loss            mean negative log likelihood of a token, in nats: every token weighs the same, whichever text it is in
    perplexity      exp(loss), of the corpus; the perplexities of single texts and their means are `spread`, another thing
    bits per byte   all the nats / ln 2 / the UTF-8 bytes that the scored tokens stand for
    accuracy        share of the tokens that the model would have chosen itself

A token is a unit of the tokenizer's making. A model with longer tokens has fewer and harder guesses in the same text, and a
higher perplexity for the same knowledge; bytes are the same for all. So `ranked` refuses to set models of different
tokenizers in order by anything per token.

Intervals (95 %) say how far other texts of the same kind might move a figure: texts are drawn with replacement, whole, as
the tokens of a text lean on one another; the same draws for every figure of the same n texts, and for both sides of a
difference. Percentiles of the draws are too narrow for few texts, so they are taken further out, where they would give a
mean Student's interval (expanded percentiles, Hesterberg 2015, "What teachers should know about the bootstrap"): with ten
texts at 0.9 % and 99.1 %. Fewer than five texts have no interval: no draw reaches beyond the extremes of the texts, and the
truth lies between the extremes of four in at most 87 %. Of a group that only some texts have, draws without it are left out.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from accuracy.token_kinds import KINDS, kinds, sentence_numbers
from harness.errors import BadInput

RESAMPLES, CONFIDENCE = 10_000, 95.0
FEWEST_TEXTS = 5  # for an interval
_SEED = 20_261_121  # the same scores give the same interval
_BATCH = 2**20  # draws at once
_DRAWS, _FEWEST = 4 * 10**6, 500  # of texts in all: beyond 400 texts fewer resamples do, the interval being narrow anyway
_COLUMNS = 256  # sums that are resampled at once
_MOST_SENTENCES = 10
_LARGEST = math.log(np.finfo(np.float64).max)

Floats = NDArray[np.float64]
Key = TypeVar("Key", bound=Hashable)
By = Literal["perplexity", "bits_per_byte"]


@dataclass(frozen=True, slots=True, eq=False)
class TextScores:
    """One text under one model: its T scored tokens, in order.

    A first token that nothing predicts (no BOS) is not scored, and its bytes do not count.
    """

    text_id: str
    category: str
    token_ids: NDArray[np.int32]  # (T,)
    starts: NDArray[np.int32]  # (T,) where the token stands in the text, in characters
    ends: NDArray[np.int32]  # (T,)
    nll_nats: NDArray[np.float32]  # (T,)
    correct: NDArray[np.bool_]  # (T,) the model would have chosen this token itself
    num_bytes: int  # that the scored tokens stand for

    def __post_init__(self) -> None:
        lengths = {name: len(getattr(self, name)) for name in ("token_ids", "starts", "ends", "nll_nats", "correct")}
        if len(set(lengths.values())) != 1:
            found = ", ".join(f"{n} {name}" for name, n in lengths.items())
            raise BadInput(f"scores of text {self.text_id!r}", found, "as many of each")
        if len(broken := np.flatnonzero(~np.isfinite(self.nll_nats))):
            found = f"{float(self.nll_nats[broken[0]])} nats at token {int(broken[0])}"
            raise BadInput(
                f"scores of text {self.text_id!r}", found, "a finite number", "The model's logits are broken there."
            )

    def __len__(self) -> int:
        return len(self.token_ids)


class Estimate(NamedTuple):
    """`value` is None where there is nothing to measure, `low` and `high` where nothing tells how far chance moves it."""

    value: float | None
    low: float | None = None
    high: float | None = None

    @property
    def excludes_zero(self) -> bool:
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)


_NOTHING = Estimate(None)


@dataclass(frozen=True, slots=True)
class Figures:
    """Of some tokens. A perplexity beyond 1e308 is infinite; bits per byte are for whole texts only."""

    texts: int  # that have such a token
    unscored: int  # texts that have none and count for nothing
    tokens: int
    bytes: int | None
    loss_nats: Estimate
    perplexity: Estimate
    bits_per_byte: Estimate
    accuracy: Estimate


# ---- figures


def corpus(texts: Sequence[TextScores]) -> Figures:
    """All tokens of all texts."""
    return _figures(_sums(texts)[:, None])[0]


def per_text(texts: Sequence[TextScores]) -> list[Figures]:
    """One each, in their order, without intervals."""
    return [corpus([text]) for text in texts]


def by_category(texts: Sequence[TextScores]) -> dict[str, Figures]:
    """Categories in the order in which they come up. Intervals draw among the category's own texts."""
    return {category: corpus([texts[i] for i in rows]) for category, rows in _categories(texts).items()}


def by_position(texts: Sequence[TextScores], edges: Sequence[int] | None = None) -> dict[tuple[int, int], Figures]:
    """By place among the scored tokens: first and last place of a bin -> figures. 0, 1, 2-3, 4-7, ... unless `edges` say.

    `edges` are the first places of the bins, and one beyond the last. Late bins hold the long texts only.
    """
    longest = max(map(len, texts), default=0)
    at = list(edges) if edges is not None else [0, *(1 << k for k in range(longest.bit_length() + 1))]
    if len(at) < 2 or any(a >= b for a, b in pairwise(at)):
        raise BadInput("bins of positions", f"{at}", "at least two edges, each above the one before")
    labels = [np.searchsorted(at, np.arange(len(text)), side="right") - 1 for text in texts]
    return by_label(texts, labels, [(first, after - 1) for first, after in pairwise(at)])


def by_sentence(
    texts: Sequence[TextScores], documents: Mapping[str, str], most: int = _MOST_SENTENCES
) -> dict[int, Figures]:
    """By number of the sentence, from 1; `most` stands for itself and all later ones. `documents`: text_id -> text."""
    labels = [np.minimum(sentence_numbers(_document(documents, text), text.starts, text.ends), most - 1) for text in texts]
    return by_label(texts, labels, range(1, most + 1))


def by_kind(texts: Sequence[TextScores], documents: Mapping[str, str]) -> dict[str, Figures]:
    """By class of token (`token_kinds`). `documents`: text_id -> text."""
    return by_label(texts, [kinds(_document(documents, text), text.starts, text.ends) for text in texts], KINDS)


def by_label(texts: Sequence[TextScores], labels: Sequence[NDArray[Any]], keys: Sequence[Key]) -> dict[Key, Figures]:
    """Tokens in groups: `labels` are (T,) places in `keys`, one array per text; what is no place there is left out.

    Groups without a token are left out too.
    """
    for text, label in zip(texts, labels, strict=True):
        if len(text) != len(label):
            raise BadInput(f"groups of tokens in text {text.text_id!r}", f"{len(label)} labels", f"{len(text)} tokens")
    group = _joined(labels, np.int64)
    inside = (group >= 0) & (group < len(keys))
    cell = (np.repeat(np.arange(len(texts)), [len(text) for text in texts]) * len(keys) + group)[inside]
    columns = (_joined([text.nll_nats for text in texts]), np.ones(len(group)), _joined([text.correct for text in texts]))
    size = len(texts) * len(keys)
    sums: Floats = np.stack([np.bincount(cell, column[inside], minlength=size) for column in columns], axis=-1)
    found = _figures(sums.reshape(len(texts), len(keys), 3))
    return {key: figures for key, figures in zip(keys, found, strict=True) if figures.tokens}


def _document(documents: Mapping[str, str], text: TextScores) -> str:
    if text.text_id not in documents:
        raise BadInput("figures by kind of token", f"no text {text.text_id!r}", f"{len(documents)} texts are given")
    document = documents[text.text_id]
    if len(text) and int(text.ends.max()) > len(document):
        found = f"a token of {text.text_id!r} ends at character {int(text.ends.max())}"
        raise BadInput("figures by kind of token", found, f"the text has {len(document)}", "Is it the one that was scored?")
    return document


def _joined(columns: Sequence[NDArray[Any]], kind: Any = np.float64) -> NDArray[Any]:
    return np.concatenate([np.empty(0, kind), *(np.asarray(column, kind) for column in columns)])


def _categories(texts: Sequence[TextScores]) -> dict[str, list[int]]:
    rows: dict[str, list[int]] = {}
    for i, text in enumerate(texts):
        rows.setdefault(text.category, []).append(i)
    return rows


def _sums(texts: Sequence[TextScores]) -> Floats:
    """(n, 4): nats, tokens, correct tokens, bytes of each text."""
    rows = [(text.nll_nats.sum(dtype=np.float64), len(text), text.correct.sum(), text.num_bytes) for text in texts]
    return np.array(rows, np.float64).reshape(len(texts), 4)


def _figures(sums: Floats) -> list[Figures]:
    """(n, K, 3 or 4) sums of n texts in K groups -> K figures."""
    n, num_groups, width = sums.shape
    drawn_from = sums[sums[:, :, 1].any(axis=1)]
    found = []
    step = max(1, _COLUMNS // width)
    for first in range(0, num_groups, step):
        part = drawn_from[:, first : first + step]
        size = part.shape[1]
        draws = resampled(part.reshape(len(part), size * width)).reshape(-1, size, width)
        found += [_group(part[:, k], draws[:, k], n) for k in range(size)]
    return found


def _group(sums: Floats, draws: Floats, all_texts: int) -> Figures:
    n, total = int((sums[:, 1] > 0).sum()), sums.sum(axis=0)
    loss = ratio(total[0], total[1], draws[:, 0], draws[:, 1], n)
    whole = sums.shape[1] == 4
    return Figures(
        texts=n,
        unscored=all_texts - n,
        tokens=int(total[1]),
        bytes=int(total[3]) if whole else None,
        loss_nats=loss,
        perplexity=Estimate(*(exp(end) for end in loss)),
        bits_per_byte=_bits(ratio(total[0], total[3], draws[:, 0], draws[:, 3], n)) if whole else _NOTHING,
        accuracy=ratio(total[2], total[1], draws[:, 2], draws[:, 1], n),
    )


def _bits(nats: Estimate) -> Estimate:
    return Estimate(*(None if end is None else end / math.log(2) for end in nats))


def exp(value: float | None) -> float | None:
    """Infinite beyond the largest float."""
    return None if value is None else math.exp(value) if value < _LARGEST else math.inf


# ---- chance


def resampled(sums: Floats, resamples: int = RESAMPLES) -> Floats:
    """(n, C) sums of n texts -> (B, C) of B draws of n texts; none if n is too small. The same n, the same draws."""
    n, columns = sums.shape
    if n < FEWEST_TEXTS:
        return np.empty((0, columns))
    drawn = np.empty((min(resamples, max(_FEWEST, _DRAWS // n)), columns))
    rng = np.random.default_rng(_SEED)
    step = max(1, _BATCH // n)
    for first in range(0, len(drawn), step):
        rows = drawn[first : first + step]
        picks = rng.integers(0, n, (len(rows), n), np.int32).astype(np.int64)
        picks += n * np.arange(len(rows))[:, None]
        times = np.bincount(picks.ravel(), minlength=picks.size).reshape(picks.shape)
        np.matmul(times.astype(np.float64), sums, out=rows)
    return drawn


def quantiles(n: int, confidence: float = CONFIDENCE) -> tuple[float, float] | None:
    """Which quantiles of the draws of n texts are an interval's ends; None if n is too small for any."""
    from scipy.special import ndtr, stdtrit

    if n < FEWEST_TEXTS:
        return None
    tail = float(ndtr(math.sqrt(n / (n - 1)) * stdtrit(n - 1, (1 - confidence / 100) / 2)))
    return tail, 1 - tail


def interval(value: float, draws: Floats, n: int, confidence: float = CONFIDENCE) -> Estimate:
    """Around `value` of n texts, from the draws that are numbers."""
    draws, ends = draws[np.isfinite(draws)], quantiles(n, confidence)
    if ends is None or not len(draws) or not math.isfinite(value):
        return Estimate(value)
    low, high = np.quantile(draws, ends)
    return Estimate(value, min(float(low), value), max(float(high), value))  # rounding, where all texts are equal


def ratio(over: float, under: float, draws_over: Floats, draws_under: Floats, n: int) -> Estimate:
    if under <= 0:
        return _NOTHING
    return interval(float(over / under), divided(draws_over, draws_under), n)


def divided(over: Floats, under: Floats) -> Floats:
    """NaN where it is divided by zero."""
    return np.divide(over, under, out=np.full(np.shape(over), np.nan), where=under > 0)


# ---- texts beside texts


@dataclass(frozen=True, slots=True)
class Spread:
    """Of the perplexities of single texts, each weighing the same.

    Quantiles are taken of the losses: between two texts lies their geometric mean. `mean` is infinite if one text's
    perplexity is beyond 1e154.
    """

    texts: int
    mean: Estimate
    geometric_mean: Estimate
    median: float | None
    deviation: float | None  # standard deviation, of a sample
    quartiles: tuple[float | None, float | None]
    lowest: float | None
    highest: float | None
    loss_deviation_nats: float | None
    between_categories: float | None  # share of the losses' variance that goes with the category


def spread(texts: Sequence[TextScores]) -> Spread:
    scored = [text for text in texts if len(text)]
    n = len(scored)
    if not n:
        return Spread(0, _NOTHING, _NOTHING, None, None, (None, None), None, None, None, None)
    losses = _losses(scored)
    finite = bool(losses.max() < _LARGEST / 2)  # their squares too
    perplexities = np.exp(losses) if finite else np.full(n, np.inf)
    draws = resampled(np.stack([losses, perplexities if finite else losses], axis=1)) / n
    log_mean = interval(float(losses.mean()), draws[:, 0], n)
    mean = interval(float(perplexities.mean()), draws[:, 1], n) if finite else Estimate(math.inf)
    lowest, first, middle, third, highest = (exp(float(end)) for end in np.quantile(losses, [0, 0.25, 0.5, 0.75, 1]))
    return Spread(
        texts=n,
        mean=mean,
        geometric_mean=Estimate(*(exp(end) for end in log_mean)),
        median=middle,
        deviation=float(perplexities.std(ddof=1)) if n > 1 and finite else None,
        quartiles=(first, third),
        lowest=lowest,
        highest=highest,
        loss_deviation_nats=float(losses.std(ddof=1)) if n > 1 else None,
        between_categories=_between(losses, list(_categories(scored).values())),
    )


def _losses(texts: Sequence[TextScores]) -> Floats:
    return np.array([text.nll_nats.mean(dtype=np.float64) for text in texts], np.float64)


def _between(losses: Floats, groups: Sequence[Sequence[int]]) -> float | None:
    all_squares = float(((losses - losses.mean()) ** 2).sum())
    if len(groups) < 2 or all_squares <= 1e-24 * float((losses**2).sum()):
        return None
    return sum(len(rows) * float(losses[rows].mean() - losses.mean()) ** 2 for rows in groups) / all_squares


def extremes(texts: Sequence[TextScores], count: int, at_least: int = 1) -> tuple[list[str], list[str]]:
    """Ids of the texts with the lowest and with the highest perplexity, the most extreme first.

    Texts of fewer than `at_least` tokens stay out: in a few tokens anything is possible.
    """
    scored = [text for text in texts if len(text) >= max(at_least, 1)]
    order = np.argsort(_losses(scored), kind="stable")
    return [scored[i].text_id for i in order[:count]], [scored[i].text_id for i in order[::-1][:count]]


# ---- tokens


class Token(NamedTuple):
    """`position` counts the scored tokens of the text from 0."""

    text_id: str
    position: int
    token_id: int
    start: int
    end: int
    nll_nats: float
    correct: bool


class TokenGain(NamedTuple):
    """What a token cost one model, and how many nats less it cost the other."""

    token: Token
    gain_nats: float


class TokenMean(NamedTuple):
    token_id: int
    times: int
    loss_nats: float


def hardest(texts: Sequence[TextScores], count: int) -> list[Token]:
    """The tokens that cost most; of equals the first."""
    return [_token(texts, *place) for place in _largest([text.nll_nats for text in texts], count)]


def hardest_ids(texts: Sequence[TextScores], count: int, at_least: int = 5) -> list[TokenMean]:
    """The entries of the vocabulary with the highest mean loss among those that come at least so often."""
    ids, which, times = np.unique(_joined([t.token_ids for t in texts], np.int64), return_inverse=True, return_counts=True)
    losses = np.bincount(which, _joined([text.nll_nats for text in texts]), minlength=len(ids)) / np.maximum(times, 1)
    often = np.flatnonzero(times >= at_least)
    best = often[np.argsort(-losses[often], kind="stable")[:count]]
    return [TokenMean(int(ids[i]), int(times[i]), float(losses[i])) for i in best]


def largest_gains(model: Sequence[TextScores], better: Sequence[TextScores], count: int) -> list[TokenGain]:
    """The tokens that cost `better` least in comparison; swap the two for those that cost it more."""
    pairs = list(same_tokens("gains by token", model, better))
    gains = [np.subtract(a.nll_nats, b.nll_nats, dtype=np.float64) for a, b in pairs]
    places = [(i, at) for i, at in _largest(gains, count) if gains[i][at] > 0]
    return [TokenGain(_token(model, i, at), float(gains[i][at])) for i, at in places]


def _largest(columns: Sequence[NDArray[Any]], count: int) -> list[tuple[int, int]]:
    """(which column, where in it) of the largest values, the largest first."""
    values, firsts = _joined(columns), np.cumsum([0, *map(len, columns)])
    count = min(count, len(values))
    if count <= 0:
        return []
    least = np.partition(values, len(values) - count)[len(values) - count]
    above, equal = np.flatnonzero(values > least), np.flatnonzero(values == least)
    chosen = np.concatenate([above, equal[: count - len(above)]])
    chosen = chosen[np.lexsort((chosen, -values[chosen]))]
    which = np.searchsorted(firsts, chosen, side="right") - 1
    return [(int(i), int(at - firsts[i])) for i, at in zip(which, chosen, strict=True)]


def _token(texts: Sequence[TextScores], i: int, at: int) -> Token:
    text = texts[i]
    where = int(text.token_ids[at]), int(text.starts[at]), int(text.ends[at])
    return Token(text.text_id, at, *where, float(text.nll_nats[at]), bool(text.correct[at]))


# ---- models beside models


@dataclass(frozen=True, slots=True)
class Difference:
    """Ours less theirs, on the same texts. Per token only if both cut them into the same tokens."""

    texts: int
    loss_nats: Estimate
    perplexity_ratio: Estimate  # ours / theirs
    accuracy: Estimate
    bits_per_byte: Estimate


def difference(ours: Sequence[TextScores], theirs: Sequence[TextScores]) -> Difference:
    """Paired: a draw takes a text for both. A text without a scored token on one side is left out on both."""
    pairs = [(a, b) for a, b in same_texts("a difference", ours, theirs) if len(a) and len(b)]
    n = len(pairs)
    sums = np.concatenate([_sums([a for a, _ in pairs]), _sums([b for _, b in pairs])], axis=1)
    draws, total = resampled(sums), sums.sum(axis=0)

    def less(over: int, under: int) -> Estimate:
        if not (total[under] > 0 and total[4 + under] > 0):
            return _NOTHING
        value = float(total[over] / total[under] - total[4 + over] / total[4 + under])
        drawn = divided(draws[:, over], draws[:, under]) - divided(draws[:, 4 + over], draws[:, 4 + under])
        return interval(value, drawn, n)

    same = all(_first_unlike(a, b) is None for a, b in pairs)
    loss, accuracy = (less(0, 1), less(2, 1)) if same else (_NOTHING, _NOTHING)
    return Difference(n, loss, Estimate(*(exp(end) for end in loss)), accuracy, _bits(less(0, 3)))


@dataclass(frozen=True, slots=True)
class Gain:
    """What a context before the same tokens is worth: positive nats, and a ratio below 1, where it helps."""

    base: Figures
    conditioned: Figures
    loss_nats: Estimate
    perplexity_ratio: Estimate  # conditioned / base
    tokens_helped: Estimate  # share of the tokens that cost less


def gain(base: Sequence[TextScores], conditioned: Sequence[TextScores]) -> Gain:
    """Both must have scored the same tokens at the same places."""
    pairs = list(same_tokens("the gain from a context", base, conditioned))
    a, b = [first for first, _ in pairs], [second for _, second in pairs]
    change = difference(b, a)
    rows = [(float((second.nll_nats < first.nll_nats).sum()), len(first)) for first, second in pairs if len(first)]
    helped = np.array(rows, np.float64).reshape(len(rows), 2)
    draws, total = resampled(helped), helped.sum(axis=0)
    return Gain(
        base=corpus(a),
        conditioned=corpus(b),
        loss_nats=_negative(change.loss_nats),
        perplexity_ratio=change.perplexity_ratio,
        tokens_helped=ratio(total[0], total[1], draws[:, 0], draws[:, 1], len(rows)),
    )


def _negative(estimate: Estimate) -> Estimate:
    value, low, high = (None if end is None else -end for end in estimate)
    return Estimate(value, high, low)


class Comparable(NamedTuple):
    """`groups`: models of one tokenizer each. Per token only within a group; bits per byte always."""

    per_token: bool
    groups: list[list[str]]
    why: str


def comparable(tokenizers: Mapping[str, str]) -> Comparable:
    """`tokenizers`: model -> fingerprint of its tokenizer."""
    groups: dict[str, list[str]] = {}
    for model, fingerprint in tokenizers.items():
        groups.setdefault(fingerprint, []).append(model)
    if len(groups) < 2:
        return Comparable(True, list(groups.values()), "All models cut the texts into the same tokens.")
    names = " | ".join(", ".join(models) for models in groups.values())
    why = (
        f"These models cut the same text into different tokens ({names}): with longer tokens there are fewer and harder "
        "guesses, and perplexity, loss and accuracy per token change though the model knows no more and no less. "
        "Bits per byte counts the same bytes for all, and alone compares them."
    )
    return Comparable(False, list(groups.values()), why)


class Ranked(NamedTuple):
    """`behind`: how much worse than the model before, paired; None for the first."""

    model: str
    figure: Estimate
    behind: Estimate | None


def ranked(models: Mapping[str, Sequence[TextScores]], tokenizers: Mapping[str, str], by: By) -> list[Ranked]:
    """Best first. All must have scored the same texts; by perplexity, the same tokens (`behind` is then in nats of loss)."""
    verdict = comparable({model: tokenizers[model] for model in models})
    if by == "perplexity" and not verdict.per_token:
        raise BadInput("a ranking by perplexity", f"{len(verdict.groups)} tokenizers", "one", verdict.why)
    names = list(models)
    for model in names[1:]:
        check = same_tokens if by == "perplexity" else same_texts
        for _ in check(f"ranking {names[0]} and {model}", models[names[0]], models[model]):
            pass
    found = {model: getattr(corpus(texts), by) for model, texts in models.items()}
    if empty := [model for model, figure in found.items() if figure.value is None]:
        raise BadInput(f"a ranking by {by.replace('_', ' ')}", f"{empty[0]} has nothing scored", "a scored text at least")
    order = sorted(names, key=lambda model: found[model].value)
    rows = [Ranked(model, found[model], None) for model in order[:1]]
    for before, model in pairwise(order):
        change = difference(models[model], models[before])
        rows.append(Ranked(model, found[model], change.loss_nats if by == "perplexity" else change.bits_per_byte))
    return rows


def same_texts(
    doing: str, ours: Sequence[TextScores], theirs: Sequence[TextScores]
) -> Iterator[tuple[TextScores, TextScores]]:
    """Pairs by id, in our order."""
    others = {text.text_id: text for text in theirs}
    mine = {text.text_id for text in ours}
    if len(mine) < len(ours) or len(others) < len(theirs):
        raise BadInput(doing, "two texts of one id", "an id for each text")
    if unlike := sorted(mine ^ others.keys()):
        side = "first" if unlike[0] in mine else "second"
        raise BadInput(doing, f"{len(unlike)} texts on one side only, {unlike[0]!r} on the {side}", "the same texts")
    yield from ((text, others[text.text_id]) for text in ours)


def same_tokens(
    doing: str, ours: Sequence[TextScores], theirs: Sequence[TextScores]
) -> Iterator[tuple[TextScores, TextScores]]:
    """Pairs by id that have the same tokens at the same characters."""
    for a, b in same_texts(doing, ours, theirs):
        if (at := _first_unlike(a, b)) is not None:
            found = f"text {a.text_id!r} differs from scored token {at} on: {_where(a, at)} beside {_where(b, at)}"
            raise BadInput(doing, found, "the same tokens at the same characters")
        yield a, b


def _first_unlike(a: TextScores, b: TextScores) -> int | None:
    n = min(len(a), len(b))
    unlike = (a.token_ids[:n] != b.token_ids[:n]) | (a.starts[:n] != b.starts[:n]) | (a.ends[:n] != b.ends[:n])
    if unlike.any():
        return int(unlike.argmax())
    return None if len(a) == len(b) else n


def _where(text: TextScores, at: int) -> str:
    if at >= len(text):
        return "no token"
    return f"token {int(text.token_ids[at])} at {int(text.starts[at])}-{int(text.ends[at])}"


# ---- length


@dataclass(frozen=True, slots=True)
class LengthTrend:
    """Least squares of the texts' losses on log2(bytes), each text a point.

    `within`: the slope with the category held fixed. `adjusted`: what a category's mean loss would be for texts of
    `at_bytes`, along that slope, so that a category of short texts is not called hard for being short.
    """

    texts: int
    at_bytes: float
    slope: Estimate  # nats per token, per doubling of the text
    within: Estimate
    adjusted: dict[str, Estimate]


def length_trend(texts: Sequence[TextScores], at_bytes: float | None = None) -> LengthTrend:
    """Length in bytes, which is the same for every tokenizer. `at_bytes` is the median unless given."""
    scored = [text for text in texts if len(text) and text.num_bytes > 0]
    n, categories = len(scored), _categories(scored)
    if not n:
        return LengthTrend(0, at_bytes or 0.0, _NOTHING, _NOTHING, {})
    lengths = np.array([text.num_bytes for text in scored], np.float64)
    at = float(np.median(lengths)) if at_bytes is None else at_bytes
    if not at > 0:
        raise BadInput("losses at one length", f"{at:g} bytes", "more than 0")
    x, y = np.log2(lengths / at), _losses(scored)
    member = np.zeros((n, len(categories)))
    for k, rows in enumerate(categories.values()):
        member[rows, k] = 1
    moments = np.stack([np.ones(n), x, y, x * x, x * y], axis=1)  # of each text
    sums = (member[:, :, None] * moments[:, None]).reshape(n, -1)  # (n, K x 5)
    shape = (-1, len(categories), 5)
    value, draws = sums.sum(axis=0).reshape(shape), resampled(sums).reshape(shape)
    (slope,), (within,) = _slope(value.sum(1, keepdims=True)), _slope(value)
    num_free = n - len(categories)
    return LengthTrend(
        texts=n,
        at_bytes=at,
        slope=_known(slope, _slope(draws.sum(1, keepdims=True)), n - 1),
        within=_known(within, _slope(draws), num_free),
        adjusted={
            category: _known(_at_zero(value, k)[0], _at_zero(draws, k), min(len(rows), num_free))
            for k, (category, rows) in enumerate(categories.items())
        },
    )


def _slope(moments: Floats) -> Floats:
    """(B, K, 5) moments of K groups -> (B,) their common slope; NaN where all of a group have one length."""
    count, x, y, xx, xy = (moments[:, :, i] for i in range(5))
    over, under = xy - divided(x * y, count), xx - divided(x * x, count)
    spread_out = np.nansum(under, axis=1)
    flat = spread_out <= 1e-9 * (1 + xx.sum(axis=1))
    return divided(np.nansum(over, axis=1), np.where(flat, 0.0, spread_out))


def _at_zero(moments: Floats, k: int) -> Floats:
    """(B,) group k's mean loss, moved along the common slope to x = 0."""
    count, x, y = (moments[:, k, i] for i in range(3))
    return divided(y, count) - _slope(moments) * divided(x, count)


def _known(value: Any, draws: Floats, n: int) -> Estimate:
    return interval(float(value), draws, n) if np.isfinite(value) else _NOTHING


class Lengths(NamedTuple):
    """Texts of `shortest` to `longest` bytes."""

    shortest: int
    longest: int
    figures: Figures


def by_length(texts: Sequence[TextScores], parts: int = 3) -> list[Lengths]:
    """Thirds by length in bytes, the short ones first. Texts of one length stay together, so there may be fewer."""
    scored = [text for text in texts if len(text)]
    if not scored:
        return []
    lengths = np.array([text.num_bytes for text in scored])
    last = np.sort(lengths)[[max(len(lengths) * k // parts - 1, 0) for k in range(1, parts)]]
    third = np.searchsorted(last, lengths)
    rows = [np.flatnonzero(third == k) for k in np.unique(third)]
    return [Lengths(int(lengths[i].min()), int(lengths[i].max()), corpus([scored[j] for j in i])) for i in rows]
