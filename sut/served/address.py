"""Where is the server, and how is it spoken to? A base URL, taken apart.

    http://localhost:8000/v1    the paths of the API follow: /v1/chat/completions
    http://localhost:8000       the same, with /v1 added

The key stands in an environment variable. It is in no field that is shown or written, and hidden
wherever it turns up from then on: some servers tell it back when they refuse it.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from harness.kernel.errors import BadInput
from harness.kernel.privacy import secrets

KEYS = ("TOUCHSTONE_API_KEY", "OPENAI_API_KEY")  # the first that is set counts
_PORTS = {"http": 80, "https": 443}
_FINE = "expected something like http://localhost:8000/v1"


@dataclass(frozen=True, slots=True)
class Address:
    host: str
    port: int
    is_tls: bool
    path: str  # "/v1": what stands before /chat/completions
    key: str = field(default="", repr=False)
    ca_file: str = ""  # "" = those of the system
    is_checked: bool = True  # the certificate

    @property
    def url(self) -> str:
        """The base URL, without secrets."""
        return f"{self.root}{self.path}"

    @property
    def root(self) -> str:
        """The server itself, where /health and /metrics are."""
        scheme = "https" if self.is_tls else "http"
        return f"{scheme}://{self.authority}"

    @property
    def authority(self) -> str:
        """Host and port, as the head of a request names them."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return (
            host
            if self.port == _PORTS["https" if self.is_tls else "http"]
            else f"{host}:{self.port}"
        )


def address(
    url: str, key_variable: str = "", ca_file: str = "", is_checked: bool = True
) -> Address:
    """Return the parts of a base URL. Raises BadInput."""
    doing = f"--base-url {url}"
    text = url if "://" in url else f"http://{url}"
    try:
        parts = urlsplit(text)
        port = parts.port
        (parts.hostname or "").encode("idna")  # as every look-up does
    except UnicodeError:
        raise BadInput(doing, "its host can be no name of a host", _FINE) from None
    except ValueError as error:
        raise BadInput(doing, str(error), _FINE) from None
    if parts.scheme not in _PORTS or not parts.hostname:
        raise BadInput(doing, "it is no http or https address", _FINE)
    if parts.username or parts.password:
        found = "it holds a user name or a password, which would be written down"
        raise BadInput("--base-url", found, f"the key stands in {KEYS[0]}", "Leave it out.")
    if parts.query or parts.fragment:
        raise BadInput(doing, "it has a query or a fragment", _FINE)
    return Address(
        host=parts.hostname,
        port=port or _PORTS[parts.scheme],
        is_tls=parts.scheme == "https",
        path=parts.path.rstrip("/") or "/v1",
        key=_key(key_variable),
        ca_file=ca_file,
        is_checked=is_checked,
    )


def _key(variable: str) -> str:
    """Return the key. Raises BadInput for a variable that is named and not set, and for a key that
    no header can hold, such as one with the line break of its file.
    """
    if variable and variable not in os.environ:
        raise BadInput(
            f"--api-key-env {variable}", "it is not set", "", f"Run: export {variable}=…"
        )
    name = variable or next((name for name in KEYS if os.environ.get(name)), "")
    key = os.environ.get(name, "")
    if not (key.isascii() and key.isprintable()):
        found = "it holds a line break or another character that no header can hold"
        raise BadInput(f"the API key in {name}", found, "", "Set it again, without that.")
    secrets.also(key)
    return key
