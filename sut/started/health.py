"""Is the server at a port of this machine healthy, is it the one that we mean, and which is it?

All servers that we know answer GET /health with 200 as soon as they take requests (llama.cpp with
503 while it loads). Which one it is shows by the address that tells its version.
"""

from __future__ import annotations

import http.client
from collections.abc import Iterator, Mapping
from contextlib import closing, suppress
from typing import Any, NamedTuple

import psutil

from harness.kernel.foreign.parsed import loads

_TIMEOUT_S = 2.0
_MOST_BYTES = 1 << 20
_HEALTHY = 200


class _Tells(NamedTuple):
    """Where a kind of server says which it is: a path, the key of its version, and a key that no
    other kind has there.
    """

    name: str
    path: str
    key: str
    only: str = ""


_TELLS: Mapping[str, _Tells] = {
    "llama-server": _Tells("llama.cpp", "/props", "build_info"),
    "sglang": _Tells("SGLang", "/server_info", "version", "tokenizer_path"),
    "tgi": _Tells("TGI", "/info", "version", "model_id"),
    "ollama": _Tells("Ollama", "/api/version", "version"),
    "vllm": _Tells("vLLM", "/version", "version"),  # last: others have this path as well
}
_USUAL_PORTS = (8000, 8080, 30000, 11434, 1234, 3000)  # the last: TGI; 1234: LM Studio


class Found(NamedTuple):
    """A server that answers on this machine."""

    url: str
    name: str  # with its version; "" = it does not tell
    models: tuple[str, ...]


def is_good(port: int, pid: int) -> bool:
    """Say whether the server that the process `pid` has started takes requests at `port`."""
    return _get(port, "/health")[0] == _HEALTHY and _listens(pid, port)


def version(kind: str, port: int) -> str:
    """Return what a server says of its version; "" if it does not."""
    tells = _TELLS.get(kind)
    return "" if tells is None else _told(port, tells)


def found() -> Iterator[Found]:
    """Yield the servers of the OpenAI API at the usual ports of this machine."""
    for port in _USUAL_PORTS:
        status, body = _get(port, "/v1/models")
        listed = _json(body).get("data")
        if status == _HEALTHY and isinstance(listed, list):
            models = tuple(str(row.get("id")) for row in listed if isinstance(row, dict))
            yield Found(f"http://localhost:{port}/v1", _name(port), models)


def _name(port: int) -> str:
    """Return the kind of a server and its version."""
    for tells in _TELLS.values():
        if told := _told(port, tells):
            return f"{tells.name} {told}"
    return ""


def _told(port: int, tells: _Tells) -> str:
    held = _json(_get(port, tells.path)[1])
    is_it = not tells.only or tells.only in held
    return str(held.get(tells.key, "")) if is_it else ""


def _get(port: int, path: str) -> tuple[int, bytes]:
    """Ask for a path; (0, b"") where nobody answers in time."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_TIMEOUT_S)
    with closing(connection), suppress(OSError, http.client.HTTPException):
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read(_MOST_BYTES)
    return 0, b""


def _json(body: bytes) -> dict[str, Any]:
    """Return the object that a body is; an empty one if it is none."""
    with suppress(ValueError):
        held = loads(body)
        return held if isinstance(held, dict) else {}
    return {}


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
