"""What a step in size saves, when a law is told, and what is said of diminishing returns."""

import math

import numpy as np
import pytest

from accuracy.likelihood.figures import TextScores
from accuracy.likelihood.scaling import fit, losses
from accuracy.likelihood.steps import diminishing, no_law, steps
from tests.scaling_helpers import SIZES, falling, flat, measured, model


def shifted(scores, by):
    """The same texts, each token dearer by so much: a number for all, or one per text."""
    each = np.broadcast_to(by, len(scores))
    return [
        TextScores(
            t.text_id, t.category, t.token_ids, t.starts, t.ends,
            (t.nll_nats + each[i]).astype(np.float32), t.correct, t.num_bytes,
        )
        for i, t in enumerate(scores)
    ]  # fmt: skip


def family(*models):
    return losses({f"m{i}": m for i, m in enumerate(models)},
                  {f"m{i}": 1000 * 4**i for i in range(len(models))})  # fmt: skip


# ---- steps


def test_two_sizes_have_a_step_with_its_interval_and_the_texts_on_which_the_larger_is_better():
    rng = np.random.default_rng(2)
    gains = rng.normal(0.72, 0.3, 60)
    large = model(3.0, num_texts=60)
    (step,) = steps(family(shifted(large, gains), large))
    assert (step.smaller_models, step.larger_models) == (("m0",), ("m1",))
    assert step.gain.value == pytest.approx(gains.mean() / 2, abs=1e-6)  # two doublings
    drawn = gains[rng.integers(60, size=(20_000, 60))].mean(axis=1) / 2
    low, high = np.quantile(drawn, [0.0238, 0.9762])
    assert (step.gain.low, step.gain.high) == pytest.approx((low, high), abs=0.004)
    assert (step.texts, step.texts_better) == (60, int((gains > 0).sum()))
    assert step.decision == "better"


@pytest.mark.parametrize(
    ("gain", "spread", "decision"),
    [(0.5, 0.1, "better"), (-0.5, 0.1, "worse"), (0.02, 0.4, "tie"), (0.0, 0.0, "same")],
)
def test_a_step_is_decided_by_its_interval(gain, spread, decision):
    gains = np.random.default_rng(1).normal(gain, spread, 30)
    large = model(3.0, num_texts=30)
    (step,) = steps(family(shifted(large, gains), large))
    assert step.decision == decision


def test_below_five_texts_a_step_is_open():
    (step,) = steps(family(flat(3.0, 4), flat(2.0, 4)))
    assert (step.decision, step.texts_better, step.gain.low) == ("open", 4, None)


def test_models_of_one_size_are_one_end_of_a_step():
    sizes, values = [10**7, 10**8, 10**8, 10**9], [4.0, 3.1, 2.9, 2.3]
    made = steps(measured(sizes, values))
    assert [step.gain.value for step in made] == pytest.approx(
        [1 / math.log2(10), 0.7 / math.log2(10)]
    )
    assert made[0].larger_models == made[1].smaller_models == ("m1", "m2")


def test_gains_are_per_doubling():
    found = measured([100, 200, 800], [4.0, 3.0, 2.0])
    assert [step.gain.value for step in steps(found)] == pytest.approx([1.0, 0.5])
    returns = diminishing(found)
    assert returns.changes[0].value == pytest.approx(-0.5)
    assert returns.diminishing == "yes"
    assert returns.why.startswith("Each doubling saves 1, 0.5 nats per token")


# ---- a law


def told(found):
    return no_law(steps(found), fit(found))


def test_a_law_that_the_models_bear_out_is_told():
    assert told(falling(lambda n: 30 * n**-0.1 + 0.5, num_texts=60)) == ""
    assert told(falling(lambda n: 30 * n**-0.1, sizes=SIZES[:3], num_texts=60)) == ""


def test_two_sizes_make_no_law():
    found = measured(SIZES[:2], [4.0, 3.0])
    assert no_law(steps(found), None) == "it takes 3 sizes, here are 2"


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ([4.0, 3.0, 3.2], "m2 predicts these texts worse than the smaller m1"),
        ([4.0, 3.0, 3.0, 2.0], "these texts do not tell m2 from the smaller m1"),
        ([4.0, 4.1, 4.2], "m1 predicts these texts worse than the smaller m0"),
    ],
)
def test_a_loss_that_does_not_fall_at_every_step_makes_no_law(values, why):
    assert told(measured(SIZES[: len(values)], values)) == why


def test_few_texts_make_no_law():
    why = "4 texts, and 5 are needed to tell m1 from m0"
    assert told(measured(SIZES[:3], [4.0, 3.0, 2.0], num_texts=4)) == why


def test_sizes_that_lie_off_every_curve_make_no_law():
    found = measured(SIZES[:4], [4.7, 4.6, 4.0, 3.98])
    assert told(found).startswith("with 4 sizes the exponent may lie anywhere from -")
    found = measured(SIZES[:3], [4.0, 3.9, 3.0])
    assert told(found).startswith("with 3 sizes the exponent may lie anywhere from -")


# ---- diminishing returns


def test_a_law_with_a_floor_has_diminishing_returns():
    returns = diminishing(falling(lambda n: (n / 1e8) ** -0.5 + 2, num_texts=60, noise=0.02))
    assert returns.diminishing == "yes"
    assert all(change.high < 0 for change in returns.changes[:2])


@pytest.mark.parametrize(
    ("values", "word"),
    [
        ([4.0, 3.0, 2.0, 1.0], "no"),  # the same every time, and no doubt
        ([4.0, 3.5, 2.5, 1.0], "no"),  # more every time
        ([4.0, 3.0, 2.9, 1.0], "cannot tell"),  # less, then more
        ([2.0, 2.0, 2.0, 2.0], "cannot tell"),  # nothing to shrink
        ([4.0, 3.0, 3.0, 3.0], "yes"),  # nothing more to be had
    ],
)
def test_gains_that_shrink_or_do_not(values, word):
    assert diminishing(measured([1, 2, 4, 8], values)).diminishing == word


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ([4.0, 3.0, 3.5], "step by step; but m2 predicts these texts worse than the smaller m1."),
        ([3.0, 3.5, 2.0], "step by step; but m1 predicts these texts worse than the smaller m0."),
        ([2.0, 2.0, 2.0], "step by step; none of it is beyond chance."),
    ],
)
def test_a_loss_that_rises_has_no_returns_that_could_diminish(values, why):
    returns = diminishing(measured([1, 2, 4], values))
    assert returns.diminishing == "cannot tell"
    assert returns.why.endswith(why)


@pytest.mark.parametrize("sizes", [[10], [10, 20], [10, 10, 20, 20]])
def test_below_three_sizes_two_gains_cannot_be_compared(sizes):
    returns = diminishing(measured(sizes, [3.0] * len(sizes)))
    assert returns.diminishing == "cannot tell"
    assert f"here are {len(set(sizes))}" in returns.why


def test_few_texts_tell_nothing_of_returns():
    returns = diminishing(falling(lambda n: 30 * n**-0.1, num_texts=1))
    assert returns.diminishing == "cannot tell"
    assert "with fewer than 5 texts" in returns.why


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ([4.0, 3.0, 2.5], "the gain shrinks beyond chance in 1 of 1 comparison and grows in none."),
        (
            [4.0, 3.0, 2.5, 2.25],
            "the gain shrinks beyond chance in 2 of 2 comparisons and grows in none.",
        ),
        (
            [4.0, 3.75, 3.25],
            "the gain grows beyond chance in 1 of 1 comparison and shrinks in none.",
        ),
        ([4.0, 3.0, 2.5, 1.5], "beyond chance, the gain shrinks in 1 comparison and grows in 1."),
        (
            [5.0, 4.0, 3.5, 2.5, 2.0],
            "beyond chance, the gain shrinks in 2 comparisons and grows in 1.",
        ),
    ],
)
def test_one_comparison_is_one(values, said):
    assert diminishing(measured([2**i for i in range(len(values))], values)).why.endswith(said)


def test_gains_within_chance_tell_nothing():
    returns = diminishing(falling(lambda n: 8 - math.log2(n) / 5, num_texts=30, noise=0.1))
    assert returns.diminishing == "cannot tell"
    assert any(change.low < 0 < change.high for change in returns.changes)


def test_constant_gains_are_seldom_called_diminishing():
    words = [
        diminishing(
            losses(
                {f"m{i}": model(7 - i, 20, 2, noise=0.2, seed=100 * trial + i) for i in range(5)},
                {f"m{i}": 2**i for i in range(5)},
            )
        ).diminishing
        for trial in range(60)
    ]
    assert words.count("yes") <= 6
