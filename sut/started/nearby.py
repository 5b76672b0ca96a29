"""Which servers of the OpenAI API run on this machine? Those at the usual ports are asked.

8000 vLLM, TensorRT-LLM, Touchstone · 8080 llama.cpp, TGI · 30000 SGLang · 11434 Ollama · 1234 LM
Studio · 3000 TGI. No key is sent: what listens there may be anything.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple

from harness.kernel.errors import SetupFailed
from sut.served.address import Address
from sut.served.once import exchange
from sut.served.probing import who
from sut.started.health import local

PORTS = (8000, 8080, 30000, 11434, 1234, 3000)


_TIMEOUT_S = 2.0
_FOUND, _WANTS_KEY = 200, (401, 403)


class Nearby(NamedTuple):
    """A server. `name` has its version; "" = it does not tell."""

    url: str
    name: str
    models: tuple[str, ...] = ()
    wants_key: bool = False


def servers() -> Iterator[Nearby]:
    """Yield those that list models, or want a key before they do."""
    for port in PORTS:
        address = local(port)
        heard = exchange(address, "GET", f"{address.path}/models", timeout_s=_TIMEOUT_S)
        if heard.status in _WANTS_KEY:
            yield Nearby(address.url, "", wants_key=True)
        with suppress(SetupFailed):  # it has ended meanwhile
            listed = who.listed(address) if heard.status == _FOUND else None
            if listed is not None and listed.is_told:
                yield Nearby(address.url, _name(address, listed), tuple(listed.names))


def _name(address: Address, listed: who.Listed) -> str:
    itself = who.who(address, next(iter(listed.names), ""), listed)
    return " ".join(filter(None, (itself.server, itself.version)))
