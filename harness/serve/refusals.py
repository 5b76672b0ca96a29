"""Why does a client get no answer? A status, a sentence and the field it is about.

The body is OpenAI's shape, which all of their clients read; `code` is the status as a number, since
Inspect sorts errors in a stream by it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    404: "not_found_error",
    405: "invalid_request_error",
    413: "invalid_request_error",
    429: "rate_limit_error",
    503: "overloaded_error",
}


class Refusal(Exception):
    """Raised wherever a request turns out not to be answered."""

    def __init__(
        self,
        message: str,
        param: str | None = None,
        status: int = 400,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.message, self.param, self.status = message, param, status
        self.headers = dict(headers or {})

    def body(self) -> dict[str, Any]:
        """Return the object that the client gets."""
        kind = _TYPES.get(self.status, "server_error")
        return {
            "error": {
                "message": self.message,
                "type": kind,
                "param": self.param,
                "code": self.status,
            }
        }


def busy(message: str, seconds: int, status: int = 429) -> Refusal:
    """Refuse for now; the client may ask again after so many seconds."""
    return Refusal(message, None, status, {"retry-after": str(seconds)})
