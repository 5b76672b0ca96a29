"""Which pages are there besides the answers? Models, health, metrics, and the golden server's own
settings.
"""

from __future__ import annotations

from typing import Any

import msgspec

from sut.golden import metrics
from sut.golden.answers.manners import Manner
from sut.golden.answers.scripts import response
from sut.golden.answers.settings import Settings
from sut.golden.connection import Request

_FREE = ("/health", "/ping", "/metrics", "/golden")  # no key is needed


def is_free(path: str) -> bool:
    """Is this path open to everybody?"""
    return path.startswith(_FREE)


def error(status: int, message: str, manner: Manner) -> bytes:
    """Return an HTTP error in the server's shape."""
    facts: dict[str, Any] = {
        "message": message,
        "type": "BadRequestError" if status == 400 else "Error",
        "param": None,
        "code": status,
    }
    body = {"error": facts} if manner.error == "nested" else {"object": "error", **facts}
    return _json(body, manner, status)


def page(
    request: Request,
    settings: Settings,
    manner: Manner,
    counts: metrics.Counts,
    created: int,
) -> bytes:
    """Return the page that a path names."""
    path = request.path.partition("?")[0]
    match path:
        case "/health" | "/ping":
            return response(200, b"", server=manner.server)
        case "/v1/models":
            return _json(_models(settings, created), manner)
        case "/version":
            return _json({"version": "golden"}, manner)
        case "/metrics" if manner.metrics:
            text = metrics.page(manner.metrics, settings.model, counts)
            return response(200, text, "text/plain; version=0.0.4", server=manner.server)
        case "/golden/settings":
            return _json(msgspec.to_builtins(settings) | {"key": ""}, manner)
        case _:
            return error(404, "Not Found", manner)


def _models(settings: Settings, created: int) -> dict[str, Any]:
    row = {
        "id": settings.model,
        "object": "model",
        "created": created,
        "owned_by": settings.like,
        "root": settings.model,
        "max_model_len": settings.context,
    }
    return {"object": "list", "data": [row]}


def _json(body: Any, manner: Manner, status: int = 200) -> bytes:
    return response(status, msgspec.json.encode(body), server=manner.server)
