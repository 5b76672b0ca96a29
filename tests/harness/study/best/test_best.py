"""Fronts, places and disagreements of candidates, by their figures and intervals."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from accuracy.resampling import Estimate
from harness.kernel.errors import BadInput
from harness.kernel.words.judged import TABLE, find
from harness.study.best.apart import call, difference
from harness.study.best.best import best
from harness.study.best.candidates import Candidate
from harness.study.best.fronts import front
from harness.study.best.ranks import disagreements, places, ranks

SPEED, QUALITY = TABLE["tokens_per_s"], TABLE["rougeL"]


def of(label, half=0.1, kinds=None, **values):
    """A candidate whose figures have intervals of so much on both sides."""
    known = {name: Estimate(value, value - half, value + half) for name, value in values.items()}
    return Candidate(label, known, kinds or {})


@pytest.mark.parametrize("name", sorted(TABLE))
def test_a_figure_is_found_by_every_name(name):
    for known in (name, *TABLE[name].also):
        assert find(known, "--columns") is TABLE[name]


def test_no_name_stands_for_two_figures():
    names = [name for figure in TABLE.values() for name in (figure.name, *figure.also)]
    assert len(names) == len(set(names))


def test_an_unknown_figure_is_refused_with_the_nearest():
    with pytest.raises(BadInput, match=r"'perplexty' is not known[\s\S]*Did you mean 'perplexity'"):
        find("perplexty", "--columns")


def test_values_are_written_in_their_unit():
    assert TABLE["peak_bytes"].text(3 * 2**20) == "3.0 MiB"
    assert TABLE["token_accuracy"].text(0.4412) == "44.12 %"


def test_the_interval_of_a_difference_is_that_of_zou_and_donner():
    found = difference(Estimate(10.0, 9.0, 12.0), Estimate(7.0, 6.0, 8.0))
    assert found == (3.0, 3.0 - math.sqrt(2.0), 3.0 + math.sqrt(5.0))


def test_a_difference_of_means_is_covered_in_95_percent():
    """Against numpy: two samples of 30, a thousand times, each with its own interval."""
    rng, covered = np.random.default_rng(1), 0
    for _ in range(1000):
        sides = [rng.normal(mean, spread, 30) for mean, spread in ((5, 1), (3, 2))]
        halves = [2.045 * side.std(ddof=1) / math.sqrt(30) for side in sides]
        one, other = (
            Estimate(side.mean(), side.mean() - half, side.mean() + half)
            for side, half in zip(sides, halves, strict=True)
        )
        found = difference(one, other)
        covered += found.low <= 2.0 <= found.high
    assert 930 <= covered <= 970


# ---- fronts


def test_what_another_beats_twice_is_dominated_and_the_others_are_the_front():
    known = [
        of("fp32", tokens_per_s=100, rougeL=30),
        of("bf16", tokens_per_s=200, rougeL=30.5),
        of("int8", tokens_per_s=300, rougeL=25),
    ]
    found = front(known, QUALITY, SPEED)
    assert found.labels == ["int8", "bf16"]
    assert found.dominated == [("fp32", "bf16", True)]


def test_dominance_within_the_intervals_is_not_sure():
    known = [of("a", tokens_per_s=100, rougeL=30), of("b", tokens_per_s=100.1, rougeL=31)]
    assert front(known, QUALITY, SPEED).dominated == [("a", "b", False)]


def test_equal_candidates_do_not_dominate_each_other():
    known = [of("a", tokens_per_s=100, rougeL=30), of("b", tokens_per_s=100, rougeL=30)]
    found = front(known, QUALITY, SPEED)
    assert (found.labels, found.dominated) == (["a", "b"], [])


POINTS = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=12)


@given(POINTS)
def test_a_front_is_what_nothing_dominates(points):
    """By the definition itself, over all pairs."""
    known = [of(str(i), tokens_per_s=float(x), rougeL=float(y)) for i, (x, y) in enumerate(points)]
    found = front(known, QUALITY, SPEED)
    beaten = {
        str(i)
        for i, one in enumerate(points)
        for other in points
        if other != one and other[0] >= one[0] and other[1] >= one[1]
    }
    assert {one.label for one in found.dominated} == beaten
    assert set(found.labels) == {str(i) for i in range(len(points))} - beaten
    assert all(one.by in found.labels for one in found.dominated)


# ---- places


def test_a_tie_shares_a_place_and_the_next_counts_both():
    known = [of("a", rougeL=30.0), of("b", rougeL=30.05), of("c", rougeL=20.0)]
    assert places(known, QUALITY).places == {"a": 1, "b": 1, "c": 3}


def test_a_figure_without_an_interval_places_by_its_value_and_says_so():
    known = [Candidate(name, {"peak_bytes": Estimate(size)}) for name, size in (("a", 9), ("b", 5))]
    found = places(known, TABLE["peak_bytes"])
    assert found.places == {"a": 2, "b": 1}
    assert found.open == ["a", "b"]


def test_paired_answers_tell_apart_what_two_intervals_cannot():
    one, other = of("a", 0.5, rougeL=30.0), of("b", 0.5, rougeL=30.3)
    paired = {"rougeL": lambda label, than: Estimate(-0.3, -0.4, -0.2)}
    assert call(QUALITY, one, other) == "tie"
    assert call(QUALITY, one, other, paired) == "worse"


def test_the_lowest_perplexity_that_is_not_best_at_reasoning_is_named():
    reasoning = {"exact_match": {"reasoning": Estimate(40.0, 39.0, 41.0)}}
    better = {"exact_match": {"reasoning": Estimate(55.0, 54.0, 56.0)}}
    known = [
        of("small", perplexity=8.0, kinds=reasoning), of("large", perplexity=9.0, kinds=better)
    ]  # fmt: skip
    found = disagreements(known, ranks(known))
    assert found == [("small", "perplexity", "exact_match", "large", "reasoning")]


def test_figures_that_agree_within_chance_do_not_disagree():
    known = [of("a", perplexity=8.0, rougeL=30.0), of("b", perplexity=9.0, rougeL=30.05)]
    assert not disagreements(known, ranks(known))


def test_rows_of_one_candidate_have_no_best():
    assert best([{"label": "a", "status": "VALID", "tokens_per_s": 5.0}]) == {}


def test_failed_rows_are_no_candidates():
    rows = [
        {"label": label, "status": status, "tokens_per_s": speed, "peak_bytes": 5}
        for label, status, speed in (("a", "VALID", 9.0), ("b", "VALID", 5.0), ("c", "OOM", None))
    ]
    assert best(rows)["ranks"][0]["places"] == {"a": 1, "b": 2}
