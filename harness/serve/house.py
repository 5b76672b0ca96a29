"""What do all requests share? The engine's desk, the tokenizer's texts, the names of the model, and
who may ask.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import msgspec
from starlette.requests import Request

from harness.kernel.clock import utc_now
from harness.serve.asking.prompts import Prompts
from harness.serve.desk import Desk
from harness.serve.refusals import Refusal
from sut.prompts.words import Words

MOST_BYTES = 32 * 2**20  # of a request's body
ANY = "*"  # an alias that stands for every name


@dataclass(slots=True)
class House:
    """`names` are those of the model: the first is its own, the rest are aliases. `short_name` is
    taken as well and not listed: a client that finds one model needs not be told which.
    """

    desk: Desk
    prompts: Prompts
    words: Words
    tokenizer: Any
    names: tuple[str, ...]
    version: str
    key: str = field(default="", repr=False)
    short_name: str = ""
    most_bytes: int = MOST_BYTES
    created: int = field(default_factory=lambda: int(utc_now().timestamp()))

    @property
    def name(self) -> str:
        return self.names[0]

    def check_key(self, headers: Mapping[str, str]) -> None:
        """Raise Refusal for a request without the key, if there is one."""
        if not self.key:
            return
        kind, _, said = headers.get("authorization", "").partition(" ")
        said = said if kind.lower() == "bearer" else headers.get("x-api-key", "")
        if not hmac.compare_digest(said.strip().encode(), self.key.encode()):
            reason = "the API key is missing or wrong; send it as Authorization: Bearer KEY."
            raise Refusal(reason, status=401, headers={"www-authenticate": "Bearer"})

    def check_model(self, name: str) -> str:
        """Return the name that answers go by. Raises Refusal for a model that is not served."""
        if not name or name in (*self.names, self.short_name) or ANY in self.names:
            return name or self.name
        known = ", ".join(self.names)
        reason = f"the model {name[:200]!r} does not exist here; known: {known}."
        raise Refusal(reason, "model", 404)

    async def body(self, request: Request) -> dict[str, Any]:
        """Return the object that a request holds. Raises Refusal."""
        data = await self._data(request)
        try:
            found = msgspec.json.decode(data)
        except (ValueError, RecursionError):
            found = _otherwise(data)
        if not isinstance(found, dict):
            raise Refusal("the body is not a JSON object.")
        return found

    async def _data(self, request: Request) -> bytes:
        said = request.headers.get("content-length", "0")
        if said.isdecimal() and int(said) > self.most_bytes:
            raise self._too_large()
        parts, size = [], 0
        async for part in request.stream():
            size += len(part)
            if size > self.most_bytes:
                raise self._too_large()
            parts.append(part)
        return b"".join(parts)

    def _too_large(self) -> Refusal:
        reason = f"the body is larger than {self.most_bytes:,} bytes."
        return Refusal(reason, status=413, headers={"connection": "close"})


def _otherwise(data: bytes) -> Any:
    """Read what msgspec refuses and Python takes: halves of surrogate pairs, as some clients write
    them; they become U+FFFD.
    """
    try:
        text = data.decode("utf-8", "replace")
        whole = json.dumps(json.loads(text), ensure_ascii=False)
        return json.loads(whole.encode("utf-8", "replace"), parse_constant=_refuse)
    except (ValueError, RecursionError):
        raise Refusal("the body is not JSON.") from None


def _refuse(word: str) -> Any:
    raise ValueError(word)


def all_names(name: str, aliases: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names of a model, each once."""
    return tuple(dict.fromkeys(chain((name,), aliases)))
