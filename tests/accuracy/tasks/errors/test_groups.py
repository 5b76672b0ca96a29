"""Which groups suffer more than the others? scipy's permutation test over all deals, and published
intervals, are the oracles.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.stats import permutation_test, ttest_ind

from accuracy.tasks.errors import analysis, of_one
from accuracy.tasks.errors.groups import chance, groups
from tests.accuracy.tasks.errors.helpers import number_sample, solved


@pytest.mark.filterwarnings("ignore:Precision loss")
@given(
    st.lists(st.sampled_from((-1, 0, 1)), min_size=2, max_size=4),
    st.lists(st.sampled_from((-1, 0, 1)), min_size=2, max_size=5),
)
@settings(max_examples=20, deadline=None)
def test_the_chance_is_that_of_scipys_permutation_test(group, others):
    every = group + others
    assume(any(every))
    own = chance(
        len(group), group.count(1), group.count(-1), len(every), every.count(1), every.count(-1)
    )
    with np.errstate(all="ignore"):
        oracle = permutation_test(
            (group, others), _welch, alternative="greater", n_resamples=np.inf
        )
    assert own == pytest.approx(oracle.pvalue, abs=1e-9)


def _welch(group, others):
    """Return Welch's t by scipy; groups that are equal do not stand out."""
    apart = np.mean(group) - np.mean(others)
    if abs(apart) < 1e-12:
        return 0.0
    if np.var(group) + np.var(others) == 0:
        return np.sign(apart) * 1e9  # scipy compares no infinite statistics
    return ttest_ind(group, others, equal_var=False).statistic


def test_a_group_that_flips_both_ways_is_not_one_that_suffers():
    """Of 40 questions 10 lost and 10 gained, beside 400 of which 4 were lost."""
    both_ways = chance(40, 10, 10, 440, 14, 10)
    one_way = chance(40, 10, 0, 440, 14, 0)
    assert both_ways > 0.3
    assert one_way < 1e-4


def test_false_alarms_are_as_rare_as_they_say():
    rng = np.random.default_rng(5)
    alarms = 0
    for _ in range(150):
        losses = dict(enumerate(rng.choice((-1, 0, 1), 120, p=(0.1, 0.75, 0.15)).tolist()))
        labels = {i: {"subject": f"s{i % 6}"} for i in losses}
        found = groups(losses, dict.fromkeys(losses, True), labels)
        alarms += any(one.is_worse for one in found)
    assert alarms <= 150 * 0.05 + 3 * np.sqrt(150 * 0.05 * 0.95)


def test_a_large_loss_in_one_group_is_found_and_named():
    kinds = ("time", "percent", "shares")
    samples = [number_sample(i, kind=kinds[i % 3]) for i in range(60)]
    right = {i: "12 * 3 = 36\n#### 36" for i in range(60)}
    broken = right | {i: "12 * 3 = 35\n#### 35" for i in range(60) if kinds[i % 3] == "percent"}
    found = analysis(solved(samples, right), solved(samples, broken, label="int8"))
    assert (found["lost"], found["gained"]) == (20, 0)
    assert [one["group"] for one in found["groups"] if one["is_worse"]] == ["percent"]
    alone = of_one(solved(samples, broken))
    assert [one["group"] for one in alone["groups"] if one["is_worse"]] == ["percent"]


def test_only_questions_that_both_answered_count():
    samples = [number_sample(i) for i in range(4)]
    right = {i: "#### 36" for i in range(4)}
    found = analysis(solved(samples, right), solved(samples[:3], {0: "#### 36", 1: "#### 5"}))
    assert (found["n"], found["left_out"], found["lost"]) == (3, 1, 2)


def test_a_group_without_others_has_no_chance():
    assert chance(10, 3, 0, 10, 3, 0) is None
    assert chance(1, 1, 0, 10, 3, 0) is None
    assert chance(5, 0, 0, 10, 0, 0) is None
