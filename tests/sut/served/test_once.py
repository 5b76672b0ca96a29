"""Does one request come back as an exchange, whatever the server does?"""

from __future__ import annotations

import socket
import threading
from contextlib import closing

import pytest

from harness.kernel.answers import FAILURES
from sut.golden.answers.faults import TABLE
from sut.served import once
from sut.served.address import address
from sut.served.answers.read import Options, answer

_BODY = b'{"model":"golden","stream":true,"messages":[{"role":"user","content":"[fault=%s]"}],%s}'
_ASKED = b'"return_token_ids":true,"stream_options":{"include_usage":true}'


def ask(golden, fault, timeout_s=20.0):
    body = _BODY % (fault.encode(), _ASKED)
    there = address(golden.url)
    return once.exchange(there, "POST", "/v1/chat/completions", body, timeout_s)


@pytest.mark.parametrize("fault", [name for name in TABLE if TABLE[name].class_ not in
                                   ("stalled", "overdue")])  # fmt: skip
def test_every_failure_that_can_be_provoked_gets_its_class(golden, fault):
    if TABLE[fault].ending == "die":
        golden.set(tokens=4)
    found = answer(ask(golden, fault), Options())
    assert found.failure == TABLE[fault].class_, found.detail
    assert found.detail or found.failure in ("", "empty")
    if TABLE[fault].ending == "die":
        golden.set()  # it is started again


@pytest.mark.parametrize(("fault", "name"), [("stalled", "stalled"), ("silent", "stalled"),
                                             ("slow", "overdue")])  # fmt: skip
def test_a_server_that_says_no_more_is_told_from_one_that_takes_long(golden, fault, name):
    found = answer(ask(golden, fault, timeout_s=1.2), Options())
    assert found.failure == name


def test_a_good_answer_is_whole_with_its_tokens(golden):
    golden.set(tokens=6)
    found = answer(ask(golden, ""), Options())
    assert found.failure == ""
    assert len(found.token_ids) == 6
    assert found.issued_ns < found.first_ns <= found.done_ns


def test_a_port_where_nobody_listens_refuses():
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    found = once.exchange(address(f"http://127.0.0.1:{port}"), "GET", "/")
    assert (found.ending, found.status) == ("refused", 0)
    assert found.detail


def test_a_name_that_nobody_has_is_unresolved():
    found = once.exchange(address("http://no-such-host.invalid"), "GET", "/")
    assert found.ending == "unresolved"


def test_a_certificate_that_nobody_vouches_for_is_refused_and_taken_if_asked(golden_tls):
    url = golden_tls.url
    assert once.exchange(address(url), "GET", "/v1/models").ending == "tls"
    for there in (address(url, ca_file=golden_tls.ca_file), address(url, is_checked=False)):
        assert once.exchange(there, "GET", "/v1/models").status == 200


def test_the_key_is_sent(golden, monkeypatch):
    golden.set(key="sesame")
    assert once.exchange(address(golden.url), "GET", "/v1/models").status == 401
    monkeypatch.setenv("TOUCHSTONE_API_KEY", "sesame")
    assert once.exchange(address(golden.url), "GET", "/v1/models").status == 200


@pytest.mark.parametrize(
    ("head", "ending", "pieces"),
    [
        (b"Content-Length: 2\r\n\r\n{}", "whole", [b"{}"]),
        (b"Content-Length: 9\r\n\r\n{}", "closed", [b"{}"]),
        (b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", "whole", [b"{}"]),
        (b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n", "closed", [b"{}"]),
        (b"\r\n{}", "whole", [b"{}"]),
    ],
)
def test_framing_is_followed_to_its_end(head, ending, pieces):
    found = once.exchange(spoken(b"HTTP/1.1 200 OK\r\n" + head), "GET", "/")
    assert (found.ending, [data for _, data in found.pieces]) == (ending, pieces)


@pytest.mark.parametrize("said", [b"SSH-2.0-OpenSSH\r\n", b"HTTP/1.1 abc\r\n\r\n", b"\x00" * 9])
def test_what_is_no_http_is_said_to_be_none(said):
    found = answer(once.exchange(spoken(said), "GET", "/"), Options())
    assert found.failure == "malformed"


def test_every_class_has_words():
    assert all(FAILURES[TABLE[name].class_] for name in TABLE if TABLE[name].class_)


def spoken(said):
    """Return the address of a server that says this once, and closes."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve():
        with closing(listener), closing(listener.accept()[0]) as connection:
            connection.recv(65536)
            connection.sendall(said)

    threading.Thread(target=serve, daemon=True).start()
    return address(f"http://127.0.0.1:{listener.getsockname()[1]}")
