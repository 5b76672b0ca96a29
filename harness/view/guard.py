"""Who may ask, and what may a page do? Requests for this machine by name, that only read; pages
that load nothing from anywhere else.

The server listens on loopback alone, but a browser asks it on behalf of any site that its user
visits. A site whose name leads to 127.0.0.1 (DNS rebinding) shows in the Host header; another
site's script or picture in Sec-Fetch-Site. Both are refused.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_NAMES = ("127.0.0.1", "localhost", "[::1]")
_METHODS = ("GET", "HEAD")
_LONGEST = 16_384  # of an address, in bytes
OURS = (  # of the pages with our own script
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:;"
    " connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
THEIRS = (  # of pages that lie in a run folder: no script, no form, an origin of their own
    "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'none';"
    " base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "content-security-policy": OURS,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}


class Guard:
    """Refuses what nobody on this machine asks for, and adds the headers to every answer."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return

        async def answer(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(raw=message.setdefault("headers", []))
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        if refusal := refused(scope["method"], Headers(scope=scope), scope.get("raw_path", b"")):
            await PlainTextResponse(refusal[1] + "\n", refusal[0])(scope, receive, answer)
            return
        await self._app(scope, receive, answer)


def refused(method: str, headers: Headers, address: bytes = b"") -> tuple[int, str] | None:
    """Return the status and the reason for which a request is refused; None if it may pass."""
    if method not in _METHODS:
        return 405, "These pages can only be read."
    if not is_of_this_machine(headers.getlist("host")):
        return 421, "This server answers to 127.0.0.1 and localhost alone."
    is_foreign = headers.get("sec-fetch-site", "none") not in ("same-origin", "none")
    if is_foreign and headers.get("sec-fetch-mode") != "navigate":
        return 403, "Another site may not read these pages."
    if len(address) > _LONGEST:
        return 414, "The address is too long."
    return None


def is_of_this_machine(hosts: list[str]) -> bool:
    """Tell whether a request names this machine, at any port: a tunnel has one of its own."""
    if len(hosts) != 1:
        return False
    host = hosts[0].lower()
    name, colon, port = host.rpartition(":") if not host.endswith("]") else (host, "", "")
    if not colon:
        return host in _NAMES
    return name in _NAMES and port.isascii() and port.isdecimal()
