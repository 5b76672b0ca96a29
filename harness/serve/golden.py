"""How is a server offered that has no model? `--sut simulated`: the golden server, which sends
known tokens at known times, keeps the moments at which it sent them, and misbehaves on request.

Options are its settings (`sut.golden.answers.settings`): ttft_ms, per_token_ms, tokens and so on.
`fault=NAME` strikes query `fault_at` (6 unless said) or, with `fault_at=*`, all of them.
"""

from __future__ import annotations

import json
import signal
import socket
from collections.abc import Callable, Mapping
from contextlib import closing
from typing import Any

import msgspec

from harness.kernel.errors import BadInput, unknown
from harness.kernel.process import stopping
from sut.golden.answers.faults import TABLE
from sut.golden.answers.settings import Settings, changed
from sut.golden.server import Server

_BACKLOG = 4096
_FAULT_AT = "6"  # as in `sut.simulated`


def golden(options: Mapping[str, Any], key: str) -> Settings:
    """Return the settings that options name. Raises BadInput."""
    given = dict(options)
    name, where = given.pop("fault", None), str(given.pop("fault_at", _FAULT_AT))
    if name is not None:
        if name not in TABLE:
            raise unknown("--sut-option fault", str(name), TABLE)
        given["faults"] = {where: name}
    try:
        return changed(Settings(key=key), json.dumps(given).encode())
    except msgspec.MsgspecError as error:
        known = "known: " + ", ".join(Settings.__struct_fields__)
        raise BadInput("--sut-option", str(error), known) from None


def serve_golden(settings: Settings, bound: socket.socket, ready: Callable[[], None]) -> int:
    """Serve at this socket until told to stop; return the exit code."""
    heard: list[int] = []
    bound.listen(_BACKLOG)
    server = Server(bound, settings)
    with stopping.handled(lambda number, _: heard.append(number)), closing(server):
        ready()
        server.run(lambda: bool(heard))
    return stopping.STOPPED if heard[0] == signal.SIGINT else 0
