"""One request, outside the timed part: what comes back, whatever comes back.

The probe, the list of models, /metrics, the doctor and perplexity ask this way. It blocks, follows
no redirect, uses no proxy and raises nothing: an Exchange says by `ending` and `detail` how it
went. The bytes are framed as those of the timed part are (`sut.served.client.http`).

    once.exchange(address, "GET", address.path + "/models").status
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Mapping
from contextlib import suppress

from harness.kernel.answers import Ending, Exchange
from harness.kernel.clock import monotonic_ns
from harness.kernel.privacy import tls
from sut.served.address import Address
from sut.served.client.http import Framer

CONNECT_S = 10.0
_MOST_BYTES = 1 << 30  # of a body: no answer of this API is larger
_READ_BYTES = 1 << 18


def exchange(
    address: Address,
    method: str,
    path: str,
    body: bytes | None = None,
    timeout_s: float = 60.0,
    headers: Mapping[str, str] | None = None,
) -> Exchange:
    """Send a request to `path` of the server ("/v1/models") and return what came within
    `timeout_s`. Never raises for what the server or the network does.
    """
    heard = _Heard(timeout_s)
    try:
        connection = _connected(address, min(CONNECT_S, timeout_s))
    except OSError as error:
        return heard.ended(of_connecting(error), _words(error))
    with connection:
        heard.issued_ns = monotonic_ns()
        ending, detail = heard.all_of(connection, _request(address, method, path, body, headers))
    return heard.ended(ending, detail)


def connect_ns(address: Address) -> int:
    """Return how long a TCP connection takes: about one trip to the server and back. Raises
    OSError.
    """
    start_ns = monotonic_ns()
    with socket.create_connection((address.host, address.port), timeout=CONNECT_S):
        return monotonic_ns() - start_ns


def of_connecting(error: OSError) -> Ending:
    """Return the ending of an exchange that got no connection."""
    if isinstance(error, ssl.SSLError | ssl.CertificateError):
        return "tls"
    if isinstance(error, socket.gaierror):
        return "unresolved"
    return "refused" if isinstance(error, ConnectionRefusedError) else "no_connection"


def _connected(address: Address, timeout_s: float) -> socket.socket:
    plain = socket.create_connection((address.host, address.port), timeout=timeout_s)
    if not address.is_tls:
        return plain
    try:
        context = tls.context(address.ca_file, address.is_checked)
        return context.wrap_socket(plain, server_hostname=address.host)
    except (ConnectionError, TimeoutError) as error:  # a server without TLS may close, or wait
        plain.close()
        raise ssl.SSLError(ssl.SSL_ERROR_SSL, f"no handshake: {_words(error)}") from None
    except BaseException:
        plain.close()
        raise


def _request(
    address: Address,
    method: str,
    path: str,
    body: bytes | None,
    headers: Mapping[str, str] | None,
) -> bytes:
    lines = {"Host": address.authority, "User-Agent": "touchstone", "Accept": "*/*"}
    lines |= {"Accept-Encoding": "identity", "Connection": "close"}
    if body is not None:
        lines |= {"Content-Type": "application/json", "Content-Length": str(len(body))}
    if address.key:
        lines["Authorization"] = f"Bearer {address.key}"
    lines |= headers or {}
    head = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in lines.items())]
    return "\r\n".join([*head, "", ""]).encode("utf-8") + (body or b"")


class _Heard:
    """What has come so far."""

    def __init__(self, timeout_s: float) -> None:
        self.issued_ns = monotonic_ns()
        self._until_ns = self.issued_ns + round(timeout_s * 1e9)
        self._framer = Framer()
        self._pieces: list[tuple[int, bytes]] = []
        self._size_bytes = 0

    def all_of(self, connection: socket.socket, request: bytes) -> tuple[Ending, str]:
        """Send the request, read to the end, and return how it ended."""
        with suppress(BrokenPipeError, ConnectionResetError):  # it may have answered all the same
            connection.settimeout(self._left_s())
            connection.sendall(request)
        try:
            while not (end := self._read(connection)):
                pass
            return end
        except TimeoutError:
            return self._of_waiting(), "no answer in time"
        except OSError as error:
            return "reset", _words(error)

    def ended(self, ending: Ending, detail: str) -> Exchange:
        return Exchange(
            sample_id=-1,
            issued_ns=self.issued_ns,
            status=self._framer.status,
            headers=self._framer.headers,
            pieces=self._pieces,
            ending=ending,
            end_ns=monotonic_ns(),
            detail=detail,
        )

    def _read(self, connection: socket.socket) -> tuple[Ending, str] | None:
        """Take in one read; return how it ended, if it has. Raises OSError."""
        connection.settimeout(self._left_s())
        data = connection.recv(_READ_BYTES)
        now_ns = monotonic_ns()
        if not data:
            is_whole = self._framer.ends_with_the_connection
            return ("whole", "") if is_whole else ("closed", "the connection was closed")
        body = b"".join(self._framer.feed(data))
        if body:
            self._pieces.append((now_ns, body))
            self._size_bytes += len(body)
        if self._framer.is_malformed:
            return "malformed", "the bytes are no HTTP"
        if self._size_bytes > _MOST_BYTES:
            return "overdue", f"more than {_MOST_BYTES:,} bytes came"
        return ("whole", "") if self._framer.is_whole else None

    def _left_s(self) -> float:
        """Return the time that is left. Raises TimeoutError if there is none."""
        left_ns = self._until_ns - monotonic_ns()
        if left_ns <= 0:
            raise TimeoutError
        return left_ns / 1e9

    def _of_waiting(self) -> Ending:
        """Tell an answer that takes long from one that stands still."""
        last_ns = self._pieces[-1][0] if self._pieces else self.issued_ns
        is_still = last_ns < (self.issued_ns + self._until_ns) // 2
        return "stalled" if is_still else "overdue"


def _words(error: OSError) -> str:
    """Return the system's words for what went wrong."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message
    return error.strerror or str(error) or type(error).__name__
