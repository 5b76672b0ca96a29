"""Which groups of questions suffer more than the others, beyond chance?

Each question has a loss: 1 lost, 0 the same, -1 gained (of one run alone: 1 wrong, 0 right). The
test asks how often chance alone, dealing the losses to the groups at random, would make the mean
of this group stand out from the others as far. It is exact: all deals are counted, by how many
lost and gained questions the group gets. What stands out is measured by Welch's t, so that a group
whose questions flip more often both ways is not taken for one that suffers (Janssen 1997,
"Studentized permutation tests for non-i.i.d. hypotheses"). p-values are one-sided, and corrected
for the number of groups (Holm).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from accuracy.means import paired_difference
from accuracy.resampling import Estimate
from harness.kernel.stats import holm

SIGNIFICANT = 0.05
_FEWEST = 2  # groups, and questions on either side
_TINY = 1e-12  # probability of the deals that are left out


class Group(NamedTuple):
    """One group's questions: how many were lost and gained, and whether that is chance."""

    column: str
    group: str
    n: int
    lost: int
    gained: int
    net: Estimate  # (lost - gained) / n
    p: float | None
    p_corrected: float | None

    @property
    def is_worse(self) -> bool:
        return self.p_corrected is not None and self.p_corrected < SIGNIFICANT


def groups(
    losses: Mapping[int, int], right: Mapping[int, bool], labels: Mapping[int, Mapping[str, str]]
) -> list[Group]:
    """Return each group of each column. `losses` has 1, 0 or -1 by question; `right` says whether
    the reference answered it rightly; `labels` has the groups that it is in.
    """
    members = dict[tuple[str, str], list[int]]()
    for index in losses:
        for name, value in labels[index].items():
            members.setdefault((name, value), []).append(index)
    found = [_group(name, value, of, losses, right) for (name, value), of in members.items()]
    tested = [i for i, one in enumerate(found) if one.p is not None]
    corrected = holm([found[i].p or 0.0 for i in tested])
    for i, p in zip(tested, corrected, strict=True):
        found[i] = found[i]._replace(p_corrected=p)
    return found


def _group(
    name: str, value: str, of: Sequence[int], losses: Mapping[int, int], right: Mapping[int, bool]
) -> Group:
    own = [losses[index] for index in of]
    lost, gained = own.count(1), own.count(-1)
    both = sum(right[index] and losses[index] == 0 for index in of)
    every = list(losses.values())
    p = chance(len(of), lost, gained, len(every), every.count(1), every.count(-1))
    net = paired_difference(both, lost, gained, len(of))
    return Group(name, value, len(of), lost, gained, net, p, None)


def chance(
    n: int, lost: int, gained: int, n_all: int, lost_all: int, gained_all: int
) -> float | None:
    """Return the probability that a random group of n questions stands out from the others by at
    least as much; None where there are no others, or nothing was lost or gained.
    """
    if min(n, n_all - n) < _FEWEST or not lost_all + gained_all:
        return None
    ks = _likely(n, lost_all, n_all)[:, None]
    js = _likely(n, gained_all, n_all)[None, :]
    same_all = n_all - lost_all - gained_all
    ways = _log_ways(lost_all, ks) + _log_ways(gained_all, js) + _log_ways(same_all, n - ks - js)
    probability = np.exp(ways - _log_ways(n_all, np.array(n)))
    t = _welch(ks, js, n, n_all, lost_all, gained_all)
    seen = _welch(np.array(lost), np.array(gained), n, n_all, lost_all, gained_all)
    return min(float(probability[t >= seen - 1e-9].sum()), 1.0)


@lru_cache(maxsize=1024)
def _likely(n: int, count: int, n_all: int) -> NDArray[np.int64]:
    """Return how many of `count` questions a random group of n may get."""
    from scipy.stats import hypergeom

    draw = hypergeom(n_all, count, n)
    low, high = int(draw.ppf(_TINY)), int(draw.isf(_TINY))
    return np.arange(max(low - 1, 0), min(high + 1, n, count) + 1)


def _log_ways(of: int, taken: NDArray[Any]) -> NDArray[np.float64]:
    """Return the log of in how many ways so many can be taken; -inf where they cannot."""
    from scipy.special import gammaln

    is_possible = (taken >= 0) & (taken <= of)
    safe = np.where(is_possible, taken, 0)
    ways = gammaln(of + 1) - gammaln(safe + 1) - gammaln(of - safe + 1)
    return np.where(is_possible, ways, -np.inf)


def _welch(
    lost: NDArray[Any], gained: NDArray[Any], n: int, n_all: int, lost_all: int, gained_all: int
) -> NDArray[np.float64]:
    """Return Welch's t of the mean loss of a group against the other questions."""
    others = n_all - n
    mean, square = (lost - gained) / n, (lost + gained) / n
    mean_others = (lost_all - lost - gained_all + gained) / others
    square_others = (lost_all - lost + gained_all - gained) / others
    error = (square - mean**2) / (n - 1) + (square_others - mean_others**2) / (others - 1)
    apart = mean - mean_others
    with np.errstate(divide="ignore", invalid="ignore"):
        t = apart / np.sqrt(np.maximum(error, 0.0))
    return np.where(np.abs(apart) < 1e-12, 0.0, t)
