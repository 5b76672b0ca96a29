"""What does the server say of itself? Its /metrics, once a second, on a thread of the sampler's
process: a server that takes long to answer holds up nothing else.
"""

from __future__ import annotations

import http.client
import os
from collections.abc import Mapping
from contextlib import suppress
from threading import Event, Thread
from typing import Any
from urllib.parse import urlsplit

from harness.engine.server_view import names
from harness.kernel.clock import RealClock
from harness.kernel.privacy import tls

KEY_VARIABLE = "TOUCHSTONE_SCRAPE_KEY"  # tells the sampler's process the key; nothing else does
_INTERVAL_NS = 1_000_000_000
_LIMIT_S = 5.0
_LAST_S = 1.0  # for the page at the end
_MOST_BYTES = 1 << 23
_now_ns = RealClock.now_ns


class Scraper:
    """Reads a page again and again. `where` has `url`, `ca_file` and `is_checked`."""

    def __init__(self, where: Mapping[str, Any]) -> None:
        self._where, self._url = where, urlsplit(where["url"])
        key = os.environ.get(KEY_VARIABLE, "")
        self._headers = {"authorization": f"Bearer {key}"} if key else {}
        self._connection: http.client.HTTPConnection | None = None
        self._row: dict[str, float] | None = None
        self._over = Event()
        self._thread = Thread(target=self._run, daemon=True)
        self._thread.start()

    def take(self) -> dict[str, float]:
        """Return what was read last, once: nothing where no page has come since."""
        row, self._row = self._row, None
        return row or {}

    def finish(self) -> None:
        """Read once more and end; a server that does not answer now is not waited for."""
        self._over.set()
        self._thread.join(_LAST_S)

    def _run(self) -> None:
        next_ns = _now_ns()
        while not self._over.is_set():
            self._read()
            next_ns = max(next_ns + _INTERVAL_NS, _now_ns())
            self._over.wait((next_ns - _now_ns()) / 1e9)
        self._read()
        self._forget()

    def _read(self) -> None:
        begun_ns = _now_ns()
        page = self._page()
        if page is not None and (row := names.values(page)):
            self._row = {**row, "server_scrape_ms": (_now_ns() - begun_ns) / 1e6}

    def _page(self) -> str | None:
        """Return the page as it is now; None where it cannot be had."""
        try:
            if self._connection is None:
                self._connection = self._connected()
            self._connection.request("GET", self._url.path, headers=self._headers)
            response = self._connection.getresponse()
            body = response.read(_MOST_BYTES)
        except (OSError, ValueError, http.client.HTTPException):  # ValueError: a name, a length
            self._forget()
            return None
        is_good = response.status == 200 and _is_whole(response, len(body))
        if not is_good or not response.isclosed():
            self._forget()
        return body.decode(errors="replace") if is_good else None

    def _connected(self) -> http.client.HTTPConnection:
        host, port = self._url.hostname or "", self._url.port
        if self._url.scheme != "https":
            return http.client.HTTPConnection(host, port, timeout=_LIMIT_S)
        context = tls.context(self._where["ca_file"], self._where["is_checked"])
        return http.client.HTTPSConnection(host, port, timeout=_LIMIT_S, context=context)

    def _forget(self) -> None:
        """Close the connection: the next page comes over a new one."""
        if self._connection is not None:
            with suppress(OSError):
                self._connection.close()
        self._connection = None


def _is_whole(response: http.client.HTTPResponse, size_bytes: int) -> bool:
    """Tell whether all of a body was read: a page that was cut may end within a number."""
    ends_with_connection = response.length is None and size_bytes < _MOST_BYTES
    return response.isclosed() or ends_with_connection
