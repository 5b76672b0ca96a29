"""What does a request look like on the wire? Its bytes are made before the clock starts; only the
number of the query is put in when it is sent.
"""

from __future__ import annotations

from sut.served.address import Address

NUMBER = b"##########"  # where the number goes, in as many digits: the length never changes


def request(address: Address, path: str, body: bytes, method: str = "POST") -> bytes:
    """Return a whole request, as `path` under the address asks for it: "/chat/completions"."""
    lines = [
        f"{method} {address.path}{path} HTTP/1.1",
        f"Host: {address.authority}",
        "User-Agent: touchstone",
        "Accept: text/event-stream, application/json",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        f"x-request-id: touchstone-{NUMBER.decode()}",
    ]
    if address.key:
        lines.append(f"Authorization: Bearer {address.key}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body
