"""Where is the server exactly, and how is it spoken to? Found out once, before the clock starts:
the first of the host's addresses that takes a connection.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness.kernel.clock import FAR_FUTURE_NS
from harness.kernel.privacy import tls
from sut.served.address import Address

Place = tuple[Any, Any]  # of a socket: its family, and the address in it
_NOWHERE: Place = (socket.AF_INET, ("127.0.0.1", 9))


@dataclass(frozen=True, slots=True)
class Server:
    place: Place = _NOWHERE
    name: str = ""  # that its certificate must have
    tls: ssl.SSLContext | None = None
    in_flight: int = FAR_FUTURE_NS
    connect_ns: int = FAR_FUTURE_NS
    stall_ns: int = FAR_FUTURE_NS
    total_ns: int = FAR_FUTURE_NS


def described(address: Address, limits: Mapping[str, int]) -> dict[str, Any]:
    """Return what a worker must know of a server; nothing secret, which is in the requests."""
    return {
        "host": address.host,
        "port": address.port,
        "is_tls": address.is_tls,
        "ca_file": address.ca_file,
        "is_checked": address.is_checked,
        **limits,
    }


def met(known: Mapping[str, Any]) -> tuple[Server, tuple[str, str]]:
    """Return the server; and why it cannot be reached, with the system's words ("" = it can)."""
    host, port = known["host"], known["port"]
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        return Server(), ("unresolved", error.strerror or str(error))
    places = [(family, address) for family, _, _, _, address in found]
    place, why = _answering(places, known["connect_ns"] / 1e9)
    try:
        context = tls.context(known["ca_file"], known["is_checked"]) if known["is_tls"] else None
    except OSError as error:
        return Server(), ("tls", f"{known['ca_file']}: {error.strerror or error}")
    server = Server(
        place,
        name=host,
        tls=context,
        in_flight=known["in_flight"] or FAR_FUTURE_NS,
        connect_ns=known["connect_ns"],
        stall_ns=known["stall_ns"],
        total_ns=known["total_ns"],
    )
    return server, why


def _answering(places: list[Place], timeout_s: float) -> tuple[Place, tuple[str, str]]:
    """Return the first place that takes a connection, else the last with the reason."""
    why = "", ""
    for place in places:
        with socket.socket(place[0], socket.SOCK_STREAM) as probe:
            probe.settimeout(timeout_s)
            try:
                probe.connect(place[1])
            except ConnectionRefusedError as error:
                why = "refused", error.strerror or ""
            except OSError as error:
                why = "no_connection", error.strerror or "timed out"
            else:
                return place, ("", "")
    return places[-1], why
