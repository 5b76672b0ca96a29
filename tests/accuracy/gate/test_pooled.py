"""Are BLEU and chrF of pooled counts sacrebleu's, and is their interval that of drawn answers?"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sacrebleu.metrics import BLEU, CHRF

from accuracy.gate import ratios
from accuracy.resampling import times_drawn
from accuracy.tasks.scorers import TABLE, Given
from accuracy.tasks.scoring.pooled import POOLED
from harness.kernel.types import Sample

WORDS = ("the", "cat", "sat.", "on", "a", "mat,", "über", "7", "")
TEXTS = st.lists(st.sampled_from(WORDS), max_size=12).map(" ".join)
PAIRS = st.lists(st.tuples(TEXTS, TEXTS), min_size=2, max_size=6)
ORACLES = {"bleu": BLEU(), "chrf": CHRF()}


def counts(name, pairs):
    rows = []
    for text, reference in pairs:
        mark = TABLE[name](Given(text), Sample(0, prompt="", reference=reference))
        rows.append(mark.counts)
    return np.array(rows, np.float64)


@pytest.mark.parametrize("name", POOLED)
@settings(max_examples=60, deadline=None)
@given(pairs=PAIRS)
def test_a_figure_of_pooled_counts_is_sacrebleus(name, pairs):
    texts, references = zip(*pairs, strict=True)
    whole = ORACLES[name].corpus_score(list(texts), [list(references)]).score
    assert 100 * POOLED[name].of(counts(name, pairs)) == pytest.approx(whole, abs=1e-9)


@pytest.mark.parametrize("name", POOLED)
def test_a_draw_is_the_figure_of_the_answers_that_were_drawn(name):
    rng = np.random.default_rng(1)
    pairs = [tuple(" ".join(rng.choice(WORDS, 9)) for _ in range(2)) for _ in range(20)]
    own = counts(name, pairs)
    times = next(times_drawn(20, 5))
    drawn = POOLED[name].figure(times @ own)
    for row, figure in zip(times.astype(int), drawn, strict=True):
        texts, references = zip(*(pairs[k] for k in np.repeat(range(20), row)), strict=True)
        whole = ORACLES[name].corpus_score(list(texts), [list(references)]).score
        assert 100 * figure == pytest.approx(whole)


@pytest.mark.parametrize("name", POOLED)
def test_the_ratio_of_all_answers_has_a_paired_interval(name):
    """Both sides draw the same answers: where the candidate is the reference, there is no doubt;
    where it lost a little of each answer, much less than between answers that are not paired.
    """
    rng = np.random.default_rng(2)
    references = [" ".join(rng.choice(WORDS[:-1], rng.integers(6, 30))) for _ in range(80)]
    noisy = [text if rng.random() < 0.5 else text[: len(text) // 2] for text in references]
    theirs = counts(name, list(zip(noisy, references, strict=True)))
    ours = counts(name, [(text[:-4], own) for text, own in zip(noisy, references, strict=True)])
    figure = POOLED[name].figure
    same = ratios.of_sums(name, theirs, theirs, figure, 500)
    assert (same.low, same.value, same.high) == (1.0, 1.0, 1.0)
    found = ratios.of_sums(name, ours, theirs, figure, 500)
    apart = ratios.of_sums(name, ours, theirs[::-1], figure, 500)
    assert found.low < found.value < found.high < 1
    assert apart.high - apart.low > 2 * (found.high - found.low)
    assert found.value == pytest.approx(POOLED[name].of(ours) / POOLED[name].of(theirs))


@pytest.mark.parametrize("name", POOLED)
def test_texts_without_anything_in_common_keep_nothing(name):
    ours = counts(name, [("xyz", "the cat sat on a mat")] * 9)
    found = ratios.of_sums(name, ours, ours * 0, POOLED[name].figure, 200)
    assert (found.value, found.low, found.high) == (None, None, None)
