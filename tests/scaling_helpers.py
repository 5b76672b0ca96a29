"""Families of sizes without a model: texts whose losses are given, or drawn along a law."""

from __future__ import annotations

import numpy as np

from accuracy.likelihood.figures import TextScores
from accuracy.likelihood.scaling import losses

SIZES = [14e6, 70e6, 160e6, 410e6, 1e9, 1.4e9]


def model(loss, num_texts=40, num_tokens=50, noise=0.0, seed=0):
    """Texts that are as hard for every model, in proportion; `noise` is what a model has of its
    own.
    """
    found = []
    own = np.random.default_rng(seed)
    for i in range(num_texts):
        text = np.random.default_rng(1000 + i)
        nll = (
            loss
            * text.lognormal(0, 0.2)
            * text.exponential(1, num_tokens)
            * own.lognormal(0, max(noise, 1e-12))
        )
        at = np.arange(num_tokens, dtype=np.int32)
        nll = nll.astype(np.float32)
        found.append(TextScores(f"t{i}", "", at, at * 4, at * 4 + 4, nll, nll < 1, 4 * num_tokens))
    return found


def flat(value, num_texts=6):
    """Every token costs the same."""
    at = np.arange(3, dtype=np.int32)
    nll = np.full(3, value, np.float32)
    return [TextScores(f"t{i}", "", at, at, at + 1, nll, nll < 1, 3) for i in range(num_texts)]


def measured(sizes, values, make=flat, **options):
    names = [f"m{i}" for i in range(len(sizes))]
    models = {name: make(value, **options) for name, value in zip(names, values, strict=True)}
    return losses(models, dict(zip(names, map(int, sizes), strict=True)))


def falling(law, sizes=SIZES, **options):
    models = {f"m{i}": model(law(size), seed=i, **options) for i, size in enumerate(sizes)}
    return losses(models, {f"m{i}": int(size) for i, size in enumerate(sizes)})
