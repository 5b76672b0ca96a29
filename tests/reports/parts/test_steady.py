"""What is said of the steady state, and where is it marked?"""

from __future__ import annotations

import pytest

from reports.parts import steady

QUIET = {
    "figure": "ttft", "is_found": True, "is_warm_up_clear": False, "from_ns": 0,
    "kept_percent": 100.0, "change": None,
}  # fmt: skip
CHANGE = {"at_ns": 30_000_000_000, "before_ms": 50.0, "after_ms": 80.0, "p_value": 0.001}


@pytest.mark.parametrize(
    ("seen", "said"),
    [
        ({}, ""),
        ({"is_found": False}, "No steady state was found"),
        (
            {"is_warm_up_clear": True, "from_ns": 5_000_000_000, "kept_percent": 90.0},
            "The first 5 s were a warm-up (10 % of the samples).",
        ),
        ({"change": CHANGE}, "TTFT changed after 30 s: its median was 50 ms before, 80 ms after."),
    ],
)
def test_a_sentence_says_what_was_seen(seen, said):
    assert steady.sentence(QUIET | seen).startswith(said)


def test_only_what_is_beyond_chance_is_marked():
    by_chance = QUIET | {"from_ns": 5_000_000_000}
    assert steady.marks({"steady": by_chance}) == (None, None)
    assert steady.marks({"steady": by_chance | {"is_warm_up_clear": True}}) == (5.0, None)
    assert steady.marks({"steady": QUIET | {"change": CHANGE}}) == (None, 30.0)
    assert steady.marks({}) == (None, None)


def test_a_run_that_has_none_has_no_table():
    assert steady.table({}) is None
