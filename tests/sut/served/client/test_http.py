"""Is HTTP read as it is meant, however it is cut?"""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sut.served.client.frames import Raw, Reader, frame
from sut.served.client.http import exchange, retry_after_ns

BODY = b'data: {"a": 1}\n\ndata: [DONE]\n\n'
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n10\r\n" + BODY[:16] + b"\r\n%x\r\n" % (
    len(BODY) - 16
) + BODY[16:] + b"\r\n0\r\n\r\n"  # fmt: skip
TRAILERS = CHUNKED.removesuffix(b"\r\n") + b"x-count: 1\r\n\r\n"
LENGTH = HEAD + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY
HINTS = b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + LENGTH
WHOLE = [CHUNKED, TRAILERS, LENGTH, HINTS]


def raw(data: bytes, cuts=(), ending="whole") -> Raw:
    places = [0, *sorted(cuts), len(data)]
    parts = [data[a:b] for a, b in pairwise(places) if a < b]
    return Raw(7, 100, ending, 999, "its words", 0, list(enumerate(parts)))


@given(st.sampled_from(WHOLE), st.lists(st.integers(0, 300), max_size=12))
def test_any_split_of_the_same_bytes_has_the_same_body(data, cuts):
    found = exchange(raw(data, [cut for cut in cuts if cut < len(data)]))
    assert b"".join(body for _, body in found.pieces) == BODY
    assert (found.status, found.ending, found.detail) == (200, "whole", "")
    assert found.headers["content-type"] == "text/event-stream"


def test_a_body_without_a_length_ends_with_the_connection():
    found = exchange(raw(HEAD + b"\r\n" + BODY, ending="closed"))
    assert (found.ending, found.pieces[0][1]) == ("whole", BODY)


@pytest.mark.parametrize("data", WHOLE)
def test_what_is_cut_is_not_whole_whatever_the_worker_took_it_for(data):
    assert exchange(raw(data[:-9], ending="closed")).ending == "closed"
    assert exchange(raw(data[:-9], ending="whole")).ending == "malformed"


@given(st.sampled_from(WHOLE), st.integers(0, 200), st.binary(min_size=1, max_size=4))
def test_damaged_bytes_are_read_or_malformed_and_never_raise(data, at, put):
    at = min(at, len(data))
    found = exchange(raw(data[:at] + put + data[at + len(put) :]))
    assert found.ending in ("whole", "malformed")


def test_a_server_without_room_says_when_to_come_back():
    busy = b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 3\r\nContent-Length: 0\r\n\r\n"
    assert retry_after_ns([(0, busy)], 5) == 3_000_000_000
    assert retry_after_ns([(0, busy.replace(b"Retry-After: 3\r\n", b""))], 5) == 5


@pytest.mark.parametrize("words", [b"\xb2", b"9" * 5000, b"soon"])
def test_a_time_that_is_none_does_not_end_the_worker(words):
    busy = b"HTTP/1.1 503 x\r\nRetry-After: %b\r\nContent-Length: 0\r\n\r\n" % words
    assert retry_after_ns([(0, busy)], 5) == 5


def test_a_server_that_changes_the_protocol_speaks_no_http():
    switched = b"HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\nx"
    assert exchange(raw(switched)).ending == "malformed"
    assert retry_after_ns([(0, LENGTH)], 5) is None


@given(st.lists(st.binary(max_size=40), min_size=1, max_size=5), st.integers(1, 9))
def test_messages_come_through_a_stream_in_any_pieces(bodies, size):
    sent = b"".join(frame(3, body) for body in bodies)
    reader, found = Reader(), []
    for at in range(0, len(sent), size):
        found += reader.feed(sent[at : at + size])
    assert found == [[3, body] for body in bodies]
