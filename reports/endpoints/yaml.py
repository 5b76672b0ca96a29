"""Values as YAML, for people and programs: mappings and lists in blocks, words in JSON's quotes,
which YAML understands.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

_STEP = "  "


def text(value: Mapping[str, Any]) -> str:
    """Return a document."""
    return "\n".join(_lines(value, "")) + "\n"


def _lines(value: Mapping[str, Any], indent: str) -> list[str]:
    lines = []
    for key, one in value.items():
        if isinstance(one, Mapping) and one:
            lines += [f"{indent}{key}:", *_lines(one, indent + _STEP)]
        elif isinstance(one, Sequence) and not isinstance(one, str) and one:
            lines += [f"{indent}{key}:", *_items(one, indent)]
        else:
            lines.append(f"{indent}{key}: {json.dumps(one, allow_nan=False)}")
    return lines


def _items(values: Sequence[Any], indent: str) -> list[str]:
    lines = []
    for value in values:
        if isinstance(value, Mapping):
            first, *rest = _lines(value, indent + _STEP)
            lines += [f"{indent}- {first.strip()}", *rest]
        else:
            lines.append(f"{indent}- {json.dumps(value, allow_nan=False)}")
    return lines
