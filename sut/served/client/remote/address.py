"""Where does `harness client` listen? HOST:PORT, an IPv6 address in brackets."""

from __future__ import annotations

import ipaddress
import socket
from typing import NamedTuple

from harness.kernel.errors import BadInput

PORT = 7711  # where none is named


class Place(NamedTuple):
    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @property
    def family(self) -> socket.AddressFamily:
        return socket.AF_INET6 if ":" in self.host else socket.AF_INET

    @property
    def is_here(self) -> bool:
        """Can only programs of this machine reach it?"""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"


def place(text: str, flag: str) -> Place:
    """Read HOST, HOST:PORT or [IPV6]:PORT. Raises BadInput."""
    host, colon, port = text.strip().rpartition(":")
    if not colon or text.endswith("]"):
        host, port = text.strip(), str(PORT)
    host = host.removeprefix("[").removesuffix("]")
    is_port = port.isascii() and port.isdigit() and int(port) < 1 << 16
    if not host or not is_port or any(c.isspace() or c == "/" for c in host):
        fine = f"expected HOST:PORT, such as 10.0.0.7:{PORT}"
        raise BadInput(f"{flag} {text}", "it is no address of a client", fine, "")
    return Place(host, int(port))
