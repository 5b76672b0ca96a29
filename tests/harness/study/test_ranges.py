"""Which values does a list name, and what is no list?"""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.kernel.errors import BadInput
from harness.study.ranges import values_of


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("8", "8"),
        ("8,32", "8,32"),
        ("1..4", "1,2,3,4"),
        ("1-4", "1,2,3,4"),
        ("1..10+4", "1,5,9"),
        ("1-128*2", "1,2,4,8,16,32,64,128"),
        ("1..100*2", "1,2,4,8,16,32,64"),
        ("1,2,4..64", "1,2,4,8,16,32,64"),
        ("5,10,15..30", "5,10,15,20,25,30"),
        ("1..3,10..30+10", "1,2,3,10,20,30"),
        ("0.1..0.3+0.1", "0.1,0.2,0.3"),
        ("1e-3..1e-1*10", "0.001,0.01,0.1"),
        ("1s..3s+1s", "1s,2s,3s"),
        ("100ms..400ms*2", "100ms,200ms,400ms"),
        ("auto,8,16", "auto,8,16"),
        ("1e-3", "1e-3"),
        ("-1", "-1"),
    ],
)
def test_a_list_names_its_values(text, values):
    assert values_of("target_qps", text, is_number=True) == values.split(",")


@pytest.mark.parametrize("text", ["int4-quanto", "fp32,lora-int8", "1-2", "a..b"])
def test_names_are_no_ranges(text):
    assert values_of("variant", text, is_number=False) == text.split(",")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("2,4..64", "show no step"),
        ("8,1..3", "show no step"),
        ("1,2,5..64", "show no step"),
        ("4..1", "begins above its end"),
        ("1..4*1", "never comes to its end"),
        ("0..4*2", "never comes to its end"),
        ("1..4+0", "never comes to its end"),
        ("1..2.5", "has no step"),
        ("1s..3s", "has no step"),
        ("1s..3", "mixes units"),
        ("1s..8s*2s", "multiplies by a time"),
        ("1..", "is no range"),
        ("..4", "is no range"),
        ("1..2..3", "is no range"),
        ("1..1000000", "more than 10,000"),
        ("1,,2", "empty value"),
        ("1..9e99+1", "more than 10,000"),
    ],
)
def test_what_is_no_list_is_refused_in_a_sentence(text, found):
    with pytest.raises(BadInput, match=found) as refused:
        values_of("target_qps", text, is_number=True)
    assert "--target-qps" in str(refused.value)
    assert len(str(refused.value)) < 300


WHOLE = st.integers(1, 500)
on_a_busy_machine = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


@on_a_busy_machine
@given(first=WHOLE, count=st.integers(0, 40), step=WHOLE, places=st.integers(0, 3))
def test_steps_are_exact_and_never_pass_the_end(first, count, step, places):
    def written(number):
        return str(number) if places == 0 else f"{number / 10**places:.{places}f}"

    last = first + count * step
    text = f"{written(first)}..{written(last)}+{written(step)}"
    values = values_of("target_qps", text, is_number=True)
    expected = [Fraction(first + i * step, 10**places) for i in range(count + 1)]
    assert list(map(Fraction, values)) == expected


@on_a_busy_machine
@given(first=WHOLE, factor=st.integers(2, 9), last=st.integers(1, 10**6))
def test_three_values_go_on_by_their_own_step(first, factor, last):
    values = [first, first * factor, first * factor**2]
    if last < values[-1]:
        return
    text = f"{values[0]},{values[1]},{values[2]}..{last}"
    found = list(map(int, values_of("target_qps", text, is_number=True)))
    assert found[-1] <= last < found[-1] * factor
    assert all(after == before * factor for before, after in pairwise(found))
