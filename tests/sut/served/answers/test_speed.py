"""Is an answer read about as fast as its JSON can be?"""

from __future__ import annotations

from tests.sut.served.answers.speed import measured


def test_all_but_the_json_of_an_event_takes_a_few_times_as_long_at_most():
    """Decoding takes 0.7 us of 2; a second pass over the bytes or a copy each would show here."""
    for _ in range(5):
        found = measured()
        if found.answer_us < 5 * found.json_us:
            return
    raise AssertionError(found)
