"""Are the values in a file of the types that its schema declares (harness/schema/*.schema.json)?

What reads a file checks it here, once, so that a text where a number belongs is said with its place
instead of breaking a sum elsewhere. Fields that are absent or not known are no matter: older and
newer versions write others. Only the keywords are understood that `harness.schema.parts` writes.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from harness.kernel.errors import BadInput
from harness.kernel.foreign import parsed

_SCHEMAS = Path(__file__).parents[2] / "schema"
_MOST = 2**64  # what numpy and Parquet hold; Python itself has no limit
_WORDS = {
    "object": "an object", "array": "a list", "string": "a text", "integer": "a whole number",
    "number": "a number", "boolean": "true or false", "null": "null",
}  # fmt: skip
_SHOWN = 60  # characters of a value
Schema = Mapping[str, Any]


class Mistake(NamedTuple):
    """Where a value stands, the value, and what would be fine."""

    place: str
    value: Any
    fine: str

    def __str__(self) -> str:
        seen = ascii(self.value)
        cut = seen if len(seen) <= _SHOWN else f"{seen[:_SHOWN]}..."
        return f"{self.place or 'the whole'} is {cut}"


def hold(value: Any, schema: str, doing: str, of: str = "", within: str = "") -> None:
    """Refuse a value of other types than the schema (`result`, or a part: `result.memory`) has.
    Raises BadInput that says where: `within` is the name of the file or field.
    """
    check_depth(value, doing)
    found = mistake(value, schema, of)
    if found is None:
        return
    place = ".".join(filter(None, (within, found.place)))
    what = str(found._replace(place=place))
    raise BadInput(doing, what, f"expected {found.fine}", "Restore the file, or run again.")


def check_depth(value: Any, doing: str) -> None:
    """Refuse what is nested deeper than anything that a run writes. Raises BadInput."""
    try:
        parsed.check_depth(value)
    except ValueError as error:
        fine = "expected the file of a run"
        raise BadInput(doing, str(error), fine, "Restore the file, or run again.") from None


def mistake(value: Any, schema: str, of: str = "") -> Mistake | None:
    """Return the first value that is not of its type; None if all are. `of` names a part of the
    schema: `settings.run` is what stands under "settings" under "run".
    """
    whole = _schema(schema)
    part = whole
    for name in filter(None, of.split(".")):
        part = _resolved(part, whole)["properties"][name]
    return next(_mistakes(value, part, whole, ""), None)


@cache
def _schema(name: str) -> Schema:
    found: Schema = json.loads((_SCHEMAS / f"{name}.schema.json").read_text(encoding="utf-8"))
    return found


def _resolved(part: Schema, whole: Schema) -> Schema:
    while "$ref" in part:
        part = whole["$defs"][part["$ref"].rpartition("/")[2]]
    return part


def _mistakes(value: Any, part: Schema, whole: Schema, place: str) -> Iterator[Mistake]:
    part = _resolved(part, whole)
    if "anyOf" in part:
        found = [next(_mistakes(value, one, whole, place), None) for one in part["anyOf"]]
        if all(found):
            yield from (one for one in found[:1] if one is not None)
        return
    if not _is_one_of(value, part):
        yield Mistake(place, value, _fine(part))
    elif isinstance(value, dict):
        yield from _inside(value, part, whole, place)
    elif isinstance(value, list) and "items" in part:
        for i, item in enumerate(value):
            yield from _mistakes(item, part["items"], whole, f"{place}[{i}]")


def _inside(value: Mapping[str, Any], part: Schema, whole: Schema, place: str) -> Iterator[Mistake]:
    """Yield the mistakes in the fields that the schema knows, and in those whose names are free."""
    known, others = part.get("properties", {}), part.get("additionalProperties")
    for name, item in value.items():
        described = known.get(name, others)
        if isinstance(described, dict):
            at = f"{place}.{name}" if place else name
            yield from _mistakes(item, described, whole, at)


def _is_one_of(value: Any, part: Schema) -> bool:
    if "const" in part:
        return bool(value == part["const"])
    if "enum" in part:
        return value in part["enum"]
    kinds = part.get("type", [])
    kinds = [kinds] if isinstance(kinds, str) else kinds
    return not kinds or any(_is_a(value, kind) for kind in kinds)


def _is_a(value: Any, kind: str) -> bool:
    match kind:
        case "null":
            return value is None
        case "boolean":
            return isinstance(value, bool)
        case "integer":
            return type(value) is int and abs(value) < _MOST
        case "number":
            return type(value) in (int, float) and (math.isnan(value) or _is_small(value))
        case "string":
            return isinstance(value, str) and not any("\ud800" <= c <= "\udfff" for c in value)
        case "array":
            return isinstance(value, list)
    return isinstance(value, dict)


def _is_small(value: float) -> bool:
    return isinstance(value, float) or abs(value) < _MOST


def _fine(part: Schema) -> str:
    if "const" in part:
        return repr(part["const"])
    if "enum" in part:
        return f"one of {', '.join(map(str, part['enum']))}"
    kinds = part["type"]
    return " or ".join(_WORDS[kind] for kind in ([kinds] if isinstance(kinds, str) else kinds))
