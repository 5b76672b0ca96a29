"""What does a JSON file say that somebody else may have written? Its size and the depth of its
nesting have limits: a parser may take all memory for what is a few bytes on the disk, and code that
walks a deep value ends in a RecursionError somewhere else.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from harness.kernel.foreign.own_files import MOST_BYTES, read_bytes

MOST_DEPTH = 100  # what we write is at most 12 deep


def loads(text: str | bytes) -> Any:
    """Return what the JSON says. Raises ValueError if it is none, or nested too deeply."""
    try:
        value = json.loads(text)
    except RecursionError:
        raise too_deep() from None
    check_depth(value)
    return value


def read_json(path: Path, at_most: int = MOST_BYTES) -> Any:
    """Return what a JSON file of a folder says. Raises BadInput if it is no file of its own or too
    large, OSError, and ValueError if it is damaged.
    """
    return loads(read_bytes(path, at_most).decode())


def check_depth(value: Any) -> None:
    """Raise ValueError if lists and objects are nested deeper than MOST_DEPTH."""
    level = _nested([value])
    for _ in range(MOST_DEPTH):
        level = _nested(inner for outer in level for inner in _inside(outer))
        if not level:
            return
    raise too_deep()


def too_deep() -> ValueError:
    return ValueError(f"its lists and objects are nested more than {MOST_DEPTH} deep")


def _nested(values: Iterable[Any]) -> list[Any]:
    """Return those of them that have values inside."""
    return [value for value in values if isinstance(value, dict | list)]


def _inside(value: dict[Any, Any] | list[Any]) -> Iterable[Any]:
    return value.values() if isinstance(value, dict) else value
