"""One request, outside the timed part: what comes back, whatever comes back.

The probe, the list of models, /metrics, the doctor and perplexity ask this way. It blocks, follows
no redirect, uses no proxy and raises nothing: an Exchange says by `ending` and `detail` how it
went.

    once.exchange(address, "GET", address.path + "/models").status
"""

from __future__ import annotations

import http.client
import socket
import ssl
from collections.abc import Mapping

from harness.kernel.answers import Ending, Exchange
from harness.kernel.clock import monotonic_ns
from sut.served.address import Address

CONNECT_S = 10.0  # for the connection; then as long as a request may take
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
        connection = _connected(address, timeout_s)
    except OSError as error:
        return heard.ended(of_connecting(error), error)
    try:
        heard.issued_ns = monotonic_ns()
        connection.request(method, path, body, {**_headers(address, body), **(headers or {})})
        heard.read(connection)
        return heard.ended("whole")
    except (OSError, http.client.HTTPException, ValueError) as error:
        return heard.ended(_of_answering(error), error)
    finally:
        connection.close()


def connect_ns(address: Address) -> int:
    """Return how long a TCP connection takes: about one trip to the server and back. Raises
    OSError.
    """
    start_ns = monotonic_ns()
    with socket.create_connection((address.host, address.port), timeout=CONNECT_S):
        return monotonic_ns() - start_ns


def tls(address: Address) -> ssl.SSLContext:
    """Return how the server's certificate is checked. Raises OSError for a CA file that is none."""
    context = ssl.create_default_context(cafile=address.ca_file or None)
    if not address.is_checked:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def of_connecting(error: OSError) -> Ending:
    """Return the ending of an exchange that got no connection."""
    if isinstance(error, ssl.SSLError | ssl.CertificateError):
        return "tls"
    if isinstance(error, socket.gaierror):
        return "unresolved"
    return "refused" if isinstance(error, ConnectionRefusedError) else "no_connection"


def _of_answering(error: Exception) -> Ending:
    if isinstance(error, TimeoutError):
        return "stalled"
    if isinstance(error, http.client.IncompleteRead | http.client.RemoteDisconnected):
        return "closed"
    if isinstance(error, http.client.HTTPException | ValueError):
        return "malformed"
    return "reset"


def _connected(address: Address, timeout_s: float) -> http.client.HTTPConnection:
    within_s = min(CONNECT_S, timeout_s)
    connection = (
        http.client.HTTPSConnection(
            address.host, address.port, timeout=within_s, context=tls(address)
        )
        if address.is_tls
        else http.client.HTTPConnection(address.host, address.port, timeout=within_s)
    )
    try:
        connection.connect()
    except BaseException:
        connection.close()
        raise
    connection.sock.settimeout(timeout_s)
    return connection


def _headers(address: Address, body: bytes | None) -> dict[str, str]:
    headers = {"User-Agent": "touchstone", "Connection": "close", "Accept": "*/*"}
    if body is not None:
        headers["Content-Type"] = "application/json"
    if address.key:
        headers["Authorization"] = f"Bearer {address.key}"
    return headers


class _Heard:
    """What has come so far."""

    def __init__(self, timeout_s: float) -> None:
        self.issued_ns = monotonic_ns()
        self._until_ns = self.issued_ns + round(timeout_s * 1e9)
        self._status = 0
        self._headers: dict[str, str] = {}
        self._pieces: list[tuple[int, bytes]] = []

    def read(self, connection: http.client.HTTPConnection) -> None:
        """Read the head and the body, each read of it a piece. Raises OSError, HTTPException."""
        answer = connection.getresponse()
        self._status = answer.status
        self._headers = {name.lower(): value for name, value in answer.getheaders()}
        size_bytes = 0
        while piece := answer.read1(_READ_BYTES):
            self._pieces.append((monotonic_ns(), piece))
            size_bytes += len(piece)
            left_s = (self._until_ns - monotonic_ns()) / 1e9
            if left_s <= 0 or size_bytes > _MOST_BYTES:
                raise TimeoutError(f"not whole in time, after {size_bytes:,} bytes")
            if connection.sock is not None:
                connection.sock.settimeout(left_s)
        if answer.length:  # `read1` does not tell that a body is shorter than its head said
            raise http.client.IncompleteRead(b"", answer.length)

    def ended(self, ending: Ending, error: BaseException | None = None) -> Exchange:
        return Exchange(
            sample_id=-1,
            issued_ns=self.issued_ns,
            status=self._status,
            headers=self._headers,
            pieces=self._pieces,
            ending=ending,
            end_ns=monotonic_ns(),
            detail="" if error is None else _words(error),
        )


def _words(error: BaseException) -> str:
    """Return the system's words for what went wrong."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message
    if isinstance(error, http.client.IncompleteRead):
        return "the connection was closed"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__
