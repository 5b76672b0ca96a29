"""The table of figures against numpy and scipy on the same positions, intervals against draws by
hand, and odd input.
"""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from accuracy.likelihood.divergence import QUANTILES, Positions, divergence
from accuracy.resampling import SEED, Estimate
from harness.kernel.errors import BadInput


def made(count=12, seed=3, tokens=(5, 60)):
    draw = np.random.default_rng(seed)
    texts = []
    for n in draw.integers(*tokens, count):
        base = draw.gamma(1.0, 2.0 + draw.random(), n)
        kld = draw.gamma(0.3, 0.1, n)
        q = np.abs(base + draw.normal(0.02, 0.1, n))
        texts.append(
            Positions(kld, base.astype(np.float32), q.astype(np.float32), draw.random(n) < 0.9)
        )
    return texts


def joined(texts, name):
    return np.concatenate([getattr(text, name) for text in texts]).astype(np.float64)


def test_every_figure_is_what_numpy_makes_of_all_positions():
    texts = made()
    kld, base, q, same = (
        joined(texts, name) for name in ("kld", "nll_reference", "nll_variant", "same_top")
    )
    dp = 100 * (np.exp(-q) - np.exp(-base))
    by_text = [
        [np.mean(getattr(text, name), dtype=np.float64) for text in texts]
        for name in ("nll_reference", "nll_variant")
    ]
    expected = {
        "mean_ppl_q": np.exp(q.mean()),
        "mean_ppl_base": np.exp(base.mean()),
        "mean_ppl_ratio": np.exp(q.mean()) / np.exp(base.mean()),
        "mean_ln_ppl_ratio": q.mean() - base.mean(),
        "mean_ppl_difference": np.exp(q.mean()) - np.exp(base.mean()),
        "cor_ln_ppl": stats.pearsonr(q, base).statistic,
        "cor_ln_ppl_texts": stats.pearsonr(*by_text).statistic,
        "mean_kld": kld.mean(),
        "median_kld": np.median(kld),
        "p90_kld": np.quantile(kld, 0.9),
        "p95_kld": np.quantile(kld, 0.95),
        "p99_kld": np.quantile(kld, 0.99),
        "p99_9_kld": np.quantile(kld, 0.999),
        "maximum_kld": kld.max(),
        "mean_kld_at_least": kld.mean(),
        "mean_kld_at_most": kld.mean(),
        "mean_kld_error": 0.0,
        "same_top_p": same.mean(),
        "mean_dp": dp.mean(),
        "rms_dp": np.sqrt((dp**2).mean()),
    }
    found = divergence(texts)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert found[name].value == pytest.approx(value, rel=1e-9, abs=1e-12), name


def test_intervals_are_those_of_whole_texts_drawn_by_hand():
    texts = made(8)
    found = divergence(texts, resamples=400)
    picks = np.random.default_rng(SEED).integers(0, 8, (400, 8), np.int32)
    drawn: dict[str, list[float]] = {
        "mean_kld": [],
        "rms_dp": [],
        "mean_ppl_ratio": [],
        "cor_ln_ppl": [],
        **{n: [] for n in QUANTILES},
    }
    for picked in picks.tolist():
        chosen = [texts[i] for i in picked]
        kld, base, q = (joined(chosen, name) for name in ("kld", "nll_reference", "nll_variant"))
        drawn["mean_kld"].append(kld.mean())
        drawn["rms_dp"].append(100 * np.sqrt(((np.exp(-q) - np.exp(-base)) ** 2).mean()))
        drawn["mean_ppl_ratio"].append(np.exp(q.mean() - base.mean()))
        drawn["cor_ln_ppl"].append(np.corrcoef(q, base)[0, 1])
        for name, p in QUANTILES.items():
            drawn[name].append(np.quantile(kld, p))
    tail = stats.norm.cdf(np.sqrt(8 / 7) * stats.t(7).ppf(0.025))  # wider than 2.5 %: eight texts
    for name, values in drawn.items():
        assert found[name][1:] == pytest.approx(
            np.quantile(values, [tail, 1 - tail]).tolist(), rel=1e-9
        ), name


def test_intervals_hold_the_true_mean_as_often_as_they_say():
    """Texts differ from one another more than positions within one: independent positions would say
    far too little.
    """
    hits = 0
    for seed in range(60):
        draw = np.random.default_rng(seed)
        levels = draw.gamma(4.0, 0.25, 40)  # mean 1
        texts = [
            Positions(np.full(50, level), np.ones(50), np.ones(50), np.ones(50, bool))
            for level in levels
        ]
        figure = divergence(texts, resamples=400)["mean_kld"]
        hits += figure.low <= 1.0 <= figure.high
    assert 50 <= hits <= 60


def test_the_same_positions_give_the_same_intervals_and_more_texts_narrower_ones():
    few, many = divergence(made(10)), divergence(made(160))
    assert divergence(made(10)) == few
    assert many["mean_kld"].high - many["mean_kld"].low < 0.5 * (
        few["mean_kld"].high - few["mean_kld"].low
    )


def test_a_model_beside_itself_has_no_divergence():
    base = [text.nll_reference for text in made(5)]
    found = divergence(
        [Positions(np.zeros(len(nll)), nll, nll, np.ones(len(nll), bool)) for nll in base]
    )
    assert found["mean_kld"] == found["p99_kld"] == found["mean_dp"] == found["rms_dp"] == (0, 0, 0)
    assert found["mean_ppl_ratio"] == found["same_top_p"] == (1, 1, 1)
    assert found["cor_ln_ppl"].value == pytest.approx(1.0)


def test_the_bounds_of_positions_bound_the_mean_and_the_sampling_has_an_error():
    texts = [
        Positions(
            t.kld,
            t.nll_reference,
            t.nll_variant,
            t.same_top,
            t.kld * 0.9,
            t.kld * 3,
            np.full(len(t.kld), 0.01),
        )
        for t in made()
    ]
    found, n = divergence(texts), sum(len(text.kld) for text in texts)
    mean = found["mean_kld"].value
    assert found["mean_kld_at_least"].value == pytest.approx(0.9 * mean)
    assert found["mean_kld_at_most"].value == pytest.approx(3 * mean)
    assert found["mean_kld_error"].value == pytest.approx(0.01 / np.sqrt(n))


def test_a_maximum_has_no_interval_and_a_single_text_none_at_all():
    assert divergence(made())["maximum_kld"].low is None
    found = divergence(made(1))
    assert all(figure[1:] == (None, None) for figure in found.values())
    assert found["mean_kld"].value > 0
    assert found["cor_ln_ppl_texts"] == Estimate(None)


def test_one_position_has_figures_but_no_correlation():
    found = divergence(
        [Positions(np.array([0.5]), np.array([1.0]), np.array([2.0]), np.array([True]))]
    )
    assert found["median_kld"] == (0.5, None, None)
    assert found["mean_ppl_ratio"].value == pytest.approx(np.e)
    assert found["cor_ln_ppl"].value is None


def test_losses_beyond_any_perplexity_are_none_and_not_infinite():
    texts = [
        Positions(np.ones(3), np.ones(3), np.full(3, 2_000.0), np.zeros(3, bool)) for _ in range(3)
    ]
    found = divergence(texts)
    assert found["mean_ppl_q"] == Estimate(None)
    assert found["mean_ln_ppl_ratio"].value == 1_999.0


def test_texts_without_positions_count_for_nothing_and_none_is_refused():
    nothing = Positions(*(np.empty(0) for _ in range(4)))
    assert divergence([*made(), nothing]) == divergence(made())
    for texts in ([], [nothing]):
        with pytest.raises(BadInput, match="no text has a scored token"):
            divergence(texts)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 6), st.integers(0, 1_000))
def test_values_lie_between_their_ends_of_order(count, seed):
    found = divergence(made(count, seed, (1, 9)), resamples=50)
    order = [found[name].value for name in (*QUANTILES, "maximum_kld")]
    assert order == sorted(order)
    for figure in found.values():
        assert figure.low is None or figure.low <= figure.high
    for name in ("cor_ln_ppl", "cor_ln_ppl_texts"):
        assert found[name].value is None or -1 <= found[name].value <= 1


def test_the_time_it_takes_grows_with_the_number_of_texts_and_no_faster():
    spent_s = []
    for count in (50, 500):
        texts = made(count, tokens=(200, 201))
        start_s = time.process_time()
        divergence(texts)
        spent_s.append(time.process_time() - start_s)
    assert spent_s[1] < 25 * spent_s[0]
