"""What would a broken disk, a careless script or an attacker make of a value, a text or a file?"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

HIDDEN = ("\x1b[2J", "\x1b]0;t\x07", "\x9b1m", "\u202e", "\u200b", "\x00", "\r", "\x7f", "\ufeff")
ODD_TEXTS = (
    "", " ", "\n", "\t", "a", "~", "~x", "~root", ".", "..", "../..", "/", "//", "/dev/null",
    "/proc/self/mem", "\\", "C:\\x", "a:b", ":", "://", "http://", "qa", "fp32", "server",
    "[/x]", "[bold]", "{0}", "{x}", "{{ x }}", "%s", "%", "$x$", "$(x)", "`", "'", '"', "<b>", "&",
    "null", "None", "nan", "inf", "-inf", "true", "1", "0", "-1", "1e999", "1_000", "0x10", "٣",
    "1,2", ",", ",,", "=1+1", "--", "-", "--x", "*", "a" * 300, "é", "世界", "👩‍💻", "ß" * 20,
    "café\udce9", "\ud800", *HIDDEN,
)  # fmt: skip
ODD_NUMBERS = (
    0, 1, -1, 2, 3, 64, 1000, 2**31 - 1, 2**31, 2**32, 2**53 + 1, 2**63 - 1, 2**63, 2**64, -(2**63),
    10**30, 0.0, -0.0, 0.5, -0.5, 1e-300, 1e300, float("inf"), float("-inf"), float("nan"),
)  # fmt: skip
ODD_BYTES = (
    b"\x00", b"\xff", b"\xff\xfe", b"\xfe\xff", b"\xef\xbb\xbf", b"\xc3\x28", b"\xed\xa0\x80",
    b"PAR1", b"GGUF", b"PK\x03\x04", b"\x1f\x8b", b"\x00" * 8, b"\xff" * 8, b"\xff" * 4,
    b"\x7f" + b"\xff" * 7, b"\x80\x00\x00\x00", b"\n", b"\r\n", b"{", b"}", b"[", b'"',
)  # fmt: skip


def odd(rng: Random) -> Any:
    """Return a value of any JSON type, seldom one that anybody expects."""
    makers: Sequence[Callable[[], Any]] = (
        lambda: rng.choice(ODD_TEXTS),
        lambda: rng.choice(ODD_NUMBERS),
        lambda: rng.choice((None, True, False)),
        lambda: [odd(rng) for _ in range(rng.randrange(4))],
        lambda: {rng.choice(ODD_TEXTS): odd(rng) for _ in range(rng.randrange(3))},
        lambda: nested(rng.choice((3, 30, 900))),
    )
    return rng.choices(makers, (6, 6, 3, 2, 2, 1))[0]()


def nested(depth: int) -> Any:
    """Return a list in a list in a list."""
    value: Any = []
    for _ in range(depth):
        value = [value]
    return value


def bent(value: Any, rng: Random, times: int = 1) -> Any:
    """Return a JSON value that was changed in some places; the one given stays as it is."""
    value = json.loads(json.dumps(value))
    for _ in range(times):
        value = _bent_once(value, rng)
    return value


def _bent_once(value: Any, rng: Random) -> Any:
    """Change one place: it becomes odd, goes, or gets company. Large parts are not likelier."""
    if isinstance(value, dict) and value and rng.random() < 0.9:
        key = rng.choice(list(value))
        match rng.randrange(8):
            case 0:
                del value[key]
            case 1:
                value[rng.choice(ODD_TEXTS)] = odd(rng)
            case 2:
                value[key] = odd(rng)
            case _:
                value[key] = _bent_once(value[key], rng)
        return value
    if isinstance(value, list) and value and rng.random() < 0.8:
        at = rng.randrange(len(value))
        match rng.randrange(6):
            case 0:
                del value[at]
            case 1:
                value.insert(at, odd(rng))
            case 2:
                value *= 2
            case _:
                value[at] = _bent_once(value[at], rng)
        return value
    return _near(value, rng)


def _near(value: Any, rng: Random) -> Any:
    """Return something else of the same type, or of another one."""
    if rng.random() < 0.5:
        return odd(rng)
    if isinstance(value, bool) or value is None:
        return odd(rng)
    if isinstance(value, str):
        return torn(value, rng)
    if isinstance(value, int | float):
        return rng.choice((-value, value * 1000, value + 1, str(value), [value], float(value)))
    return odd(rng)


def torn(text: str, rng: Random) -> str:
    """Return a text in which a few things went wrong."""
    for _ in range(rng.choice((1, 1, 2, 4))):
        lines = text.split("\n")
        at, line = rng.randrange(len(text) + 1), rng.randrange(len(lines))
        match rng.randrange(9):
            case 0:
                text = text[:at]
            case 1:
                text = text[:at] + rng.choice(ODD_TEXTS) + text[at:]
            case 2:
                text = text[:at] + str(rng.choice(ODD_NUMBERS)) + text[at:]
            case 3:
                text = "\n".join(lines[:line] + lines[line + 1 :])
            case 4:
                text = "\n".join([*lines[: line + 1], *lines[line:]])
            case 5:
                text = text[:at] + text[at + rng.choice((1, 2, 20)) :]
            case 6:
                text = text[:at] + rng.choice("\"'[]{}(),:=#.*\\\n\t ") + text[at:]
            case 7:
                rng.shuffle(lines)
                text = "\n".join(lines)
            case 8:
                words = text.split(" ")
                words[rng.randrange(len(words))] = rng.choice(ODD_TEXTS)
                text = " ".join(words)
    return text


def rotten(data: bytes, rng: Random) -> bytes:
    """Return bytes of which a few were changed, lost or added."""
    made = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 8))):
        at = rng.randrange(len(made) + 1)
        match rng.randrange(7):
            case 0:
                del made[at:]
            case 1 | 2 if at < len(made):
                made[at] ^= 1 << rng.randrange(8)
            case 3:
                made[at:at] = rng.choice(ODD_BYTES)
            case 4:
                piece = rng.choice(ODD_BYTES)
                made[at : at + len(piece)] = piece
            case 5:
                del made[at : at + rng.choice((1, 4, 8, 100))]
            case _:
                made[at:at] = made[max(0, at - 64) : at]
    return bytes(made)


def raw(text: str) -> bytes:
    """Return the bytes of a text, half surrogate pairs included."""
    return text.encode("utf-8", errors="surrogatepass")
