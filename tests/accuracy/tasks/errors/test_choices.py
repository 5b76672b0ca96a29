"""How sure are choices, and does the place matter? scipy's chi-square and simulations tell."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import chisquare, kstest

from accuracy.tasks.errors import analysis, of_one
from accuracy.tasks.errors.choices import chi_square
from tests.accuracy.tasks.errors.helpers import choice_sample, number_sample, solved


def likelihoods(chosen, right, margin, count=4):
    """Return negative log likelihoods of choices in nats: `chosen` is the best, by `margin` before
    the right one, or before all others where it is right itself.
    """
    found = [9.0] * count
    found[right] = 2.0
    found[chosen] = 2.0 - margin
    if chosen == right:
        found[(right + 1) % count] = 2.0
    return found


def run(margins, rights, label="fp32", scorer="likelihood"):
    """Return a run with these margins; below 0 a wrong choice is taken."""
    samples = [choice_sample(i, right) for i, right in enumerate(rights)]
    nll = {
        i: likelihoods(right if margin > 0 else (right + 1) % 4, right, abs(margin))
        for i, (margin, right) in enumerate(zip(margins, rights, strict=True))
    }
    return solved(samples, {}, label=label, scorers=(scorer,), nll=nll)


def test_margins_are_those_that_were_put_in():
    found = of_one(run([1.0, 2.0, 3.0, -0.5], [0, 1, 2, 3]))
    assert found["margins"]["right"] == pytest.approx([1.5, 2.0, 2.5])
    assert found["margins"]["wrong"] == pytest.approx([0.5, 0.5, 0.5])
    per_byte = of_one(run([1.0, 1.0], [0, 1], scorer="likelihood_per_byte"))
    assert per_byte["margin_unit"] == "nats per byte"
    assert per_byte["margins"]["right"] == pytest.approx([0.5] * 3)  # " A" has two bytes


def test_a_flip_below_the_noise_is_a_coin_toss():
    rng = np.random.default_rng(3)
    before = rng.normal(1.0, 2.0, 400)
    after = before + rng.normal(0.0, 0.2, 400)
    clear = int(np.argmax(before))
    after[clear] = -1.0
    rights = rng.integers(0, 4, 400).tolist()
    found = analysis(run(before, rights), run(after, rights, label="int8"))
    flips = found["flips"]
    assert flips["noise"] == pytest.approx(0.2, rel=0.25)
    flipped = (before > 0) != (after > 0)
    assert flips["flips"] == flipped.sum() == found["lost"] + found["gained"]
    assert flips["coin_tosses"] == (flipped & (abs(before) < flips["noise"])).sum()
    assert flips["coin_tosses"] >= 0.7 * flips["flips"]
    assert sum(one["n"] for one in flips["bins"]) == 400
    assert flips["bins"][-1]["lost"] >= 1
    assert found["examples"][0]["index"] == clear  # the longest way


def test_places_are_counted():
    found = of_one(run([1.0, -1.0, -1.0, 1.0], [0, 0, 2, 3]))["places"]
    assert [one["place"] for one in found["places"]] == ["A", "B", "C", "D"]
    assert [one["right"] for one in found["places"]] == [2, 0, 1, 1]
    assert [one["chosen"] for one in found["places"]] == [1, 1, 0, 2]
    assert [one["wrong"] for one in found["places"]] == [0, 1, 0, 1]
    assert sum(one["expected"] for one in found["places"]) == pytest.approx(2)
    assert found["p"] is None  # too few


def test_of_one_right_choice_chi_square_is_scipys():
    wrong = [(0, place, 4) for place, times in ((1, 10), (2, 5), (3, 3)) for _ in range(times)]
    assert chi_square(wrong, 4) == pytest.approx(tuple(chisquare([10, 5, 3])))


def test_p_is_even_without_a_bias_and_small_with_one():
    rng = np.random.default_rng(11)
    values = []
    for _ in range(120):
        rights = rng.choice(5, 150, p=(0.4, 0.3, 0.1, 0.1, 0.1))
        counts = rng.choice((4, 5), 150)
        pairs = [
            (int(right), int(rng.choice([k for k in range(count) if k != right])), int(count))
            for right, count in zip(rights, counts, strict=True)
            if right < count
        ]
        values.append(chi_square(pairs, 5)[1])
    assert kstest(values, "uniform").pvalue > 0.001
    biased = [(right, 1 if right != 1 else 0, 4) for right in (0, 1, 2, 3) * 20]
    assert chi_square(biased, 4)[1] < 1e-6


def test_texts_as_choices_are_known_by_their_place():
    sample = choice_sample(0, 1)
    named = sample.__class__(index=0, prompt="?", reference="1", choices=(" 3", " 1", " 0"))
    found = of_one(solved([named], {}, scorers=("likelihood",), nll={0: [1.0, 2.0, 3.0]}))
    (first, second, _) = found["places"]["places"]
    assert (first["chosen"], second["right"]) == (1, 1)
    assert found["examples"][0]["expected"] == "1"


def test_numbers_have_no_places():
    found = of_one(solved([number_sample(0)], {0: "#### 36"}))
    assert (found["places"], found["margins"]) == (None, None)
