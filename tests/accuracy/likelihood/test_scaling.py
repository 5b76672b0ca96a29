"""Power laws against scipy's fits, and their doubts."""

import math
import time
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from scipy import optimize, stats

from accuracy.likelihood.figures import TextScores, corpus
from accuracy.likelihood.scaling import fit, losses, refusal
from accuracy.likelihood.steps import diminishing, no_law, steps
from harness.kernel.errors import BadInput
from tests.scaling_helpers import SIZES, falling, flat, measured, model

size_lists = st.lists(st.integers(1, 10**12), min_size=1, max_size=7)


# ---- what goes in


def test_losses_are_those_of_the_corpus_smallest_model_first():
    models = {"big": model(2.0, noise=0.1), "small": model(3.0)}
    found = losses(models, {"big": 100, "small": 10})
    assert found.models == ("small", "big")
    assert found.values == pytest.approx(
        [corpus(models[name]).loss_nats.value for name in found.models]
    )
    bits = losses(models, {"big": 100, "small": 10}, by="bits_per_byte")
    assert bits.values == pytest.approx(
        [corpus(models[name]).bits_per_byte.value for name in found.models]
    )
    assert bits.unit == "bits per byte"


def test_models_of_different_tokenizers_have_bits_per_byte_only():
    models = {"a": model(2.0, num_tokens=10), "b": model(3.0, num_tokens=5)}
    with pytest.raises(BadInput, match="from scored token 5 on"):
        losses(models, {"a": 10, "b": 20})
    assert losses(models, {"a": 10, "b": 20}, by="bits_per_byte").values == pytest.approx(
        [0.72, 1.08], rel=0.5
    )


def test_a_text_that_one_model_could_not_score_is_left_out_for_all():
    models = {"a": flat(1.0), "b": flat(2.0)}
    empty = np.empty(0, np.int32)
    models["c"] = [
        *flat(3.0)[:5],
        TextScores("t5", "", empty, empty, empty, empty.astype(np.float32), empty > 0, 0),
    ]
    with pytest.raises(BadInput, match="no token"):
        losses(models, {"a": 1, "b": 2, "c": 3})
    found = losses(models, {"a": 1, "b": 2, "c": 3}, by="bits_per_byte")
    assert found.num_texts == 5


@pytest.mark.parametrize("size", [0, -5])
def test_a_size_of_nothing_is_refused(size):
    with pytest.raises(BadInput, match=f"b has {size} parameters"):
        losses({"a": flat(1.0), "b": flat(2.0)}, {"a": 10, "b": size})


@pytest.mark.parametrize("sizes", [[10], [10, 20], [10, 10, 20, 20]])
def test_below_three_different_sizes_there_is_no_fit(sizes):
    found = measured(sizes, [3.0] * len(sizes))
    assert refusal(sizes)
    with pytest.raises(
        BadInput, match=f"{len(set(sizes))} different size.* at least 3 different sizes"
    ):
        fit(found)
    assert refusal([10, 20, 30]) == ""


def test_a_perfect_model_has_no_logarithm():
    with pytest.raises(BadInput, match="m2 has a loss of 0"):
        fit(measured([1, 2, 3], [2.0, 1.0, 0.0]))


# ---- the fit


@hypothesis_settings(deadline=None, max_examples=40)
@given(st.floats(0.02, 0.6), st.floats(1, 100))
def test_three_sizes_give_back_a_plain_power_law(b, a):
    sizes = SIZES[:3]
    found = fit(measured(sizes, [a * 20 * size**-b for size in sizes], num_texts=1))
    assert found.floor is None
    assert found.exponent.value == pytest.approx(b, rel=1e-4)
    assert found.coefficient.value == pytest.approx(a * 20, rel=1e-3)
    assert found.curve([1e10])[0].value == pytest.approx(a * 20 * 1e10**-b, rel=1e-4)


def test_three_sizes_are_a_line_through_the_logarithms():
    values = np.array([4.0, 3.3, 3.0], np.float32)
    found = fit(measured(SIZES[:3], values))
    official = stats.linregress(np.log(SIZES[:3]), np.log(values.astype(float)))
    assert found.exponent.value == pytest.approx(-official.slope)
    assert found.coefficient.value == pytest.approx(math.exp(official.intercept))
    half = official.stderr * stats.t.ppf(0.975, 1)
    assert (found.exponent_models.low, found.exponent_models.high) == pytest.approx(
        (-official.slope - half, -official.slope + half)
    )
    assert found.residuals == pytest.approx(
        values / np.exp(official.intercept + official.slope * np.log(SIZES[:3])) - 1, abs=1e-9
    )


@hypothesis_settings(deadline=None, max_examples=40)
@given(st.floats(0.1, 1.5), st.floats(0.5, 5), st.floats(0.5, 5))
def test_more_sizes_give_back_the_floor_too(b, a, c):
    found = fit(measured(SIZES, [a * (size / 1e8) ** -b + c for size in SIZES], num_texts=1))
    assert found.exponent.value == pytest.approx(b, rel=5e-3)
    assert found.floor.value == pytest.approx(c, rel=2e-2)
    assert [note for note in found.notes if "texts" not in note] == []


@hypothesis_settings(deadline=None, max_examples=60)
@given(st.lists(st.floats(1, 6), min_size=6, max_size=6))
def test_scipy_finds_no_better_curve(values):
    found = fit(measured(SIZES, values, num_texts=1))
    y = np.array(values, np.float32).astype(np.float64)
    x = np.array(SIZES) / 1e8
    ours = float(((1 / (1 + found.residuals) - 1) ** 2).sum())

    def errors(q):
        return (q[0] * x ** -q[1] + q[2]) / y - 1

    for start in (0.05, 0.3, 1.0):
        official = optimize.least_squares(
            errors, [1.0, start, 1.0], bounds=([0, 0.01, 0], [np.inf, 4, np.inf])
        )
        assert ours <= 2 * official.cost * (1 + 1e-6) + 1e-9


def test_where_scipy_has_one_minimum_it_is_ours():
    y = np.array([4.1, 3.2, 2.95, 2.6, 2.5, 2.42], np.float32)
    found = fit(measured(SIZES, y))
    y = y.astype(np.float64)
    (a, b, c), covariance = optimize.curve_fit(
        lambda n, a, b, c: a * (n / 1e8) ** -b + c,
        SIZES,
        y,
        p0=[1, 0.3, 2],
        sigma=y,
        ftol=1e-14,
        xtol=1e-14,
    )
    assert (found.exponent.value, found.floor.value) == pytest.approx((b, c), rel=1e-4)
    assert found.coefficient.value == pytest.approx(a * 1e8**b, rel=1e-3)
    half = stats.t.ppf(0.975, 3) * math.sqrt(covariance[1, 1])
    assert found.exponent_models.high - b == pytest.approx(half, rel=0.05)


def test_the_interval_from_the_texts_holds_the_exponents_of_other_texts():
    found = fit(falling(lambda n: 30 * n**-0.1 + 0.5, num_texts=60, noise=0.02))
    assert found.exponent.low < found.exponent.value < found.exponent.high
    other = fit(falling(lambda n: 30 * n**-0.1 + 0.5, sizes=SIZES[:3], num_texts=60, noise=0.02))
    halves = np.random.default_rng(0).permuted(np.tile(np.arange(60), (200, 1)), axis=1)[:, :30]
    logs = np.log(np.array(SIZES[:3]))
    slopes = []
    for rows in halves:
        values = other.losses.totals[:, rows].sum(1) / other.losses.units[:, rows].sum(1)
        slopes.append(-np.polyfit(logs, np.log(values), 1)[0])
    spread_of_sixty = np.std(slopes)  # half of sixty without replacement varies as sixty do
    assert (other.exponent.high - other.exponent.low) / 2 == pytest.approx(
        2 * spread_of_sixty, rel=0.25
    )


def test_models_off_the_curve_widen_the_interval_from_the_models_alone():
    sizes, law = np.array(SIZES), lambda n: 8 * n**-0.06
    off = np.array([1.03, 0.97, 1.02, 0.98, 1.03, 0.97])
    found = fit(measured(SIZES, law(sizes) * off))
    assert found.exponent.high - found.exponent.low < 1e-6
    assert found.exponent_models.high - found.exponent_models.low > 0.02
    (curve,) = found.curve([1e9])
    assert curve.high - curve.low < 0.1


# ---- odd families


@pytest.mark.parametrize(
    ("values", "exponent", "note"),
    [
        ([3.0] * 6, 0.0, "does not depend on the size"),
        ([4.0, 3.0, 3.0, 3.0, 3.0, 3.0], None, "one step"),
        ([2.0, 2.2, 2.4, 2.6, 2.8, 3.0], None, "No floor can be seen"),
    ],
)
def test_odd_losses_are_fitted_with_a_note(values, exponent, note):
    found = fit(measured(SIZES, values))
    assert any(note in each for each in found.notes)
    assert exponent is None or found.exponent.value == exponent
    assert np.isfinite([e.value for e in found.curve([1.0, 1e13])]).all()


def test_a_loss_that_grows_with_size_has_a_negative_exponent():
    assert fit(measured(SIZES, [2.0, 2.2, 2.4, 2.6, 2.8, 3.0])).exponent.value < 0
    assert fit(measured(SIZES[:3], [2.0, 2.2, 2.4])).exponent.value < 0


def test_models_of_one_size_each_count():
    sizes, values = [10**7, 10**8, 10**8, 10**9], [4.0, 3.1, 2.9, 2.3]
    found = fit(measured(sizes, values))
    assert found.floor is None  # three different sizes
    assert found.exponent.value == pytest.approx(
        -stats.linregress(np.log(sizes), np.log(values)).slope, rel=1e-6
    )
    assert "same size" in found.notes[0]


def test_few_texts_have_a_curve_and_no_interval():
    found = fit(falling(lambda n: 30 * n**-0.1, num_texts=1))
    assert found.exponent.value == pytest.approx(0.1, rel=0.01)
    assert found.exponent.low is found.curve([1e9])[0].low is None
    assert any("fewer than 5 texts" in note for note in found.notes)


@hypothesis_settings(deadline=None, max_examples=60)
@given(size_lists, st.data())
def test_no_family_warns_or_breaks(sizes, data):
    values = data.draw(
        st.lists(st.floats(2.0**-100, 2.0**120, width=32), min_size=len(sizes), max_size=len(sizes))
    )
    found = measured(sizes, values, num_texts=5)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        made = steps(found)
        assert len(made) == len(set(sizes)) - 1
        assert diminishing(found).diminishing in ("yes", "no", "cannot tell")
        no_law(made, None)
        if not refusal(sizes):
            curve = fit(found)
            assert not math.isnan(curve.exponent.value)
            curve.curve([1.0, 1e12])


# ---- speed


def test_a_fit_of_a_thousand_texts_takes_well_under_a_second():
    found = falling(lambda n: 30 * n**-0.1 + 1, num_texts=1000, num_tokens=10)
    start = time.thread_time()
    fit(found)
    diminishing(found)
    steps(found)
    assert time.thread_time() - start < 1
