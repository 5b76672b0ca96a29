"""How does a server of ours take its address? Before anything that takes long, so that a port in
use costs nothing.
"""

from __future__ import annotations

import socket

from harness.kernel.errors import SetupFailed


def listener(host: str, port: int) -> socket.socket:
    """Return a socket that has the address, before anything is loaded. Raises SetupFailed."""
    doing = f"listening at {host}:{port}"
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
        *kind, _, place = found[0]
        made = socket.socket(*kind)  # without its protocol asyncio would leave Nagle's delay on
    except (OSError, UnicodeError) as error:  # a name of no, or too many, letters between dots
        fine = "expected an address of this machine"
        raise SetupFailed(doing, _why(error), fine, "Pass --host 127.0.0.1.") from None
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        made.bind(place)
    except OSError as error:
        made.close()
        todo = "Pass another --port; 0 takes a free one."
        raise SetupFailed(doing, _why(error), "expected a free port", todo) from None
    return made


def origin_of(bound: socket.socket) -> str:
    """Return the address at which a socket of this machine is reached: http://127.0.0.1:8000."""
    host, port = bound.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _why(error: OSError | UnicodeError) -> str:
    words = error.strerror if isinstance(error, OSError) else "it is no name of a machine"
    return (words or str(error)).lower()
