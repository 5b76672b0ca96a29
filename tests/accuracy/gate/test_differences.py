"""Where two outputs part, how that spreads, and two texts side by side."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from accuracy.gate import differences
from accuracy.gate.differences import (
    first_difference,
    first_differences,
    groups,
    histogram,
    side_by_side,
    worst,
)
from harness.kernel.types import NEVER

ids = st.lists(st.integers(0, 2), max_size=6)


@pytest.mark.parametrize(
    ("ours", "theirs", "position"),
    [
        ([1, 2, 3], [1, 2, 3], NEVER),
        ([1, 2, 3], [1, 9, 3], 1),
        ([1, 2], [1, 2, 3], 2),
        ([], [], NEVER),
        ([], [5], 0),
        (["the", "sky"], ["the", "sea"], 1),
    ],
)
def test_outputs_part_at_the_first_unlike_token_or_the_end_of_the_shorter(ours, theirs, position):
    assert first_difference(np.array(ours), np.array(theirs)) == position


@given(ids, ids)
def test_up_to_there_they_are_the_same_and_there_they_are_not(ours, theirs):
    at = first_difference(ours, theirs)
    if at == NEVER:
        assert ours == theirs
    else:
        assert ours[:at] == theirs[:at]
        assert ours[at : at + 1] != theirs[at : at + 1]


@given(st.lists(st.tuples(ids, ids), min_size=1))
def test_every_output_is_in_one_bin_or_the_same(pairs):
    positions = first_differences([np.array(a) for a, _ in pairs], [np.array(b) for _, b in pairs])
    bins = histogram(positions, 6)
    assert sum(part.outputs for part in bins) + (positions == NEVER).sum() == len(pairs)
    assert [part.first for part in bins[1:]] == [part.last + 1 for part in bins[:-1]]
    assert differences.identical_share(positions) == sum(a == b for a, b in pairs) / len(pairs)


def test_bins_double_and_reach_the_longest_output():
    bins = histogram(np.array([0, 1, 2, 3, 4, 31, 32, NEVER]), 32)
    assert [(part.first, part.last, part.outputs) for part in bins] == [
        (0, 0, 1), (1, 1, 1), (2, 3, 2), (4, 7, 1), (8, 15, 0), (16, 31, 1), (32, 63, 1),
    ]  # fmt: skip


def test_the_worst_lose_most_and_those_that_lose_nothing_are_left_out():
    assert worst(np.array([0.1, 0.5, 0.0, -0.2, 0.5]), 3) == [1, 4, 0]
    assert worst(np.array([0.0, -1.0]), 3) == []


def test_words_that_only_one_text_has_are_marked():
    ours, theirs = side_by_side("the sky is blue today", "the sea is blue")
    assert [tuple(piece) for piece in ours] == [
        ("the ", False),
        ("sky ", True),
        ("is blue ", False),
        ("today", True),
    ]
    assert [tuple(piece) for piece in theirs] == [
        ("the ", False),
        ("sea ", True),
        ("is blue", False),
    ]


@given(st.text(max_size=80), st.text(max_size=80))
def test_the_pieces_are_the_texts(ours, theirs):
    left, right = side_by_side(ours, theirs)
    assert ("".join(piece.text for piece in left), "".join(piece.text for piece in right)) == (
        ours,
        theirs,
    )
    if ours == theirs:
        assert not any(piece.differs for piece in left)


def test_a_long_text_is_cut_and_says_so():
    left, right = side_by_side("word " * 5000, "short")
    assert left[-1].text == " …"
    assert sum(piece.text.count("word") for piece in left) == 300
    assert right[-1].text == "short"


def test_samples_are_grouped_by_each_of_their_labels():
    labels = [(("subject", "physics"), ("kind", "why")), (("subject", "art"), ("kind", "why")), ()]
    found = {label: rows.tolist() for label, rows in groups(labels).items()}
    assert list(found.items()) == [
        (("subject", "art"), [1]),
        (("subject", "physics"), [0]),
        (("kind", "why"), [0, 1]),
    ]
