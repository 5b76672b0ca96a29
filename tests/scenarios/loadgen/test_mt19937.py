"""Are these LoadGen's random numbers? Against the C++ standard's check value, numpy's engine and
the definitions.
"""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scenarios.loadgen.mt19937 import Mt19937

seeds = st.integers(0, 2**64 - 1)


def words(seed, count):
    """The engine's raw 32-bit words from an independent implementation (numpy's legacy seeding is
    the standard one).
    """
    return np.random.RandomState(seed % 2**32).randint(0, 2**32, count, np.uint64).tolist()


def lemire(stream, n):
    """The definition, word by word: multiply, keep the high half, redraw if the low half is too
    low.
    """
    while True:
        product = next(stream) * n
        if product % 2**32 >= (2**32 - n) % n:
            return product >> 32


def shuffled(stream, n):
    """libstdc++'s std::shuffle for n < 65536, restated from the pairs of positions that it
    draws.
    """
    items, i = list(range(n)), 1
    if n > 1 and n % 2 == 0:
        j = lemire(stream, 2)
        items[1], items[j] = items[j], items[1]
        i = 2
    for k in range(i, n, 2):
        first, second = divmod(lemire(stream, (k + 1) * (k + 2)), k + 2)
        items[k], items[first] = items[first], items[k]
        items[k + 1], items[second] = items[second], items[k + 1]
    return items


def test_the_ten_thousandth_word_of_the_default_seed_is_the_one_in_the_cpp_standard():
    rng = Mt19937(5489)
    assert rng.integers(2**32, 10_000)[-1] == 4_123_659_995


@given(seeds)
def test_the_engine_keeps_the_low_32_bits_of_the_seed(seed):
    assert Mt19937(seed).integers(2**32, 20).tolist() == words(seed, 20)


def test_the_stream_has_no_seam_between_blocks():
    rng = Mt19937(7)
    pieces = [rng.integers(2**32, count) for count in (1, 4095, 2, 9000, 3)]
    assert np.concatenate(pieces).tolist() == words(7, 13_101)


@given(seeds, st.integers(1, 2**32 - 1))
def test_integers_follow_lemire_word_by_word(seed, n):
    stream = iter(words(seed, 400))
    assert Mt19937(seed).integers(n, 30).tolist() == [lemire(stream, n) for _ in range(30)]


@given(seeds, st.integers(1, 2**32 - 1))
def test_one_integer_at_a_time_is_the_same_stream_as_many(seed, n):
    one, many = Mt19937(seed), Mt19937(seed)
    assert [int(one.integers(n, 1)[0]) for _ in range(10)] == many.integers(n, 10).tolist()
    assert one.integers(2**32, 1) == many.integers(
        2**32, 1
    )  # and both consumed the same number of words


def test_rejected_words_are_skipped_where_half_of_them_are_rejected():
    n = 2**31 + 1
    stream = iter(words(3, 4000))
    assert Mt19937(3).integers(n, 1000).tolist() == [lemire(stream, n) for _ in range(1000)]
    assert len(list(stream)) < 2300  # about two words per number


@given(seeds)
def test_even_a_choice_of_one_consumes_a_word(seed):
    rng = Mt19937(seed)
    assert rng.integers(1, 1).tolist() == [0]
    assert int(rng.integers(2**32, 1)[0]) == words(seed, 2)[1]


@given(seeds)
def test_a_real_takes_its_low_word_first(seed):
    low, high = words(seed, 2)
    assert Mt19937(seed).reals(1)[0] == (low + high * 2.0**32) / 2.0**64


@given(seeds, st.floats(1e-3, 1e8))
def test_exponential_gaps_are_minus_log_truncated_to_nanoseconds(seed, rate):
    u = Mt19937(seed).reals(20).tolist()
    assert Mt19937(seed).exponential_ns(rate, 20).tolist() == [
        int(-math.log(1.0 - x) / rate * 1e9) for x in u
    ]


@given(seeds, st.integers(0, 300))
def test_a_shuffle_draws_two_positions_at_a_time(seed, n):
    items = list(range(n))
    Mt19937(seed).shuffle(items)
    assert items == shuffled(iter(words(seed, 2 * n + 50)), n)


def test_the_largest_set_that_draws_in_pairs_has_65535_items():
    items = list(range(65_535))
    Mt19937(11).shuffle(items)
    assert items == shuffled(iter(words(11, 70_000)), 65_535)


def test_sets_of_65536_and_more_draw_one_position_at_a_time():
    items, expected, stream = list(range(65_536)), list(range(65_536)), iter(words(11, 70_000))
    Mt19937(11).shuffle(items)
    for i in range(1, 65_536):
        j = lemire(stream, i + 1)
        expected[i], expected[j] = expected[j], expected[i]
    assert items == expected


@pytest.mark.parametrize("n", [0, 1])
def test_nothing_to_shuffle_draws_nothing(n):
    rng = Mt19937(1)
    rng.shuffle(list(range(n)))
    assert int(rng.integers(2**32, 1)[0]) == words(1, 1)[0]
