"""Is the server at a port of this machine healthy, and is it the one that we mean?

All servers that we start answer GET /health with 200 as soon as they take requests (llama.cpp with
503 while it loads). Somebody else's server may have the port: ours is the one that listens there.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import psutil

from sut.served.address import Address
from sut.served.once import exchange

_TIMEOUT_S = 2.0
_HEALTHY = 200


def local(port: int) -> Address:
    """Return the address of a server of this machine, which is told no key."""
    return Address("127.0.0.1", port, is_tls=False, path="/v1")


def is_good(port: int, pid: int) -> bool:
    """Say whether the server that the process `pid` has started takes requests at `port`."""
    heard = exchange(local(port), "GET", "/health", timeout_s=_TIMEOUT_S)
    return heard.status == _HEALTHY and _listens(pid, port)


def _listens(pid: int, port: int) -> bool:
    """Say whether one of the processes that `pid` has started has the port; where the system does
    not tell, it is believed.
    """
    with suppress(psutil.Error):
        for process in psutil.Process(pid).children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                if any(_is_listener(each, port) for each in process.net_connections("inet")):
                    return True
        return False
    return True


def _is_listener(connection: Any, port: int) -> bool:
    return bool(connection.status == psutil.CONN_LISTEN and connection.laddr.port == port)
