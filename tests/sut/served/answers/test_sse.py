"""Are the events the same however the bytes come, and stamped with the read that ended them?"""

from __future__ import annotations

from random import Random

import pytest

from sut.served.answers.sse import events
from tests.sut.served.answers.wire import split


def read(*pieces):
    return [(at, data) for at, data, _, _ in events(list(enumerate(pieces)))]


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_any_line_end_ends_an_event(end):
    body = b"data: a" + end * 2 + b"data: b" + end * 2
    assert read(body) == [(0, b"a"), (0, b"b")]


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_an_event_is_stamped_with_the_read_that_ended_it(end):
    assert read(b"data: a" + end, end, b"data: b" + end * 2) == [(1, b"a"), (2, b"b")]


def test_an_event_has_come_with_the_cr_of_its_last_line():
    assert read(b"data: a\r\n\r", b"\ndata: b\r\n\r\n") == [(0, b"a"), (1, b"b")]


def test_a_line_feed_after_the_second_part_of_a_cr_lf_is_an_empty_line():
    assert read(b"data: a\r", b"\n", b"\n", b"data: b\n\n") == [(2, b"a"), (3, b"b")]


def test_comments_and_other_fields_are_left_out():
    body = b": keep-alive\n\nid: 3\nretry: 10\ndata: a\n: more\n\n:\n\ndata:b\n\n"
    assert read(body) == [(0, b"a"), (0, b"b")]


def test_lines_of_data_are_joined_and_one_blank_goes():
    assert read(b"data: {\ndata:  1}\n\n") == [(0, b"{\n 1}")]


def test_lines_that_are_whole_by_themselves_are_events_each_with_its_own_moment():
    assert read(b'data: {"a":1}\n', b'data: {"b":2}\ndata: [DONE]\n', b"data: {}\n") == [
        (0, b'{"a":1}'),
        (1, b'{"b":2}'),
        (1, b"[DONE]"),
        (2, b"{}"),
    ]


def test_an_event_has_a_name_where_it_is_told():
    ((_, data, name, _),) = events([(0, b"event: error\ndata: x\n\n")])
    assert (data, name) == (b"x", b"error")


def test_what_is_left_without_an_empty_line_comes_last_and_is_told_apart():
    assert [(data, whole) for _, data, _, whole in events([(0, b"data: a\n\ndata: b")])] == [
        (b"a", True),
        (b"b", False),
    ]


def test_a_byte_order_mark_is_no_data_even_in_parts():
    assert read(b"\xef\xbb\xbfdata: a\n\n") == [(0, b"a")]
    assert read(b"\xef", b"\xbb", b"\xbfdata: a\n\n") == [(2, b"a")]
    assert read(b"\xef\xbb") == []


def test_no_bytes_are_no_events():
    assert list(events([])) == []
    assert read(b"", b"\n", b"") == []


@pytest.mark.parametrize("seed", range(300))
def test_splits_change_nothing_but_stamps(seed):
    rng = Random(seed)
    words = [b"data: ", b"data:", b"event: e", b": c", b"\n", b"\n", b"\r", b"\r\n", b"\n\n", b"x",
             b'{"a":1}', b"\xef\xbb\xbf", b"id", b"data", b" "]  # fmt: skip
    body = b"".join(rng.choice(words) for _ in range(rng.randrange(60)))
    whole = [event[1:] for event in events([(0, body)])]
    assert [event[1:] for event in events(list(enumerate(split(body, rng))))] == whole


def test_a_long_line_in_small_reads_takes_time_in_proportion():
    """A joined tail that is searched again at each read takes minutes for this one."""
    line = b"data: " + b"x" * 150_000 + b"\r\n" * 2
    ((_, data, _, _),) = events([(i, line[i : i + 1]) for i in range(len(line))])
    assert len(data) == 150_000
