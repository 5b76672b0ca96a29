"""How do a driver and a listener know each other? Each proves that it has the key, which is never
sent: it signs a number that the other has just made up (HMAC-SHA256). Then they compare versions.

    listener    {"touchstone": "client", "number": n}
    driver      {"number": m, "proof": HMAC(key, "driver" n), "versions": {...}}
    listener    {"proof": HMAC(key, "listener" m), "versions": {...}}      or    {"refused": words}

One JSON object per line; afterwards the connection is the worker's.
"""

from __future__ import annotations

import hmac
import json
import os
import secrets
from socket import socket as Socket
from typing import Any

from harness.kernel.machine import installed

KEY = "TOUCHSTONE_CLIENT_KEY"  # the environment variable that has the key, on both sides
TIMEOUT_S = 5.0
_LONGEST = 4096  # bytes of a line


class Refused(Exception):
    """Why the two do not go together: a clause for an error."""


def key() -> str:
    """Return the key; "" where none is set, which does among programs of one machine."""
    return os.environ.get(KEY, "")


def met_by_driver(connection: Socket) -> None:
    """Let the listener know us, and know it. Raises Refused, OSError."""
    theirs = _heard(connection)
    if theirs.get("touchstone") != "client":
        raise Refused("what listens there is no `harness client`")
    number = secrets.token_hex(16)
    proof = _proof("driver", str(theirs.get("number")))
    _say(connection, {"number": number, "proof": proof, "versions": installed.versions()})
    answer = _heard(connection)
    if "refused" in answer:
        raise Refused(str(answer["refused"]))
    if not hmac.compare_digest(str(answer.get("proof")), _proof("listener", number)):
        raise Refused(f"it does not have the key of this side ({KEY})")
    if other := installed.differing(dict(answer["versions"])):
        raise Refused(f"it has {other}")


def met_by_listener(connection: Socket) -> None:
    """Let a driver know us, and know it. Raises Refused, OSError."""
    number = secrets.token_hex(16)
    _say(connection, {"touchstone": "client", "number": number})
    theirs = _heard(connection)
    if not hmac.compare_digest(str(theirs.get("proof")), _proof("driver", number)):
        words = f"the keys differ; {KEY} must be the same on both machines"
        _say(connection, {"refused": words})
        raise Refused("it does not have the key")
    proof = _proof("listener", str(theirs.get("number")))
    _say(connection, {"proof": proof, "versions": installed.versions()})


def _proof(who: str, number: str) -> str:
    return hmac.new(key().encode(), f"{who} {number}".encode(), "sha256").hexdigest()


def _say(connection: Socket, what: dict[str, Any]) -> None:
    connection.sendall(json.dumps(what).encode() + b"\n")


def _heard(connection: Socket) -> dict[str, Any]:
    """Return the next line, and not a byte of what follows it."""
    line = bytearray()
    while not line.endswith(b"\n"):
        byte = connection.recv(1)
        if not byte or len(line) >= _LONGEST:
            raise Refused("it said nothing that we understand")
        line += byte
    try:
        found = json.loads(line)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise Refused("it said nothing that we understand")
    return found
