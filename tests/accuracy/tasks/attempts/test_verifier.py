"""A user's function: found, asked, and never able to break a run."""

from __future__ import annotations

import pytest

from accuracy.tasks.attempts.verifier import opinion, verifier_of
from harness.kernel.errors import BadInput, SetupFailed


def test_a_function_is_found_by_its_name():
    assert verifier_of("builtins:len")("four") == 4


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("builtins", "it names no function"),
        ("builtins:", "it names no function"),
        ("math:pi", "pi is a float"),
        ("builtins:lenn", "'lenn' is not known"),
    ],
)
def test_what_is_no_function_is_refused(name, found):
    with pytest.raises(BadInput, match=found):
        verifier_of(name)


def test_a_module_that_is_not_there_is_a_setup_failure():
    with pytest.raises(SetupFailed, match="No module named 'nowhere'"):
        verifier_of("nowhere:score")


@pytest.mark.parametrize("text", ["nan", "inf", "word"])
def test_no_number_is_no_opinion(text):
    found = opinion(float, text)
    assert found.value is None
    assert found.why


def test_a_number_is_one():
    assert opinion(len, "four") == (4.0, "")
