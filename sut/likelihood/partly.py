"""How far does a served model's distribution lie from its reference's, where a server tells only
its likeliest tokens? KL(reference || served) per position, as far as it can be known.

A server names 20 tokens of a position, as a rule, and the token of the text. Those that the
reference's record knows too stand for themselves, all others are one: the rest, to which the
reference gives the mass P and the server Q.

    KL = sum over named of p ln(p/q)  +  P ln(P/Q)  +  P KL(p/P || q/Q inside the rest)

`kld_low` leaves the last term out. By the log-sum inequality that term is never negative, so this
is a lower bound that holds always. `kld` takes the term from the named tokens: inside the rest the
server is taken to differ as much as among them. That is a guess, and may err to either side. There
is no upper bound: a single token of the rest may have next to no probability at the server.
`kld_high` is therefore infinite and `kld_error` is not known, where P is not 0.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sut.likelihood.distributions import Distributions, Divergence
from sut.served.likelihood import Named

_ROUNDING = 1e-7  # of a mass: log-probabilities come as float32
_WHOLE = 1e-6  # a rest of less than this is none
Floats = NDArray[np.float64]


class Partly(NamedTuple):
    """A text's divergence, and the mass that the reference gives to tokens that were not named."""

    divergence: Divergence
    rest: Floats  # (T,)


def compare(kept: Distributions, served: Named) -> Partly:
    """Hold a text's positions against what was recorded of the reference."""
    log_p = _of_the_reference(kept, served)  # (T, N)
    is_known = np.isfinite(log_p)
    p = np.where(is_known, np.exp(log_p), 0.0)
    q = np.where(is_known, np.exp(served.top_log_probs), 0.0)
    rest_p = np.clip(1.0 - p.sum(1), 0.0, None)
    rest_q = np.maximum(1.0 - q.sum(1), _ROUNDING)
    among = _bregman(p, q).sum(1)
    low = np.clip(among + _bregman(rest_p, rest_q), 0.0, None)
    has_rest = rest_p > _WHOLE
    top = served.top
    found = Divergence(
        kld=low + np.where(has_rest, rest_p * _inside(p, q), 0.0),
        kld_low=low,
        kld_high=np.where(has_rest, np.inf, low),
        kld_error=np.where(has_rest, np.nan, 0.0),
        nll_reference=kept.nll_nats,
        nll_variant=-served.log_probs.astype(np.float32),
        same_top=top == kept.top,
        correct=top == kept.targets,
    )
    return Partly(found, np.where(has_rest, rest_p, 0.0))


def _of_the_reference(kept: Distributions, served: Named) -> Floats:
    """Return the reference's log-probabilities of the named ids, -inf where they are not known:
    beyond what was kept. That of the token of the text always is.
    """
    rows = np.arange(len(kept.targets))[:, None] * kept.vocabulary
    order = np.argsort(kept.ids, 1)
    ids = np.take_along_axis(kept.ids.astype(np.int64), order, 1) + rows
    log_probs = np.take_along_axis(kept.log_probs.astype(np.float64), order, 1)
    is_id = (served.ids >= 0) & (served.ids < kept.vocabulary)
    wanted = np.where(is_id, served.ids + rows, rows)
    places = np.minimum(np.searchsorted(ids.ravel(), wanted), ids.size - 1)
    is_kept = is_id & (ids.ravel()[places] == wanted)
    found = np.where(is_kept, log_probs.ravel()[places], -np.inf)
    is_target = served.ids == kept.targets[:, None]
    return np.where(is_target, -kept.nll_nats.astype(np.float64)[:, None], found)


def _inside(p: Floats, q: Floats) -> Floats:
    """Return KL among the named tokens alone, as shares of their sums."""
    all_p, all_q = p.sum(1, keepdims=True), q.sum(1, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        found = _bregman(p / all_p, q / all_q).sum(1)
    return np.where(np.isfinite(found), found, 0.0)


def _bregman(p: Floats, q: Floats) -> Floats:
    """Return p ln(p/q) - p + q of each: in sum the KL, and blind to small errors in the sums."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(p > 0, p * np.log(p / q), 0.0) - p + q
