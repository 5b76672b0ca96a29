"""Do two figures put the same things into the same order? Kendall's tau-b, with its exact p-value.

Of n things, each pair is in the same order by both figures, or in opposite orders:

    tau = (same - opposite) / sqrt((pairs - ties of one) (pairs - ties of the other))

If the figures have nothing to do with one another, every order of the one beside the other is
equally likely. The p-value is the share of the orders that give a tau as far from 0, or farther:
counted over all n! of them up to 8 things and by Kendall's recursion beyond that (scipy), drawn
where there are ties too. `least_p` is the smallest that so few things could give: with 4 of them
2/24, so that nothing is ever shown.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import permutations
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from accuracy.resampling import SEED, Floats

FEWEST = 4  # things: fewer have no order to speak of
_COUNTED = 8  # things, of which all orders are counted
_DRAWN = 20_000  # orders


class Order(NamedTuple):
    """`tau` is 1 where both put all in the same order, -1 where in opposite ones."""

    tau: float
    n: int
    p_value: float
    least_p: float


def kendall(one: Sequence[float], other: Sequence[float]) -> Order | None:
    """Return how alike the orders of two figures of the same things are; None where there are too
    few, or where all have the same.
    """
    n = len(one)
    if n < FEWEST or len(set(one)) < 2 or len(set(other)) < 2:
        return None
    a, b = _signs(one), _signs(other)
    over = int((a * b).sum())
    tau = over / math.sqrt(float((a != 0).sum()) * float((b != 0).sum()))
    has_ties = len(set(one)) < n or len(set(other)) < n
    if n > _COUNTED and not has_ties:
        return Order(tau, n, _by_recursion(one, other), 2 / math.factorial(n))
    orders = _all(n) if n <= _COUNTED else _some(n)
    overs = _overs(a, b, orders)
    far = np.abs(overs) >= abs(over)
    if n <= _COUNTED:
        least = np.abs(overs) == np.abs(overs).max()
        return Order(tau, n, float(far.mean()), float(least.mean()))
    return Order(tau, n, float(1 + far.sum()) / (1 + _DRAWN), 1 / (1 + _DRAWN))


def _signs(values: Sequence[float]) -> NDArray[np.int64]:
    """Return (n, n): 1 where the first of two is larger, -1 where smaller, 0 where equal."""
    column: Floats = np.asarray(values, np.float64)
    return np.sign(column[:, None] - column[None, :]).astype(np.int64)


def _overs(
    a: NDArray[np.int64], b: NDArray[np.int64], orders: NDArray[np.intp]
) -> NDArray[np.int64]:
    """Return (orders,): twice the pairs in the same order less those in opposite ones, where the
    second figure stands in each order (orders, n) beside the first.
    """
    found = np.zeros(len(orders), np.int64)
    for i, j in zip(*np.nonzero(a), strict=True):
        found += a[i, j] * b[orders[:, i], orders[:, j]]
    return found


def _all(n: int) -> NDArray[np.intp]:
    return np.array(list(permutations(range(n))), np.intp)


def _some(n: int) -> NDArray[np.intp]:
    rng = np.random.default_rng(SEED)
    return rng.permuted(np.tile(np.arange(n), (_DRAWN, 1)), axis=1)


def _by_recursion(one: Sequence[float], other: Sequence[float]) -> float:
    from scipy.stats import kendalltau

    return float(kendalltau(one, other, method="exact").pvalue)
