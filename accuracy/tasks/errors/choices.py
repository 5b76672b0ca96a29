"""How sure was a choice among given ones, and does the place of a choice matter?

The margin of an answer is the negative log likelihood of the likeliest wrong choice less that of
the right one: above 0 the answer is right. Between two runs every margin moves a little; the usual
size of that (1.4826 times the median absolute deviation of the changes: the standard deviation, if
they are normal) is the noise. An answer that flips although its margin was smaller than the noise
is a coin toss.

Who chooses by place chooses some letter too often. Where an answer is wrong, a model without a bias
takes each of the wrong choices equally often; chi-square says how far the wrong answers are from
that (each question has its own right choice, so the counts' covariance is summed over questions).
"""

from __future__ import annotations

import string
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from accuracy.tasks.errors.kinds import Answer

_DEVIATION = 1.4826
_EDGES = (1.0, 2.0, 4.0)  # times the noise
_FEWEST = 5  # changes that tell the noise; wrong answers for chi-square
_MOST = 26  # choices
Table = dict[str, Any]


class _Chosen(NamedTuple):
    right: int
    chosen: int
    of: int  # choices there are


def places(answers: Mapping[int, Answer]) -> Table | None:
    """Return how often each choice was right and was chosen; None where there are no choices."""
    found = [one for answer in answers.values() if (one := _chosen(answer)) is not None]
    if not found:
        return None
    count = max(max(one.of, one.right + 1, one.chosen + 1) for one in found)
    found = [one._replace(of=one.of or count) for one in found]
    right, chosen = Counter(one.right for one in found), Counter(one.chosen for one in found)
    wrong = [one for one in found if one.right != one.chosen]
    taken = Counter(one.chosen for one in wrong)
    expected = [sum(1 / (one.of - 1) for one in wrong if _can_be(one, k)) for k in range(count)]
    statistic, p = chi_square(wrong, count)
    return {
        "n": len(found),
        "places": [
            {
                "place": string.ascii_uppercase[k],
                "right": right[k],
                "chosen": chosen[k],
                "wrong": taken[k],
                "expected": expected[k],
            }
            for k in range(count)
        ],
        "chi_square": statistic,
        "p": p,
    }


def _chosen(answer: Answer) -> _Chosen | None:
    """Return the place of the right choice and of the one that was taken."""
    row, choices = answer.row, [one.strip() for one in answer.sample.choices]
    expected, taken = str(row["expected"]).strip(), str(row["answer"]).strip()
    right = int(expected) if choices and expected.isdecimal() else _place(expected, choices)
    chosen = right if answer.is_right else _place(taken, choices)
    if right is None or chosen is None or max(right, chosen) >= (len(choices) or _MOST):
        return None
    return _Chosen(right, chosen, len(choices))


def _place(text: str, choices: Sequence[str]) -> int | None:
    if text in choices:
        return choices.index(text)
    is_letter = len(text) == 1 and text in string.ascii_uppercase
    return string.ascii_uppercase.index(text) if is_letter else None


def _can_be(one: _Chosen, place: int) -> bool:
    return place < one.of and place != one.right


def chi_square(
    wrong: Sequence[tuple[int, int, int]], count: int
) -> tuple[float | None, float | None]:
    """Return (statistic, p) of wrong answers (right, chosen, choices) against those of a model
    that takes each wrong choice equally often; None for fewer than five.
    """
    from scipy.stats import chi2

    if len(wrong) < _FEWEST or count < 3:
        return None, None
    seen, expected, covariance = np.zeros(count), np.zeros(count), np.zeros((count, count))
    for right, chosen, choices in wrong:
        shares = np.zeros(count)
        shares[:choices] = 1 / (choices - 1)
        shares[right] = 0.0
        seen[chosen] += 1
        expected += shares
        covariance += np.diag(shares) - np.outer(shares, shares)
    apart = seen - expected
    freedom = int(np.linalg.matrix_rank(covariance))
    statistic = float(apart @ np.linalg.pinv(covariance, hermitian=True) @ apart)
    return statistic, float(chi2.sf(statistic, freedom))


# ---- margins


def unit(scorer: str) -> str:
    return "nats per byte" if scorer.endswith("_per_byte") else "nats"


def margin(answer: Answer, scorer: str) -> float | None:
    """Return the margin of an answer; None where its likelihoods are not known."""
    nll_nats = answer.row.get("nll_nats")
    found, choices = _chosen(answer), answer.sample.choices
    if not nll_nats or found is None or len(nll_nats) != len(choices) or len(choices) < 2:
        return None
    is_per_byte = scorer.endswith("_per_byte")
    sizes = [float(len(one.encode())) if is_per_byte else 1.0 for one in choices]
    losses = [loss / size for loss, size in zip(nll_nats, sizes, strict=True)]
    right = losses.pop(found.right)
    apart = min(losses) - right
    return apart if np.isfinite(apart) else None


def margins(answers: Mapping[int, Answer], scorer: str) -> dict[int, float]:
    """Return the margins of the answers, by question; those that are known."""
    known = {index: margin(answer, scorer) for index, answer in answers.items()}
    return {index: value for index, value in known.items() if value is not None}


def spread(found: Mapping[int, float]) -> Table | None:
    """Return the quartiles of the margins' sizes, for right answers and for wrong ones."""
    if not found:
        return None
    values = np.array(list(found.values()))
    return {
        "right": _quartiles(values[values > 0]),
        "wrong": _quartiles(-values[values <= 0]),
    }


def _quartiles(values: Any) -> list[float] | None:
    return [float(one) for one in np.quantile(values, (0.25, 0.5, 0.75))] if len(values) else None


def flips(before: Mapping[int, float], after: Mapping[int, float]) -> Table | None:
    """Return the noise of the margins, and how many answers flipped by the size of their margin
    before; None where too few margins are known.
    """
    both = [index for index in before if index in after]
    if len(both) < _FEWEST:
        return None
    first, second = (np.array([of[index] for index in both]) for of in (before, after))
    changes = second - first
    noise = float(_DEVIATION * np.median(np.abs(changes - np.median(changes))))
    has_flipped = (first > 0) != (second > 0)
    sizes = np.abs(first)
    edges = [0.0, *(edge * noise for edge in _EDGES), np.inf]
    bins = []
    for low, high in pairwise(edges):
        inside = (sizes >= low) & (sizes < high)
        bins.append(
            {
                "low": low,
                "high": None if np.isinf(high) else high,
                "n": int(inside.sum()),
                "lost": int((inside & has_flipped & (first > 0)).sum()),
                "gained": int((inside & has_flipped & (first <= 0)).sum()),
            }
        )
    return {
        "noise": noise,
        "shift": float(np.median(changes)),
        "bins": bins,
        "flips": int(has_flipped.sum()),
        "coin_tosses": int((has_flipped & (sizes < noise)).sum()),
    }
